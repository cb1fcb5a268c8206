"""`gateway check` finds what can be read and yet cannot work: place, line, remedy."""

import re
from pathlib import Path

import pytest

from gateway import cli
from gateway.config import parse
from gateway.errors import ConfigError
from gateway.parts import examine
from gateway.web import base_url, origin
from gateway.workable import check_authorities

SOURCE = "[sources.web]\nkind = 'browser'\nwrite_keys = ['a']\n"
KAFKA = f"{SOURCE}[log]\nkind = 'kafka'\n"
HOOK = f"{SOURCE}[destinations.crm]\ntype = 'webhook'\n"


def told(folder: Path, text: str) -> list[str]:
    """What `check` says of a text, without the file's name."""
    file = folder / "g.toml"
    file.write_text(text, encoding="utf-8")
    try:
        examine(file)
    except ConfigError as error:
        return [each.removeprefix(str(file)) for each in error.args]
    return []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("https://shop.example/path", "has a path, which no origin has: write https:"),
        ("https://Shop.example:443/p?q", "write https://shop.example"),
        ("https://shop.example?q", "has a path"),
        ("https://shop.example#x", "has a path"),
        ("shop.example", "has no scheme: write https://HOST"),
        ("localhost:3000", "has no scheme"),
        ("//shop.example", "has no scheme|is no origin"),
        ("https://*.shop.example", "has a \\* inside: name each origin"),
        ("https://shop.example:*", "has a \\* inside"),
        (" https://shop.example", "has white space"),
        ("https://shop.example\t", "has white space"),
        ("https://shop.example,https://b.example", "is no origin"),
        ("https://u:p@shop.example", "is no origin"),
        ("https://shop.example:99999", "is no origin"),
        ("https://shop.example:http", "is no origin"),
        ("https://", "is no origin"),
        ("https://[::1", "is no origin"),
        ("https://bücher.example", "write its xn-- form"),
        ("file:///", 'that of files is "null"'),
        ("", "has no scheme"),
    ],
)
def test_an_origin_that_no_browser_sends_is_told_with_its_remedy(
    text: str, says: str, tmp_path: Path
) -> None:
    wrong = SOURCE + f"origins = ['https://a.example', '{text}']\n"
    (found,) = told(tmp_path, wrong)
    assert found.startswith(":4: sources.web.origins[1]: ")
    assert re.search(says, found), found


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("HTTPS://Shop.Example", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("https://shop.example/", "https://shop.example"),
        ("http://LOCALHOST:3000/", "http://localhost:3000"),
        ("http://[0:0::1]:80", "http://[::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("*", "*"),
        ("null", "null"),
    ],
)
def test_what_means_the_same_origin_is_judged_as_browsers_say_it(
    text: str, normal: str
) -> None:
    config = parse(f"{SOURCE}origins = ['{text}']", folder=Path("/srv"))
    assert config.sources["web"].origins == (normal,)
    assert origin(normal).text == normal
    assert not origin(normal).wrong


def test_an_empty_list_of_origins_is_wrong_where_only_pages_send(
    tmp_path: Path,
) -> None:
    (found,) = told(tmp_path, SOURCE + "origins = []\n")
    assert found.startswith(":4: sources.web.origins: none; no page could send")
    server = "[sources.web]\nwrite_keys = ['a']\norigins = []\n"
    assert told(tmp_path, server) == []


@pytest.mark.parametrize(
    "url",
    [
        *("gateway.example:8443", "gateway.example", "ftp://g", "//g", "", "http://"),
        *("https://g/v1", "https://g/v1/", "https://g/x?y=1", "https://g/#a", "http:g"),
        *("https://u:p@g", "https://g:99999", "https://g h", "http://0.0.0.0:8080"),
        *("http://[::]:8080", "https://a..b", " https://g"),
    ],
)
def test_a_public_url_that_sdks_cannot_send_to_is_told(
    url: str, tmp_path: Path
) -> None:
    (found,) = told(tmp_path, f"[server]\npublic_url = '{url}'\n{SOURCE}")
    assert found.startswith(":2: server.public_url: ")


