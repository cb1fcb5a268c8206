"""Our corrections of default mappings: each says why, and is of what there is."""

import pytest

from gateway.actions import overlay, page
from gateway.actions.overlay import corrected, corrections
from gateway.event import Json
from tests.actions import kit

EVERY = [(d, action) for d, actions in overlay.overlay().items() for action in actions]


@pytest.mark.parametrize(("directory", "action"), EVERY)
def test_a_correction_says_why(directory: str, action: str) -> None:
    found = overlay.overlay()[directory][action]
    assert found.why.endswith(".")
    assert found.mapping


@pytest.mark.service
def test_a_correction_is_of_fields_that_the_package_has() -> None:
    package = kit.package()
    for directory, action in EVERY:
        fields = package.look_up(directory).actions[action].fields
        for key, fixed in corrections(directory, action).mapping.items():
            assert key in fields, (directory, action, key)
            if isinstance(fixed, dict) and fields[key].properties:
                inside = {each for each in fixed if not each.startswith("@")}
                assert inside <= fields[key].properties.keys(), (directory, key)


def test_a_correction_inside_of_a_table_leaves_its_other_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path: Json = {"@path": "$.a"}
    fixed = {"person": {"zip": "0"}, "all": {"@path": "$.b"}, "more": {"new": "1"}}
    made = {"acme": {"identify": overlay.Correction("Why.", fixed)}}
    monkeypatch.setattr(overlay, "overlay", lambda: made)
    default: dict[str, Json] = {"person": {"name": path, "zip": path}, "all": path}
    assert corrected(default, "acme", "identify") == {
        "person": {"name": path, "zip": "0"},
        "all": {"@path": "$.b"},
        "more": {"new": "1"},
    }
    assert corrected(default, "acme", "track") == default


@pytest.mark.service
def test_a_page_shows_what_is_corrected_and_asks_for_nothing_that_is() -> None:
    intercom = " ".join(page.of(kit.package().look_up("intercom"), None).split())
    assert "mapped by the gateway: role, signed_up_at Who has a user id is" in intercom
    assert "role = " not in intercom
