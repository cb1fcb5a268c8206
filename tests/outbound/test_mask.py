import json
from dataclasses import dataclass

import pytest

from gateway.outbound.kind import setting
from gateway.outbound.mask import masked, masked_headers, masked_url, secrets_of

URL = "https://crm.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    url: str = setting(doc="", example="", default="https://crm.example")
    secret: str = setting(doc="", example="", secret=True, default="")
    keys: dict[str, str] = setting(doc="", example="", secret=True, default={})  # noqa: RUF009 -- it is a dataclass field


def test_secrets_are_the_values_of_settings_declared_secret() -> None:
    settings = Settings(secret="s3cret", keys={"a": "longer-key", "b": ""})
    assert secrets_of(settings) == ("longer-key", "s3cret")
    assert secrets_of(Settings()) == ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    url: str = setting(doc="", example="", url=True)
    headers: dict[str, str] = setting(doc="", example="", secret=True, default={})  # noqa: RUF009 -- it is a dataclass field


@pytest.mark.parametrize(
    "name", ["Ocp-Apim-Subscription-Key", "X-Hook", "X-Shared-Pass"]
)
def test_s15_a_header_that_is_configured_is_masked_whatever_its_name(name: str) -> None:
    for value in ("a1", "tops3cret", 'quo"ted'):
        secrets = secrets_of(Asked(url=URL, headers={name: value}))
        assert masked_headers({name: value}, secrets) == {name: "***"}
    echo = json.dumps({"got": 'quo"ted'})
    assert masked(echo, secrets) == '{"got": "***"}'


def test_s15_a_token_is_masked_without_its_scheme_too() -> None:
    secrets = secrets_of(Asked(url=URL, headers={"X-Hook": "Bearer abcdefgh"}))
    assert masked("no such token: abcdefgh", secrets) == "no such token: ***"


def test_a_configured_content_type_is_no_secret() -> None:
    headers = {"content-type": "application/x-ours", "Accept": "text/plain"}
    assert masked_headers(headers, secrets_of(Asked(url=URL, headers=headers))) == (
        headers
    )


@pytest.mark.parametrize(
    ("url", "given", "wanted"),
    [
        ("https://crm.example/in/T0/B0", "T0/B0", "https://crm.example/in/***"),
        ("https://crm.example/in/T0", "https://crm.example/in/T0", f"{URL}/***"),
        ("https://crm.example/in", "crm.example", "https://crm.example/in"),
        ("https://eu.crm.example/in", "eu.crm", "https://eu.crm.example/in"),
        ("https://h/a?x=g1v3n", "g1v3n", "https://h/a?x=***"),
    ],
)
def test_s15_of_a_url_what_the_environment_gave_is_masked_but_for_the_host(
    url: str, given: str, wanted: str
) -> None:
    assert masked_url(url, secrets_of(Asked(url=url), [given])) == wanted


def test_a_password_in_a_url_is_no_host() -> None:
    secrets = secrets_of(Asked(url="https://me:pass@crm.example/"), ["pass"])
    assert masked("pass", secrets) == "***"


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