@pytest.mark.parametrize(
    "url",
    ["https://g", "https://g/", "http://127.0.0.1:8080", "https://g.example/gateway"],
)
def test_a_public_url_that_works_is_none_of_that(url: str) -> None:
    assert base_url(url) == (url.rstrip("/"), "")


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "0.0.0.0:0"])
@pytest.mark.parametrize("kind", ["browser", "mobile"])
def test_who_listens_everywhere_must_say_where_sdks_are_to_send(
    listen: str, kind: str, tmp_path: Path
) -> None:
    source = SOURCE.replace("browser", kind)
    (found,) = told(tmp_path, f"[server]\nlisten = '{listen}'\n{source}")
    assert found.startswith(f":2: server.listen: '{listen}' is no address to send to")
    assert "set server.public_url" in found
    url = "public_url = 'https://g.example'\n"
    assert told(tmp_path, f"[server]\nlisten = '{listen}'\n{url}{source}") == []
    nobody = SOURCE.replace("browser", "server")
    assert told(tmp_path, f"[server]\nlisten = '{listen}'\n{nobody}") == []


@pytest.mark.parametrize("name", ["http://a.example", "a.example:80", "a b", "*", ""])
def test_a_name_of_the_admin_port_is_a_name(name: str, tmp_path: Path) -> None:
    good = "[server]\nadmin_hosts = ['a.example', 'worker']\n"
    assert told(tmp_path, good + SOURCE) == []
    (found,) = told(tmp_path, f"[server]\nadmin_hosts = ['a', '{name}']\n{SOURCE}")
    assert found.startswith(f":2: server.admin_hosts[1]: '{name}' is no name of a host")


@pytest.mark.parametrize(
    ("listen", "admin", "clash"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "0.0.0.0:80", True),
        ("[::1]:80", "[::]:80", True),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("127.0.0.1:80", "127.0.0.1:81", False),
    ],
)
def test_two_ports_cannot_be_one(
    listen: str,
    admin: str,
    clash: bool,  # noqa: FBT001 -- a parameter of the case
    tmp_path: Path,
) -> None:
    server = f"[server]\nlisten = '{listen}'\nadmin_listen = '{admin}'\n"
    found = told(tmp_path, server + SOURCE)
    assert [each[:24] for each in found] == ([":3: server.admin_listen:"] * clash)


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ("bootstrap_servers = 'http://kafka:9092'", "bootstrap_servers: 'http://"),
        ("bootstrap_servers = 'a:9092; b:9092'", "bootstrap_servers: 'a:9092; b"),
        ("bootstrap_servers = 'a:9092 b:9092'", "bootstrap_servers: 'a:9092 b"),
        ("bootstrap_servers = 'a:9092,'", "bootstrap_servers: '' is not"),
        ("bootstrap_servers = 'a:kafka'", "bootstrap_servers: 'a:kafka'"),
        ("prefix = 'a b'", "prefix: 'a b' is no beginning of a topic's name"),
        ("prefix = 'a/'", "prefix: 'a/'"),
        ("prefix = 'é.'", "prefix: "),
        ("security_protocol = 'SASL_SSL'", "security_protocol: SASL_SSL needs"),
        (
            "security_protocol = 'SASL_PLAINTEXT'\nsasl_username = 'u'",
            "security_protocol: SASL_PLAINTEXT needs",
        ),
        ("sasl_username = 'u'", "sasl_username: is not used with"),
        ("sasl_password = 'HUSH'", "sasl_password: is not used with"),
        ("security_protocol = 'SSL'\nsasl_username = 'u'", "sasl_username: is not"),
        ("ssl_ca = 'ca.pem'", "ssl_ca: is not used with"),
    ],
)
def test_kafka_keys_that_cannot_work_are_told(
    keys: str, place: str, tmp_path: Path
) -> None:
    (found,) = told(tmp_path, f"{KAFKA}{keys}\n")
    assert f"log.{place}" in found
    assert "HUSH" not in found


@pytest.mark.parametrize(
    "keys",
    [
        "bootstrap_servers = 'a:9092, b:9092,[::1]:9092'\nprefix = 'Shop_1.'",
        "prefix = ''\nbootstrap_servers = 'kafka'",
        "security_protocol = 'SASL_SSL'\nsasl_username = 'u'\nsasl_password = 'p'",
    ],
)
def test_kafka_keys_that_work_are_none_of_that(keys: str, tmp_path: Path) -> None:
    assert told(tmp_path, f"{KAFKA}{keys}\n") == []


