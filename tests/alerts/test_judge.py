"""When a trouble is told and when it is over: once each, whatever the levels do."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.alerts.judge import Key, Trouble, judge
from gateway.alerts.message import Message
from gateway.alerts.rules import Level
from gateway.alerts.settings import Alerts, DestinationDown, EventStopped

SETTINGS = Alerts(
    slack="https://hooks.example/x", destination_down=DestinationDown(for_s=60)
)
DOWN: Key = ("destination_down", "crm")


def level(state, subject="crm", text="crm serves nobody") -> Level:
    return Level(rule="destination_down", subject=subject, state=state, text=text)


class World:
    """Looks every 30 seconds; a restart forgets what the file does not keep."""

    def __init__(self, settings: Alerts = SETTINGS) -> None:
        self.settings, self.now_ms = settings, 0
        self.troubles: dict[Key, Trouble] = {}
        self.told: list[Message] = []

    def look(self, *states: str) -> list[Message]:
        said: list[Message] = []
        for state in states:
            found = {"destination_down": [level(state)]}
            said += self.judge(found)
        return said

    def judge(self, found) -> list[Message]:
        self.troubles, said = judge(self.troubles, found, self.settings, self.now_ms)
        self.now_ms += 30_000
        self.told += said
        return said

    def restart(self) -> None:
        self.troubles = {k: each for k, each in self.troubles.items() if each.told}


def states(messages: Sequence[Message]) -> list[str]:
    return [each.state for each in messages]


def test_it_is_told_once_when_it_was_bad_for_long_enough() -> None:
    world = World()
    assert world.look("bad", "bad") == []
    (said,) = world.look("bad")
    assert (said.state, said.subject, said.since_ms) == ("begins", "crm", 0)
    assert said.text == "destination_down: crm serves nobody"
    assert world.look("bad", "bad", "between", "bad") == []


def test_what_is_short_is_never_told() -> None:
    assert World().look("bad", "bad", "good", "bad", "bad", "good") == []


def test_its_end_is_told_once_when_it_was_good_for_long_enough() -> None:
    world = World()
    world.look("bad", "bad", "bad")
    assert world.look("good", "good") == []
    (said,) = world.look("good")
    assert said.state == "ends"
    assert said.text == "destination_down: over after 90 s: crm serves nobody"
    assert world.look("good", "good", "good") == []


def test_wavering_changes_nothing() -> None:
    world = World()
    world.look("bad", "bad", "bad")
    assert world.look("good", "bad", "good", "between", "good", "bad") == []
    assert states(world.look("good", "good", "good")) == ["ends"]


def test_what_is_not_known_changes_nothing() -> None:
    world = World()
    world.look("bad", "bad", "bad")
    assert world.look("unknown", "unknown", "unknown") == []
    assert world.judge({}) == []
    assert DOWN in world.troubles


def test_a_restart_repeats_nothing_and_still_tells_the_end() -> None:
    world = World()
    world.look("bad", "bad", "bad")
    world.restart()
    assert world.look("bad", "bad", "bad") == []
    world.restart()
    assert states(world.look("good", "good", "good")) == ["ends"]


def test_the_same_trouble_again_has_another_id() -> None:
    world = World()
    world.look(*(["bad"] * 3 + ["good"] * 3) * 2)
    assert states(world.told) == ["begins", "ends", "begins", "ends"]
    assert len({each.id for each in world.told}) == 4


def test_what_is_not_there_any_more_is_over() -> None:
    world = World()
    world.look("bad", "bad", "bad")
    (said,) = world.judge({"destination_down": []})
    assert said.state == "ends"
    assert "crm is not watched any more" in said.text
    assert world.troubles == {}


def test_a_rule_that_is_switched_off_is_forgotten_without_a_word() -> None:
    world = World()
    world.look("bad", "bad", "bad")
    world.settings = replace(SETTINGS, destination_down=DestinationDown(enabled=False))
    assert world.judge({}) == []
    assert world.troubles == {}


def test_more_than_ten_at_once_are_one_message() -> None:
    settings = replace(SETTINGS, event_stopped=EventStopped())
    world = World(settings)
    levels = [
        Level(rule="event_stopped", subject=f"web / {n}", state="bad", text="silent")
        for n in range(37)
    ]
    (said,) = world.judge({"event_stopped": levels})
    assert said.subject == "37 at once"
    assert said.text.endswith("web / 19 and 17 more")
    assert len(said.facts["subjects"]) == 37
    (over,) = world.judge({"event_stopped": [replace(e, state="good") for e in levels]})
    assert (over.state, len(world.troubles)) == ("ends", 0)


@given(st.lists(st.sampled_from(["bad", "between", "good", "unknown", "restart"])))
def test_beginnings_and_ends_take_turns_whatever_happens(seen: list[str]) -> None:
    world = World()
    for each in seen:
        if each == "restart":
            world.restart()
        else:
            world.look(each)
    said = states(world.told)
    assert said == (["begins", "ends"] * len(said))[: len(said)]
    assert (DOWN in world.troubles and world.troubles[DOWN].told) == (len(said) % 2 > 0)


@given(st.lists(st.sampled_from(["bad", "between", "good"]), min_size=1))
def test_a_trouble_that_lasts_is_always_told_and_its_end_too(seen: list[str]) -> None:
    world = World()
    world.look(*seen, "bad", "bad", "bad")
    assert states(world.told)[-1] == "begins"
    world.look("good", "good", "good")
    assert states(world.told)[-1] == "ends"
