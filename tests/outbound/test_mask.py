from dataclasses import dataclass

import pytest

from gateway.outbound.kind import setting
from gateway.outbound.mask import masked, masked_headers, masked_url, secrets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    url: str = setting(doc="", example="", default="https://crm.example")
    secret: str = setting(doc="", example="", secret=True, default="")
    keys: dict[str, str] = setting(doc="", example="", secret=True, default={})  # noqa: RUF009 -- it is a dataclass field


def test_secrets_are_the_values_of_settings_declared_secret() -> None:
    settings = Settings(secret="s3cret", keys={"a": "longer-key", "b": ""})
    assert secrets_of(settings) == ("longer-key", "s3cret")
    assert secrets_of(Settings()) == ()


def test_a_secret_is_masked_wherever_it_turns_up_but_not_a_trivial_one() -> None:
    assert masked("token=s3cret&x=1", ("s3cret",)) == "token=***&x=1"
    assert masked("abc", ("a",)) == "abc"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "X-Api-Key",
        "X-Auth-Token",
        "X-Secret",
        "X-Functions-Key",
    ],
)
def test_headers_that_carry_credentials_are_masked(name: str) -> None:
    assert masked_headers({name: "v", name.lower(): "v"}, ()) == {
        name: "***",
        name.lower(): "***",
    }


def test_other_headers_stay() -> None:
    headers = {"Content-Type": "application/json", "X-Gateway-Message-Id": "m1"}
    assert masked_headers(headers, ()) == headers


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://crm.example/hook", "https://crm.example/hook"),
        ("https://me:pw@crm.example:8/h?a=1", "https://***@crm.example:8/h?a=1"),
        (
            "https://crm.example/h?api_key=abc&b=2",
            "https://crm.example/h?api_key=***&b=2",
        ),
        ("https://crm.example/s3cret/h", "https://crm.example/***/h"),
    ],
)
def test_a_url_shows_no_credentials(url: str, wanted: str) -> None:
    assert masked_url(url, ("s3cret",)) == wanted
