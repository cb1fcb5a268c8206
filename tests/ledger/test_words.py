"""Why an event did not go somewhere, in an operator's words; pure."""

import pytest

from gateway.ledger.words import as_sent, changes_of, rule_of_end, rule_of_route

CRM = frozenset({"crm", "webhook", "my crm"})


@pytest.mark.parametrize(
    ("reason", "integrations", "said"),
    [
        ("disabled", None, "disabled"),
        ("type", None, "type"),
        ("cio_id", None, "cio_id"),
        ("integrations", {"CRM": False}, 'integrations: {"CRM": false}'),
        (
            "integrations",
            {"All": True, "My CRM": False},
            'integrations: {"My CRM": false}',
        ),
        ("integrations_all", {"All": False}, 'integrations: {"All": false}'),
        ("integrations_all", {"all": False, "X": True}, 'integrations: {"all": false}'),
        ("integrations", None, "integrations"),
        ("integrations", "odd", "integrations"),
    ],
)
def test_what_the_intake_decided(reason, integrations, said):
    event = {"integrations": integrations}
    assert rule_of_route(reason, event, CRM) == said
    assert rule_of_route(reason, None, CRM) == said.partition(":")[0]


@pytest.mark.parametrize(
    ("kind", "reason", "detail", "said"),
    [
        ("delivered", None, None, None),
        ("delivered", None, "not sent: traits.bio", None),
        ("filtered", "when", "!is_email(userId)", "when: !is_email(userId)"),
        ("filtered", "when", None, "when"),
        ("filtered", "trigger", "type is not track", "trigger"),
        ("filtered", "transform", None, "transform"),
        ("filtered", "integrations", None, 'integrations: {"crm": false}'),
        ("suppressed", "suppressed", None, "suppressed"),
        ("duplicate", None, None, "duplicate"),
        ("skipped", "no email", None, "no email"),
        ("dead", "max_age", None, "max_age"),
    ],
)
def test_what_a_worker_decided(kind, reason, detail, said):
    event = {"integrations": {"crm": False}}
    assert rule_of_end(kind, reason, detail, event, CRM) == said


def test_what_was_changed_is_told_with_both_values():
    event = {
        "type": "identify",
        "traits": {"firstName": "Ann", "age": 42, "address": {"postalCode": "1"}},
        "asSent": {
            "traits.firstName": {"name": "first_name", "value": "Ann"},
            "traits.age": {"name": "age", "value": "42"},
            "traits.address.postalCode": {"name": "zip", "value": 1},
        },
        "timestamp": "2026-01-15T10:13:20.000Z",
        "originalTimestamp": "2026-01-15T11:13:20.000Z",
        "timestampSource": "corrected",
        "source": "web",
        "version": 1,
        "receivedAt": "2026-01-15T10:13:20.000Z",
    }
    told = [(c["path"], c["from"], c["to"], c["why"]) for c in changes_of(event)]
    assert told == [
        ("traits.firstName", "Ann", "Ann", "renamed from traits.first_name"),
        ("traits.age", "42", 42, "coerced"),
        (
            "traits.address.postalCode",
            1,
            "1",
            "renamed from traits.address.zip and coerced",
        ),
        (
            "timestamp",
            "2026-01-15T11:13:20.000Z",
            "2026-01-15T10:13:20.000Z",
            "the sender's clock was ahead",
        ),
    ]
    sent = as_sent(event)
    assert sent["traits"] == {"first_name": "Ann", "age": "42", "address": {"zip": 1}}
    assert not {"asSent", "source", "version", "receivedAt"} & sent.keys()


def test_an_event_that_nothing_was_changed_of_has_no_changes():
    assert changes_of({"traits": {"a": 1}}) == []
