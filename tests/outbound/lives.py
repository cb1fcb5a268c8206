"""A life of a world from its seed: what happens, and what must hold whatever happens.

Who can be served is served within seconds, whatever others are answered. Nobody who can
be served is given up while the destination is away. What fails while others are served
ends, for its own reason. A destination that serves nobody is left in peace. A restart
changes nothing of this.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from gateway.event import EventType
from gateway.outbound.breaker import REJECTIONS
from gateway.outbound.contract import Takes
from tests.outbound.worlds import OURS, REFUSALS, Person, World

PROBE_S = 10.0
RESTARTS = 2
ATTEMPTS = 100  # of one event: by its own time, however often the breaker closes
MANY = 8  # senders: some are kept for others when requests hang
SOON_S = 20.0  # "within seconds"
QUIET_S = 30.0  # after that much of an outage only its pace is left
REASONS = {"400": "rejected", "too_large": "too_large", "bug": "bug", "filter": "bug"}
PATIENT = ("401", "403", "407")  # after these it is asked less
ASKED_S = {"later": 40.0, "much later": 80.0}  # or until max_age: a blip opens nothing
KINDS = (*REFUSALS, *OURS)
TYPES: frozenset[EventType] = frozenset({"identify"})


@dataclass(slots=True)
class Life:
    """What a seed decides, and what came of it."""

    seed: int
    world: World = field(init=False)
    chance: random.Random = field(init=False)
    delivery: dict[str, float] = field(init=False)
    restarts_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = chance = random.Random(self.seed)
        self.delivery = {
            "concurrency": chance.choice([1, 2, 4, 8, 32, 32]),
            "max_age_s": chance.choice([40.0, 80.0]),
            "retry_base_s": chance.choice([0.2, 1.0]),
            "retry_cap_s": chance.choice([8.0, 30.0]),
            "probe_every_s": PROBE_S,
        }

    @property
    def senders(self) -> int:
        return int(self.delivery["concurrency"])

    async def live(self) -> None:
        chance = self.chance
        self.world = world = World(
            takes=Takes(types=TYPES, batch_events=chance.choice([1, 1, 1, 10])),
            timeout_s=chance.choice([1.0, 5.0]),
            order=chance.choice(["person", "person", "none"]),
        )
        self._people()
        feeding = asyncio.create_task(self._feed())
        while not feeding.done():
            async with world.working(chance.random, **self.delivery) as worker:
                run_s = chance.choice([1e9, 1e9, chance.uniform(5.0, 40.0)])
                run_s = 1e9 if len(self.restarts_s) == RESTARTS else run_s
                await asyncio.wait([feeding], timeout=run_s)
                assert worker.state()["running"]
            self.restarts_s.append(asyncio.get_running_loop().time())
        feeding.result()

    def _people(self) -> None:
        chance, world = self.chance, self.world
        some = chance.sample(KINDS, chance.choice([1, 1, 2, 4]))
        bad = chance.choice([0, 1, 2, 3, 5, 20, 20, 100])
        hanging = 0
        for number in range(bad):
            how = chance.choice(some)
            hanging += how == "hang"
            kept = 2 * self.senders if self.senders >= MANY else self.senders // 4
            if how == "hang" and hanging > kept:
                continue
            key = f"{'filter' if how == 'filter' else 'bad'}{number}"
            heals_s = chance.choice([1e12, 1e12, 1_000.0 + chance.uniform(0, 90)])
            world.people[key] = Person(key, how, heals_s)
        for number in range(chance.choice([5, 20, 60])):
            world.people[f"good{number}"] = Person(f"good{number}")

    async def _feed(self) -> None:
        """A block, some lively time, perhaps an outage, then long enough to age."""
        good = [key for key, each in self.world.people.items() if not each.how]
        bad = [key for key, each in self.world.people.items() if each.how]
        chance = self.chance
        block = bad + chance.sample(good, chance.choice([0, 3]))
        chance.choice((chance.shuffle, list.reverse, list.sort))(block)
        for key in block:
            self.world.log.append(key)
        await self._go_on(good, bad, for_s=12.0, every_s=chance.choice([0.1, 0.4]))
        if chance.random() < 0.5:
            await self._outage(good, bad)
        old_age_s = self._old_age_s() if bad or self.world.outages else QUIET_S
        await self._go_on(good, [], for_s=old_age_s, every_s=5.0)
        await asyncio.sleep(SOON_S)

    def _old_age_s(self) -> float:
        """Until what fails has ended: the events of a person, one after the other.

        One in the block, one in the lively time, one in the outage if there is one.
        """
        age_s = self.delivery["max_age_s"] + self.delivery["retry_cap_s"]
        return (2 + len(self.world.outages)) * age_s + 40.0 * RESTARTS

    async def _outage(self, good: list[str], bad: list[str]) -> None:
        now_s = asyncio.get_running_loop().time()
        how = self.chance.choice(list(REFUSALS))
        for_s = self.chance.choice([3.0, 40.0, 150.0])
        self.world.outages.append((now_s, now_s + for_s, how))
        await self._go_on(good, bad[:20], for_s=for_s, every_s=1.0)

    async def _go_on(
        self, good: list[str], bad: list[str], *, for_s: float, every_s: float
    ) -> None:
        loop, chance = asyncio.get_running_loop(), self.chance
        end_s = loop.time() + for_s
        left = [key for key in bad if chance.random() < 0.3]
        while loop.time() < end_s:
            self.world.log.append(chance.choice(good))
            if left and chance.random() < 0.5:
                self.world.log.append(left.pop())
            await asyncio.sleep(every_s * chance.uniform(0.5, 1.5))


def judge(life: Life) -> None:
    """Everything that must hold; an AssertionError names the event."""
    for check in (everything_ended, who_can_be_served, who_cannot, order, peace):
        check(life)


def everything_ended(life: Life) -> None:
    log = life.world.log
    left = [record.key for record in log.records if record.offset not in log.ends]
    assert not left, f"{len(left)} are left: {left[:5]}"


def _served_from(life: Life, at_s: float) -> float:
    """From when on who came then can be served: the end of outages and restarts."""
    for start_s, end_s, how in life.world.outages:
        hows = {how, *(person.how for person in life.world.people.values())}
        patient = hows & {*PATIENT, *ASKED_S}  # then probes are seldom
        waits_s = life.world.timeout_s + (PROBE_S if patient else 0.0)
        from_s = end_s + ASKED_S.get(how, 0.0) + waits_s
        if start_s - SOON_S <= at_s < from_s:
            at_s = from_s
    for restart_s in life.restarts_s:
        if at_s <= restart_s <= at_s + SOON_S:
            at_s = restart_s
    return at_s


def who_can_be_served(life: Life) -> None:
    log, people = life.world.log, life.world.people.values()
    hanging = sum(person.how == "hang" for person in people)
    soon_s = SOON_S + (8 * life.world.timeout_s if hanging > life.senders // 4 else 0.0)
    given_up: Counter[str] = Counter()
    for record, appended_s in zip(log.records, log.appended_s, strict=True):
        person = life.world.people[record.key.decode()]
        if person.how:
            continue
        end = log.ends[record.offset]
        if end["kind"] == "delivered":
            waited_s = end["at_s"] - _served_from(life, appended_s)
            assert waited_s <= soon_s, f"{person.key} waited for {waited_s:.1f} s"
        else:
            given_up[end["reason"]] += 1
    refused = [how for _, _, how in life.world.outages if how in REASONS]
    most = REJECTIONS * (1 + len(life.restarts_s)) + 10 * life.senders
    for reason, count in given_up.items():
        assert reason in [REASONS[how] for how in refused], f"{count} {reason}"
        assert count <= most, f"{count} {reason}"


def who_cannot(life: Life) -> None:
    log = life.world.log
    for record in log.records:
        person = life.world.people[record.key.decode()]
        if not person.how or person.heals_s < 1e9:
            continue
        end = log.ends[record.offset]
        wanted = {REASONS.get(person.how, "max_age"), "pressure"}
        wanted |= {REASONS.get(how, "max_age") for _, _, how in life.world.outages}
        assert end["kind"] == "dead", f"{person} was {end['kind']}"
        assert end["reason"] in wanted, f"{person}: {end['reason']}"
        assert end["attempts"] <= ATTEMPTS, f"{person}: {end['attempts']} attempts"


def order(life: Life) -> None:
    if life.world.order == "none":
        return
    for key, numbers in life.world.got.items():
        once = list(dict.fromkeys(numbers))
        assert once == sorted(once), f"{key}: {once}"


def peace(life: Life) -> None:
    """While nobody is served: the pace of probes, after a first burst."""
    for start_s, end_s, how in life.world.outages:
        began = [at_s for at_s in life.restarts_s if start_s <= at_s < end_s]
        late_s = 30.0 if how in REASONS else 0.0  # until 20 of them are rejected
        from_s = max([start_s, *began]) + QUIET_S + late_s
        count = sum(
            from_s <= at_s < end_s and not life.world.people[key].how
            for at_s, key in life.world.requests
        )
        most = max(0.0, end_s - from_s) * (2 * 10 / PROBE_S + 1 / PROBE_S) + 3
        assert count <= most, f"{count} requests in {end_s - from_s:.0f} s of {how}"
