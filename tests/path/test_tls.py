"""TLS on the public port: what a sender sees, and what an operator got wrong."""

import asyncio
import json
import ssl

import aiohttp
import pytest

from tests.path.running import Gateway, Webhook, config, until
from tests.path.sdks import kits

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    kits.certify(folder)
    return folder


def secured(certificate, key) -> str:
    return (
        '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'
        'private_destinations = ["127.0.0.0/8"]\n'
        f'tls_certificate = "{certificate}"\ntls_key = "{key}"\n'
    )


async def test_a_sender_that_trusts_the_ca_is_heard_and_plain_http_is_not(
    tmp_path, certified
):
    text = secured(certified / "cert.pem", certified / "key.pem")
    async with Webhook() as hook, Gateway(tmp_path, text + config(hook)) as gateway:
        assert gateway.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=certified / "ca.pem")
        body = json.dumps({"userId": "u", "messageId": "secure"})
        given = {"Authorization": aiohttp.encode_basic_auth("dev")}
        async with gateway.session.post(
            gateway.url + "/v1/identify", data=body, headers=given, ssl=trust
        ) as answer:
            assert (answer.status, await answer.json()) == (200, {"success": True})
        await until(lambda: hook.ids() == ["secure"])
        async with gateway.session.get(
            f"{gateway.url}/v1/projects/dev/settings", ssl=trust
        ) as answer:
            told = (await answer.json())["integrations"]["Segment.io"]
        assert told["protocol"] == "https"
        assert f"https://{told['apiHost']}" == gateway.url + "/v1"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await gateway.session.get(gateway.url + "/healthz")  # trusts no test CA
        with pytest.raises(aiohttp.ClientError):
            await gateway.session.get(gateway.url.replace("https", "http"))
        _, port = gateway.url.removeprefix("https://").split(":")
        trust.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection("127.0.0.1", int(port), ssl=trust)
        assert (
            writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        )
        writer.close()


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("nowhere.pem", "key.pem", "server.tls_certificate: cannot read {folder}/now"),
        ("cert.pem", "nowhere.pem", "server.tls_key: cannot read {folder}/nowhere.pem"),
        ("cert.pem", "ca.key", "server.tls_key: {folder}/ca.key is not the key of"),
        ("trust.p12", "key.pem", "{folder}/key.pem must be PEM"),
        ("cert.pem", "locked.pem", "the key without a password"),
    ],
    ids=["no-certificate", "no-key", "another-key", "no-pem", "locked-key"],
)
async def test_a_certificate_that_cannot_be_used_is_named(
    tmp_path, certified, certificate, key, said
):
    if key == "locked.pem":
        encrypt = [kits.program("openssl"), "pkey", "-in", "key.pem", "-aes256"]
        kits.run([*encrypt, "-passout", "pass:x", "-out", key], cwd=certified)
    text = secured(certified / certificate, certified / key)
    gateway = Gateway(tmp_path, text + config())
    for command in ("check", "serve"):
        code, _, told = await gateway.command(command)
        assert code == 2
        assert said.format(folder=certified) in told
        assert "Traceback" not in told