def test_authorities_that_cannot_be_read_are_found_by_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{KAFKA}security_protocol = 'SSL'\nssl_ca = 'ca.pem'\n"
    file = tmp_path / "g.toml"
    file.write_text(text)
    assert cli.main(["check", str(file)]) == 2
    assert f"{file}:7: log.ssl_ca: " in (first := capsys.readouterr().err)
    assert "No such file" in first
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"log\.ssl_ca: "):
        check_authorities(parse(text, folder=tmp_path))


def test_two_writers_of_one_file_are_told(tmp_path: Path) -> None:
    text = SOURCE + (
        "[destinations.a]\ntype = 'file'\nsettings = { path = 'x.ndjson' }\n"
        "[destinations.b]\ntype = 'file'\nsettings = { path = './y/../x.ndjson' }\n"
    )
    (found,) = told(tmp_path, text)
    assert found == (
        ":9: destinations.b.settings: destinations.a.settings writes this file, too"
    )
    disabled = text.replace("[destinations.b]", "[destinations.b]\nenabled = false")
    assert told(tmp_path, disabled) == []
    log = SOURCE + (
        "[destinations.a]\ntype = 'file'\nsettings = { path = 'data/log.db' }\n"
    )
    (found,) = told(tmp_path, log)
    assert "log.path writes this file, too" in found


@pytest.mark.parametrize("text", ["$KEY", "${MY-KEY}", "x${A:-b}", "${}"])
def test_what_looks_like_the_environment_and_is_not_is_told(
    text: str, tmp_path: Path
) -> None:
    found = told(tmp_path, f"[sources.web]\nwrite_keys = ['{text}']\n")
    wanted = ":2: sources.web.write_keys: only ${NAME} is filled from the environment"
    assert found == [wanted]


@pytest.mark.parametrize("text", ["$secret", "a$KEY", "US$", "{{traits.plan}}", "$1"])
def test_a_dollar_alone_is_a_dollar(text: str, tmp_path: Path) -> None:
    assert told(tmp_path, f"[sources.web]\nwrite_keys = ['{text}']\n") == []


def test_a_workspace_that_nobody_uses_is_told_and_no_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.toml"
    file.write_text(f"{SOURCE}[workspace]\napi_token = 'HUSH'\n")
    assert cli.main(["check", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("ok: ")
    assert err == (
        f'gateway: {file}:4: workspace: no destination has type = "workspace", '
        "so nobody uses it\n"
    )


def test_a_file_that_an_editor_marked_is_read(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SOURCE.encode())
    config, _ = examine(file)
    assert config.sources["web"].write_keys == ("a",)
    file.write_bytes(b"\xef\xbb\xbf" + SOURCE.encode() + b"rat = 5\n")
    with pytest.raises(ConfigError, match=r":4: sources\.web\.rat"):
        examine(file)


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("http://127.0.0.1:9999/hook", "127.0.0.1/32"),
        ("http://localhost/hook", "127.0.0.1/32"),
        ("http://api.localhost./hook", "127.0.0.1/32"),
        ("http://10.1.2.3/", "10.1.2.3/32"),
        ("http://169.254.169.254/latest", "169.254.169.254/32"),
        ("http://[::1]/", "::1/128"),
        ("http://[::ffff:10.0.0.1]/", "10.0.0.1/32"),
        ("http://127.1/", "127.0.0.1/32"),
    ],
)
@pytest.mark.parametrize("kind", ["webhook", "slack"])
def test_a_destination_at_a_private_address_is_told_what_allows_it(
    url: str, network: str, kind: str, tmp_path: Path
) -> None:
    text = HOOK.replace("webhook", kind) + f"settings = {{ url = '{url}' }}\n"
    (found,) = told(tmp_path, text)
    assert found.startswith(":6: destinations.crm.settings.url: its host is no public")
    assert found.endswith(f'server.private_destinations = ["{network}"]')
    allowed = f"[server]\nprivate_destinations = ['{network}']\n{text}"
    assert told(tmp_path, allowed) == []


def test_a_name_is_judged_when_it_is_connected_to(tmp_path: Path) -> None:
    for url in ("http://intranet/hook", "http://8.8.8.8/x", "https://10.example/"):
        assert told(tmp_path, f"{HOOK}settings = {{ url = '{url}' }}\n") == []
