"""Why a broker cannot be reached, in the operator's words.

aiokafka tells of every failure alike: it cannot connect. So whoever could not start
asks again, one address at a time, and looks at what is there: a name, a port, TLS,
Kafka, a login. No text holds a user or a password.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, NamedTuple

from aiokafka import errors
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import Array, Int16, String

PROBE_S = 3.0  # for each address
PASSED = ("security_protocol", "ssl_context", "sasl_mechanism")
CREDENTIALS = ("sasl_plain_username", "sasl_plain_password")
ASK_S = 1.0  # for a connection, and for an answer
NUMBER = bytes.fromhex("00000001")  # of a question, and of its answer
NOBODY = bytes.fromhex("ffff")  # no client's name
VERSIONS = bytes.fromhex("0000000a 0012 0000") + NUMBER + NOBODY  # anybody may ask
MECHANISM = b"\x00\x04none"  # nobody has it: the answer names those that there are
HANDSHAKE = bytes.fromhex("00000010 0011 0001") + NUMBER + NOBODY + MECHANISM
WEB = b"GET / HTTP/1.0\r\n\r\n"
NO_LOGIN = errors.IllegalSaslStateError.errno
WRONG_HOST = (62, 64)  # OpenSSL's: another name, another address
EXPIRED = 10
LISTENERS = "mend advertised.listeners of the broker, or the gateway's way to there"
LOGIN = "check log.sasl_username and log.sasl_password"


class Address(NamedTuple):
    """Where a broker is said to be."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


async def why_not(settings: Mapping[str, Any], known: Iterable[Address]) -> str:
    """What keeps us from the brokers; empty when nothing is found.

    ``known``: where the cluster says that its brokers are, if it could say so.
    """
    causes, advertised = [], list(known)
    for address in advertised or _configured(settings):
        if cause := await _why_not(settings, address):
            said = f"{address}: {cause}"
            if advertised:
                said = (
                    f"the broker says it is reached at {address}, and there {cause}; "
                    f"{LISTENERS}"
                )
            causes.append(said)
    return "; ".join(causes)


def _configured(settings: Mapping[str, Any]) -> list[Address]:
    hosts = collect_hosts(settings["bootstrap_servers"])
    return sorted({Address(host, port) for host, port, _ in hosts})


async def _why_not(settings: Mapping[str, Any], address: Address) -> str:
    try:
        async with asyncio.timeout(PROBE_S):
            connection = await create_conn(
                *address,
                request_timeout_ms=int(PROBE_S * 1000),
                **{name: settings[name] for name in PASSED},
                **{name: settings.get(name) for name in CREDENTIALS},
            )
            try:
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
    except (OSError, KafkaError, TimeoutError) as error:
        return _certain(error) or await _found(settings, address)
    return ""


def _certain(error: BaseException) -> str:
    """What the error itself says for sure."""
    match error:
        case socket.gaierror():
            return "no such name (DNS): check log.bootstrap_servers and the resolver"
        case ConnectionRefusedError():
            return "nobody listens there: is the broker up, is the port the right one?"
        case ssl.SSLCertVerificationError():
            return _distrusted(error)
        case errors.SaslAuthenticationFailed() | errors.AuthenticationFailedError():
            return f"the broker refuses the user or the password: {LOGIN}"
        case _:  # what the broker has is asked for
            return ""


def _distrusted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in WRONG_HOST:
        return (
            f"its certificate is for another host ({error.verify_message}): use a name "
            "that is in it in log.bootstrap_servers and in advertised.listeners"
        )
    if error.verify_code == EXPIRED:
        return "its certificate has expired: renew it"
    return (
        f"its certificate is of an authority that is not trusted "
        f"({error.verify_message}): set log.ssl_ca to the authority's certificate"
    )


async def _found(settings: Mapping[str, Any], address: Address) -> str:
    """What is there, where our way of talking ended without a word."""
    kind = settings["security_protocol"]
    try:
        plain = _is_kafka(await _ask(address, VERSIONS, secure=False))
        if not plain and (await _ask(address, WEB, secure=False)).startswith(b"HTTP"):
            return "no Kafka, but a server for HTTP: check log.bootstrap_servers"
        secure = not plain and await _speaks_tls(address)
        if not plain and not secure:
            return "something listens there, but it does not answer as Kafka does"
        code, mechanisms = await _logins(address, secure=secure)
    except OSError:
        return "the connection breaks, or nobody answers: is a firewall between?"
    login = code != NO_LOGIN
    fitting = ("SASL_" if login else "") + ("SSL" if secure else "PLAINTEXT")
    if kind != fitting:
        tls = "speaks TLS" if secure else "speaks no TLS"
        asks = f"takes {', '.join(mechanisms)}" if login else "asks for no login"
        return f"the port {tls} and {asks}: set log.security_protocol to {fitting}"
    if login and settings["sasl_mechanism"] not in mechanisms:
        return (
            f"it takes no {settings['sasl_mechanism']}: set log.sasl_mechanism to one "
            f"of {', '.join(mechanisms)}"
        )
    return ""


async def _speaks_tls(address: Address) -> bool:
    try:
        await _ask(address, b"", secure=True)
    except OSError:
        return False
    return True


async def _logins(address: Address, *, secure: bool) -> tuple[int, list[str]]:
    """Kafka's answer to a handshake: an error, and the mechanisms that it takes."""
    answer = BytesIO(await _ask(address, HANDSHAKE, secure=secure))
    answer.seek(8)  # beyond its size and number
    try:
        return Int16.decode(answer), Array(String("utf-8")).decode(answer) or []
    except (ValueError, errors.KafkaError):
        return NO_LOGIN, []  # closed without an answer


def _is_kafka(answer: bytes) -> bool:
    """It has the number of our question; TLS would answer with an alert."""
    return answer[4:8] == NUMBER


async def _ask(address: Address, request: bytes, *, secure: bool) -> bytes:
    """One answer to one request, its first 4 KB; empty where there is none."""
    context = None
    if secure:  # who it is does not matter: it is not told anything
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(ASK_S):
        reader, writer = await asyncio.open_connection(*address, ssl=context)
    try:
        writer.write(request)
        async with asyncio.timeout(ASK_S):
            return await reader.read(4096) if request else b""
    except OSError:  # a time-out is one
        return b""
    finally:
        writer.transport.abort()
