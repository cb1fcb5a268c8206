"""Conversations with a destination: driven, bounded, judged event by event."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Takes,
)
from gateway.outbound.destinations.webhook import Settings
from gateway.outbound.http import NoResponse, Request, Response, by_status
from gateway.outbound.talk import (
    REQUESTS_MAX,
    Access,
    Login,
    Talk,
    Talking,
    foreseen,
    no_answer,
    one_request,
)

TAKES = Takes(types=frozenset({"identify"}), batch_events=10)


def request(deliveries: Sequence[Delivery], settings: Settings) -> Request | None:
    if any(each.event.message_id == "m99" for each in deliveries):
        return None
    ids = ",".join(each.event.message_id for each in deliveries)
    return Request(
        url=settings.url,
        headers={"Authorization": "Bearer abc"},
        body=f"{ids} {settings.secret}".encode(),
    )


class Remote:
    def __init__(self, *answers: Response | NoResponse) -> None:
        self.answers = list(answers)
        self.got: list[str] = []

    async def __call__(self, request: Request) -> Response | NoResponse:
        self.got.append(request.body.decode().split()[0])
        return self.answers.pop(0) if self.answers else Response(status=200)


def build(remote: Remote) -> Any:
    settings = Settings(url="https://me:pw@crm.example/h", secret="s3cret")
    return Talking(one_request(request), settings, takes=TAKES, send=remote)


async def test_a_batch_is_one_request(delivery: Any) -> None:
    remote = Remote()
    verdicts = await build(remote).deliver([delivery(1), delivery(2)])
    assert verdicts == [Delivered(200)] * 2
    assert remote.got == ["m1,m2"]


async def test_one_bad_event_condemns_no_other_of_its_batch(delivery: Any) -> None:
    remote = Remote(Response(status=422), Response(status=422), Response(status=200))
    verdicts = await build(remote).deliver([delivery(1), delivery(2)])
    assert remote.got == ["m1,m2", "m1", "m2"]
    assert isinstance(verdicts[0], Rejected)
    assert verdicts[1] == Delivered(200)


async def test_no_response_is_a_retry_that_names_the_error(delivery: Any) -> None:
    remote = Remote(NoResponse("ServerDisconnectedError"))
    (verdict,) = await build(remote).deliver([delivery(1)])
    assert isinstance(verdict, Retry)
    assert verdict.reason == "ServerDisconnectedError"
    assert verdict.exchange is not None
    assert verdict.exchange.response is None


async def test_a_dead_letter_shows_its_own_request_without_secrets(
    delivery: Any,
) -> None:
    answer = Response(
        status=503,
        headers={"set-cookie": "a=b", "server": "x"},
        body=b"s3cret " + b"x" * 20_000,
    )
    remote = Remote(answer)
    first, second = await build(remote).deliver([delivery(1), delivery(2)])
    assert first.exchange.request == {
        "method": "POST",
        "url": "https://***@crm.example/h",
        "headers": {"Authorization": "***"},
        "body": "m1 ***",
    }
    assert second.exchange.request["body"] == "m2 ***"
    assert first.exchange.response["status"] == 503
    assert first.exchange.response["headers"] == {"set-cookie": "***", "server": "x"}
    assert first.exchange.response["body"].startswith("*** xxx")
    assert len(first.exchange.response["body"]) <= 8_192


async def test_what_needs_no_request_is_skipped(delivery: Any) -> None:
    remote = Remote()
    assert await build(remote).deliver([delivery(99)]) == [Skipped("no request")]
    assert remote.got == []
    assert build(remote).preview(delivery(99)) == {}


def test_a_preview_is_the_request_without_secrets(delivery: Any) -> None:
    assert build(Remote()).preview(delivery(1))["body"] == "m1 ***"


# A search before an update, as a CRM wants it

API = "https://crm.example/people"


def update_or_create(
    deliveries: Sequence[Delivery], settings: Settings, access: Access
) -> Talk:
    (delivery,) = deliveries
    user = delivery.event.key
    answer = yield Request(method="PATCH", url=f"{API}/{user}", body=delivery.value)
    if isinstance(answer, Response) and answer.status == 404:
        answer = yield Request(url=API, body=delivery.value)
    return no_answer(answer) if isinstance(answer, NoResponse) else by_status(answer)


class Asked:
    """Answers in turn, and remembers what was asked."""

    def __init__(self, *answers: Response | NoResponse) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.headers: list[str | None] = []

    async def __call__(self, request: Request) -> Response | NoResponse:
        self.asked.append((request.method, request.url))
        self.headers.append(request.headers.get("Authorization"))
        await asyncio.sleep(0)
        return self.answers.pop(0) if self.answers else Response(status=200)


def talking(talk: Any, send: Any, **more: Any) -> Talking[Settings]:
    settings = Settings(url="https://crm.example", secret="s3cret")
    return Talking(talk, settings, takes=TAKES, send=send, **more)


async def test_what_is_not_there_is_created(delivery: Any) -> None:
    send = Asked(Response(status=404), Response(status=201))
    verdicts = await talking(update_or_create, send).deliver([delivery(1)])
    assert verdicts == [Delivered(201)]
    assert send.asked == [("PATCH", f"{API}/u1"), ("POST", API)]


async def test_a_dead_letter_shows_the_request_that_was_refused(delivery: Any) -> None:
    send = Asked(Response(status=404), Response(status=422, body=b"no email"))
    (verdict,) = await talking(update_or_create, send).deliver([delivery(1)])
    assert isinstance(verdict, Rejected)
    assert verdict.exchange is not None
    assert verdict.exchange.request["method"] == "POST"
    assert verdict.exchange.response["body"] == "no email"  # type: ignore[index]  # it came


async def test_what_is_said_of_a_refusal_quotes_no_secret(delivery: Any) -> None:
    def judge(response: Response) -> Rejected | Retry:
        text = response.body.decode()
        return Rejected("rejected", text) if response.status == 422 else Retry(text)

    settings = Settings(url=API, headers={"X-Hook": "tops3cret"})
    for status in (422, 503):
        send = Asked(Response(status=status, body=b"not tops3cret"))
        made = Talking(one_request(request, judge), settings, takes=TAKES, send=send)
        (verdict,) = await made.deliver([delivery(1)])
        assert "not ***" in repr(verdict)
        assert "tops3cret" not in repr(verdict)


def test_a_talk_is_tested_without_a_loop(delivery: Any) -> None:
    talk = update_or_create([delivery(1)], Settings(url=API), Access())
    assert next(talk).method == "PATCH"
    assert talk.send(Response(status=404)).method == "POST"
    with pytest.raises(StopIteration) as end:
        talk.send(Response(status=200))
    assert end.value.value == Delivered(200)


def test_a_preview_is_the_first_request(delivery: Any) -> None:
    shown = talking(update_or_create, Asked()).preview(delivery(1))
    assert shown["method"] == "PATCH"


def item_by_item(
    deliveries: Sequence[Delivery], settings: Settings, access: Access
) -> Talk:
    ids = [each.event.message_id for each in deliveries]
    answer = yield Request(url=API, body=json.dumps(ids).encode())
    assert isinstance(answer, Response)
    bad = json.loads(answer.body)
    return [
        Rejected("rejected", bad[each], answer.status)
        if each in bad
        else Delivered(answer.status)
        for each in ids
    ]


async def test_a_200_may_refuse_some_items_and_only_those_are_given_up(
    delivery: Any,
) -> None:
    send = Asked(Response(status=200, body=b'{"m2": "bad email"}'))
    batch = [delivery(number) for number in (1, 2, 3)]
    first, second, third = await talking(item_by_item, send).deliver(batch)
    assert first == third == Delivered(200)
    assert isinstance(second, Rejected)
    assert second.detail == "bad email"
    assert second.exchange is not None
    assert second.exchange.request["body"] == '["m2"]'  # its own, not its neighbours'
    assert len(send.asked) == 1  # nothing is sent again


async def test_all_items_refused_one_by_one_are_not_sent_again(delivery: Any) -> None:
    send = Asked(Response(status=200, body=b'{"m1": "a", "m2": "b"}'))
    verdicts = await talking(item_by_item, send).deliver([delivery(1), delivery(2)])
    assert [each.detail for each in verdicts] == ["a", "b"]  # type: ignore[union-attr]  # rejections
    assert len(send.asked) == 1


async def test_too_few_verdicts_are_a_bug(delivery: Any) -> None:
    def one_for_two(deliveries: Any, settings: Any, access: Any) -> Talk:
        yield Request(url=API)
        return [Delivered(200)]

    with pytest.raises(ValueError, match="1 verdicts for 2 events"):
        await talking(one_for_two, Asked()).deliver([delivery(1), delivery(2)])


async def test_a_talk_that_never_ends_is_ended(delivery: Any) -> None:
    def endless(deliveries: Any, settings: Any, access: Any) -> Talk:
        while True:
            yield Request(url=API)

    send = Asked()
    with pytest.raises(RuntimeError, match=f"more than {REQUESTS_MAX} requests"):
        await talking(endless, send).deliver([delivery(1)])
    assert len(send.asked) == REQUESTS_MAX


def test_what_is_foreseen_is_all_that_is_asked_and_the_end() -> None:
    def two() -> Talk:
        first = yield Request(url="https://a.example/1")
        assert isinstance(first, Response)
        yield Request(url="https://a.example/2")
        return Delivered(first.status)

    requests, said = foreseen(two())
    assert [each.url[-1] for each in requests] == ["1", "2"]
    assert said == Delivered(200)


def test_what_goes_on_and_on_is_foreseen_up_to_its_bound() -> None:
    def endless() -> Talk:
        while True:
            yield Request(url="https://a.example")

    requests, said = foreseen(endless())
    assert (len(requests), said) == (REQUESTS_MAX, None)


async def test_the_rest_of_a_batch_gets_a_retry_and_nobody_else_s_request(
    delivery: Any,
) -> None:
    send = Remote(Response(status=422), Response(status=503))
    first, second = await build(send).deliver([delivery(1), delivery(2)])
    assert isinstance(first, Retry)
    assert first.exchange.request["body"] == "m1 ***"  # type: ignore[union-attr]  # it was sent
    assert isinstance(second, Retry)
    assert second.exchange is None  # it was not


async def test_a_retry_keeps_all_it_says(delivery: Any) -> None:
    def away(deliveries: Any, settings: Any, access: Any) -> Talk:
        yield Request(url=API)
        return Retry("maintenance", 7.0, 503, away=True)

    (verdict,) = await talking(away, Asked()).deliver([delivery(1)])
    assert isinstance(verdict, Retry)
    assert (verdict.away, verdict.after_s, verdict.status) == (True, 7.0, 503)
    assert verdict.exchange is not None


# Logging in

TOKENS = "https://crm.example/oauth/token"


def log_in(settings: Settings) -> Login:
    answer = yield Request(url=TOKENS, body=settings.secret.encode())
    if isinstance(answer, NoResponse):
        return no_answer(answer)
    if answer.status != 200:
        return Retry(f"login: {answer.status}", status=answer.status, auth=True)
    said = json.loads(answer.body)
    return Access(said["access_token"], said["expires_in"])


def with_token(
    deliveries: Sequence[Delivery], settings: Settings, access: Access
) -> Talk:
    headers = {"Authorization": f"Bearer {access.token}"}
    answer = yield Request(url=API, headers=headers)
    return no_answer(answer) if isinstance(answer, NoResponse) else by_status(answer)


def token(value: str, expires_s: int = 3_600) -> Response:
    said = {"access_token": value, "expires_in": expires_s}
    return Response(status=200, body=json.dumps(said).encode())


async def test_a_token_is_got_once_and_kept(delivery: Any) -> None:
    send = Asked(token("t1"))
    crm = talking(with_token, send, logins=log_in)
    await asyncio.gather(*(crm.deliver([delivery(number)]) for number in range(5)))
    assert [url for _, url in send.asked].count(TOKENS) == 1
    assert set(send.headers[1:]) == {"Bearer t1"}


async def test_an_expired_token_is_renewed(delivery: Any) -> None:
    send = Asked(token("t1", 1), Response(status=200), token("t2"))
    crm = talking(with_token, send, logins=log_in)
    await crm.deliver([delivery(1)])
    await crm.deliver([delivery(2)])
    assert send.headers == [None, "Bearer t1", None, "Bearer t2"]


async def test_a_token_that_was_revoked_is_got_anew_at_the_next_try(
    delivery: Any,
) -> None:
    send = Asked(token("t1"), Response(status=401), token("t2"), Response(status=200))
    crm = talking(with_token, send, logins=log_in)
    (verdict,) = await crm.deliver([delivery(1)])
    assert isinstance(verdict, Retry)
    assert verdict.auth
    assert await crm.deliver([delivery(1)]) == [Delivered(200)]
    assert send.headers[-1] == "Bearer t2"


async def test_without_a_token_nothing_is_sent_and_the_events_wait(
    delivery: Any,
) -> None:
    send = Asked(Response(status=400), NoResponse("TimeoutError"))
    crm = talking(with_token, send, logins=log_in)
    (first,) = await crm.deliver([delivery(1)])
    assert first == Retry("login: 400", status=400, auth=True)
    (second,) = await crm.deliver([delivery(1)])
    assert second == Retry("TimeoutError")
    assert [url for _, url in send.asked] == [TOKENS, TOKENS]


async def test_what_is_said_of_a_login_quotes_no_secret(delivery: Any) -> None:
    def refused(settings: Settings) -> Login:
        answer = yield Request(url=TOKENS, body=settings.secret.encode())
        assert isinstance(answer, Response)
        return Retry(answer.body.decode(), auth=True)

    settings = Settings(url=API, secret="s3cret")
    send = Asked(Response(status=400, body=b"not s3cret"))
    crm = Talking(with_token, settings, takes=TAKES, send=send, logins=refused)
    assert await crm.deliver([delivery(1)]) == [Retry("not ***", auth=True)]
