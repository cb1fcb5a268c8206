"""From a POST to its story, through the whole gateway."""

from tests.ledger.kit import asked, gateway_in, told


async def test_a_delivered_event_is_told_from_post_to_request(tmp_path):
    async with gateway_in(tmp_path) as gateway:
        body = {"userId": "u1", "messageId": "m1", "traits": {"first_name": "Ann"}}
        assert await gateway.post(body) == 200
        story = await told(gateway, "m1")
    (found,) = story["found"]
    assert story["messageId"] == "m1"
    assert (found["source"], found["kind"]) == ("web", "admitted")
    assert found["receivedAt"] == found["event"]["receivedAt"]
    assert found["event"]["traits"] == {"firstName": "Ann"}
    assert found["asSent"]["traits"] == {"first_name": "Ann"}
    assert found["changes"] == [
        {
            "path": "traits.firstName",
            "from": "Ann",
            "to": "Ann",
            "why": "renamed from traits.first_name",
        }
    ]
    (end,) = found["destinations"]
    assert (end["destination"], end["kind"], end["rule"]) == (
        "inbox",
        "delivered",
        None,
    )
    (attempt,) = end["attempts"]
    assert attempt["ms"] >= 0
    assert attempt["rendered"]
    assert not attempt["changed"]
    assert '"firstName":"Ann"' in str(attempt["request"])


async def test_an_unknown_id_is_404_and_a_wrong_token_401(tmp_path):
    async with gateway_in(tmp_path) as gateway:
        await gateway.post({"userId": "u1", "messageId": "m1"})
        await told(gateway, "m1")
        assert (await asked(gateway, "/v1/events/nobody"))[0] == 404
        assert (await asked(gateway, "/v1/events/nobody", token="no"))[0] == 401
