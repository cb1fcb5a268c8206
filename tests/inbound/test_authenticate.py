"""CLIENTS §4.2: which key decides, in every spelling that SDKs use."""

import base64
import tracemalloc
from collections import Counter

import pytest

from gateway.config import Source
from gateway.errors import AuthError
from gateway.inbound.authenticate import SITE_KEYS, Keys

SOURCES = {
    "web": Source(name="web", write_keys=("dev", "old-dev")),
    "odd": Source(name="odd", write_keys=("k?>é~~~",)),
}


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys(SOURCES)


def basic(user: str, *, urlsafe: bool = False, pad: bool = True) -> str:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    text = encode(f"{user}:".encode()).decode()
    return f"Basic {text if pad else text.rstrip('=')}"


@pytest.mark.parametrize(
    "header",
    [
        basic("dev"),
        basic("old-dev"),
        basic("dev", pad=False),
        "basic " + basic("dev")[6:],
        "Basic " + base64.b64encode(b"dev:password").decode(),
        "Basic " + base64.b64encode(b" dev :").decode(),
        "Bearer dev",
        "bearer  dev ",
    ],
)
def test_a_header_names_its_source(keys, header):
    assert keys.in_header(header).name == "web"


@pytest.mark.parametrize("password", ["pässword", "€", "\x80"])
@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "cp1252", "utf-16"])
def test_f16_the_password_may_be_anything_in_any_charset(password, charset):
    pair = b"dev:" + password.encode(charset, "replace")
    header = "Basic " + base64.b64encode(pair).decode()
    assert Keys(SOURCES).in_header(header) is SOURCES["web"]


def test_f16_a_pair_in_latin_1_is_the_pair_it_says():
    track = Source(name="t", kind="track_api", site_id="s", api_keys=("kéy",))
    keys = Keys({"t": track}, SITE_KEYS)
    for charset in ("utf-8", "latin-1"):
        pair = base64.b64encode("s:kéy".encode(charset)).decode()
        found = keys.in_header(f"Basic {pair}")
        assert found is track
    wrong = base64.b64encode(b"s:k\xe8y").decode()
    with pytest.raises(AuthError):
        keys.in_header(f"Basic {wrong}")


@pytest.mark.parametrize("urlsafe", [False, True])
def test_both_base64_alphabets_are_read(keys, urlsafe):
    header = basic("k?>é~~~", urlsafe=urlsafe)
    assert ("_" in header or "-" in header) == urlsafe
    assert keys.in_header(header).name == "odd"


@pytest.mark.parametrize("header", [None, "", basic(""), "Digest x", "Bearer "])
def test_a_header_without_a_key_leaves_the_body_to_decide(keys, header):
    assert keys.in_header(header) is None


@pytest.mark.parametrize(
    "header",
    [
        basic("nobody"),
        "Bearer nobody",
        "Basic !!!",
        "Basic /w==",
        "Basic " + "A" * 9999,
    ],
)
def test_an_unknown_key_in_the_header_is_refused(keys, header):
    with pytest.raises(AuthError) as caught:
        keys.in_header(header)
    assert caught.value.code == "unknown_write_key"
    assert "nobody" not in str(caught.value)


def test_a_write_key_in_a_body_names_its_source(keys):
    assert keys.in_body(" dev\n").name == "web"
    absent: object
    for absent in (None, "", "  ", 5, {}):
        assert keys.in_body(absent) is None
    with pytest.raises(AuthError):
        keys.in_body("nobody")
    with pytest.raises(AuthError):
        keys.in_body("\ud800")


def test_no_key_is_kept_in_the_clear(keys):
    state = repr(vars(keys)["_known"].keys())
    assert "dev" not in state


def test_what_is_kept_of_headers_is_bounded_however_many_spell_one_key():
    """The password may be anything, so one key has endless spellings."""
    keys = Keys(SOURCES)
    tracemalloc.start()
    for number in range(20_000):
        spelled = base64.b64encode(b"dev:%d" % number).decode()
        source = keys.in_header(f"Basic {spelled}")
        assert source is not None
        assert source.name == "web"
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 400_000  # a thousand are 140 KB, all of them 3 MB


def test_how_often_each_key_is_used_is_counted_by_its_place():
    uses: Counter[tuple[str, int]] = Counter()
    keys = Keys({"web": Source(name="web", write_keys=("new", "old"))}, uses=uses)
    for key in ("new", "old", "new"):
        keys.find(key)
    header = f"Basic {base64.b64encode(b'new:').decode()}"
    for _ in range(2):
        keys.in_header(header)
    assert uses == {("web", 0): 4, ("web", 1): 1}
    with pytest.raises(AuthError):
        keys.find("nobody's")
    assert uses.total() == 5
