"""A second, naive reading of the identity rules, to hold the real one against.

People are a list; every question is a walk through it. Nothing of the gateway is used.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Model:
    email_identifies: bool
    by_cio: bool
    email_by_id: bool
    merge: bool
    people: list[dict[str, Any]] = field(default_factory=list)
    blocked: dict[tuple[str, str], int] = field(default_factory=dict)
    blocks: int = 0

    def kinds(self):
        return ("id", "email") if self.email_identifies else ("id",)

    def same(self, kind, one, other):
        if one is None or other is None:
            return False
        return one.lower() == other.lower() if kind == "email" else one == other

    def owner(self, kind, value):
        for person in self.people:
            if self.same(kind, person.get(kind), value):
                return person
        return None

    def block_of(self, kind, value):
        return self.blocked.get((kind, value.lower() if kind == "email" else value))

    def block(self, kind, value, group):
        key = (kind, value.lower() if kind == "email" else value)
        self.blocked.setdefault(key, group)

    def identify(self, new, channel, path, payload):
        """``path`` is (kind, value); the result, and what failed and why."""
        attributes, named = dict(payload), [path]
        for kind in ("id", "email", "cio_id"):
            if kind == "cio_id" or kind in self.kinds():
                value = attributes.pop(kind, None)
                named += [(kind, value)] if value else []
        cios = {value for kind, value in named if kind == "cio_id"}
        others = [each for each in named if each[0] != "cio_id"]
        if len(cios) > 1:
            return "ignored", []
        person = self.owner("cio_id", *cios) if cios else None
        if cios and person is None:
            return "ignored", []
        if self.spread(others, person):
            return "ignored_and_suppressed", []
        if not cios:
            person = self.find(others)
        result = "updated"
        if person is None:
            person = {"cio_id": new, "id": None, "email": None, "attributes": {}}
            self.people.append(person)
            result = "added"
        result, failures = self.rename(person, others, result, channel, bool(cios))
        for name, value in attributes.items():
            if value is None:
                person["attributes"].pop(name, None)
            else:
                person["attributes"][name] = value
        return result, failures

    def find(self, others):
        first = others[0][0]
        known = [self.owner(*others[0])]
        known += [self.owner(k, v) for k, v in others[1:] if k != first]
        return next((person for person in known if person is not None), None)

    def rename(self, person, others, result, channel, by_cio):
        failures, set_now = [], []
        named_id = person["id"] is not None and ("id", person["id"]) in others
        for kind, value in others:
            if self.same(kind, person[kind], value):
                continue
            other = self.owner(kind, value)
            why = None
            if other is not None:
                apart = not any(person[k] and other[k] for k in self.kinds())
                if self.merge and apart and not by_cio and result != "added":
                    self.join(person, other)
                    result = "merged"
                    continue
                why = "belongs_to_other_person"
            elif person[kind] is not None and kind in set_now:
                why = "identifier_already_set"
            elif person[kind] is not None:
                why = self.why_not(kind, channel, by_cio or channel == "ui", named_id)
            if why is None:
                person[kind] = value
                set_now.append(kind)
            else:
                failures.append((kind, value, why))
        return result, failures

    def why_not(self, kind, channel, by_cio, named_id):
        if channel in ("csv", "sync"):
            return "channel_cannot_change_identifier"
        if not self.email_identifies:
            return None if by_cio and self.by_cio else "id_immutable"
        if by_cio or (kind == "email" and self.email_by_id and named_id):
            return None
        return "needs_cio_id"

    def spread(self, others, person):
        groups = [self.block_of(*each) for each in others]
        if person is not None:
            own = [(k, person[k]) for k in self.kinds() if person[k]]
            groups += [self.block_of(*each) for each in own]
        groups = [group for group in groups if group is not None]
        for kind, value in others:
            if groups:
                self.block(kind, value, groups[0])
        return bool(groups)

    def join(self, primary, secondary):
        for kind in ("id", "email"):
            primary[kind] = primary[kind] or secondary[kind]
        for name, value in secondary["attributes"].items():
            if primary["attributes"].get(name) in (None, "") and value != "":
                primary["attributes"][name] = value
        self.people.remove(secondary)

    def delete(self, path):
        person = self.owner(*path)
        if person is None:
            return "ignored"
        self.people.remove(person)
        return "updated"

    def suppress(self, path):
        person = self.owner(*path)
        if person is None and path[0] == "cio_id":
            return "ignored"
        own = [] if person is None else [(k, person[k]) for k in self.kinds()]
        names: list[tuple[str, str]] = [path] if path[0] != "cio_id" else []
        names += [(k, v) for k, v in own if v]
        if not names:
            if person is not None:
                return None  # nobody can be added without an identifier
            return "ignored"
        groups = [g for g in (self.block_of(*n) for n in names) if g is not None]
        self.blocks += 1
        for each in names:
            self.block(*each, groups[0] if groups else self.blocks)
        if person is not None:
            self.people.remove(person)
        return "updated"

    def unsuppress(self, path):
        group = None if path[0] == "cio_id" else self.block_of(*path)
        if group is None:
            return "ignored"
        self.blocked = {k: g for k, g in self.blocked.items() if g != group}
        return "updated"

    def merge_people(self, path, secondary):
        one, other = self.owner(*path), self.owner(*secondary)
        if one is None or other is None or one is other:
            return "ignored"
        self.join(one, other)
        return "merged"
