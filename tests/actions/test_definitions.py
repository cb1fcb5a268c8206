"""What an install wrote is read without Node, and found by every name it has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.actions.definitions import (
    ROOT,
    Choice,
    Installed,
    definition,
    find,
    place,
)
from gateway.errors import ConfigError

Put = Callable[[], Installed]


def test_an_installation_counts_when_it_is_ready(
    tmp_path: Path, installed: Put
) -> None:
    assert find(tmp_path / ROOT) is None
    put = installed()
    found = find(tmp_path / ROOT)
    assert found is not None
    assert (found.folder, found.version) == (put.folder, "1.2.3")
    (put.folder / "ready").unlink()
    assert find(tmp_path / ROOT) is None


@pytest.mark.parametrize(
    "name",
    ["acme", "ACME", "actions-acme", "0123456789ABCDEF01234567", "acme (actions)"],
)
def test_it_is_found_by_directory_slug_catalogue_id_and_name_in_any_case(
    installed: Put, name: str
) -> None:
    assert installed().look_up(name).directory == "acme"


def test_a_directory_wins_over_a_slug_that_is_called_so(installed: Put) -> None:
    package = installed()
    assert package.look_up("acme-lists").slug == "acme"
    assert package.look_up("acme").directory == "acme"


def test_what_is_not_known_is_told_with_the_nearest(installed: Put) -> None:
    package = installed()
    assert package.get("acne-list") is None
    with pytest.raises(ConfigError) as told:
        package.look_up("Acne-lists")
    assert str(told.value) == (
        "actions:Acne-lists: no such destination in 1.2.3; did you mean acme-lists?; "
        "gateway destinations lists them"
    )


def test_a_field_says_all_that_a_configuration_needs(installed: Put) -> None:
    acme = installed().look_up("acme")
    key, region, port = acme.settings.values()
    assert (key.label, key.secret, key.required) == ("API Key", True, True)
    assert (region.secret, region.required) == (False, False)
    assert region.choices[0] == Choice("EU \U0001f1ea\U0001f1fa", "Europe")
    assert (port.type, port.default, port.choices) == ("number", None, ())
    fields = acme.actions["identify"].fields
    assert fields["email"].required == {
        "match": "any",
        "conditions": [{"fieldKey": "kind", "operator": "is", "value": "person"}],
    }
    assert (fields["tags"].multiple, fields["tags"].dynamic) == (True, True)
    assert fields["tags"].properties["name"].type == "string"
    size = fields["batch_size"]
    assert (size.minimum, size.maximum, size.hidden) == (1, 1000, True)


@pytest.mark.parametrize(("default", "kept"), [("ANY", None), ("EU", "EU")])
def test_a_settings_default_is_one_of_its_choices_or_none(
    default: str, kept: str | None
) -> None:
    region = {"type": "string", "required": True, "choices": ["US", "EU"]}
    raw = {"id": "1", "fails": None, "settings": {"region": region}}
    region["default"] = default
    assert definition("acme", raw).settings["region"].default == kept


def test_an_action_says_its_default_mapping_and_sync_modes(installed: Put) -> None:
    identify = installed().look_up("acme").actions["identify"]
    assert identify.defaults == {
        "id": {"@path": "$.userId"},
        "email": {"@path": "$.traits.email"},
        "session": {"@path": "$.integrations.Acme Web.session"},
        "batch_size": 100,
    }
    assert identify.sync_mode is not None
    assert [each.value for each in identify.sync_mode.choices] == ["add", "upsert"]
    assert (identify.batch, identify.hooks) == (True, ("onMappingSave",))


def test_only_automatic_presets_of_its_own_actions_run(installed: Put) -> None:
    acme = installed().look_up("acme")
    assert len(acme.presets) == 3
    assert [each.name for each in acme.automatic] == ["Identify Calls"]


def test_one_that_does_not_load_says_why_and_is_listed(installed: Put) -> None:
    package = installed()
    queue = package.look_up("queue")
    assert queue.fails == "the gateway leaves out queue-client: it sends by HTTP only"
    assert [each.directory for each in package] == ["acme", "acme-lists", "queue"]


@pytest.mark.parametrize("content", [None, "{"])
def test_a_broken_installation_says_its_remedy(
    tmp_path: Path, installed: Put, content: str | None
) -> None:
    file = installed().folder / "definitions.json"
    file.unlink() if content is None else file.write_text(content)
    found = find(tmp_path / ROOT)
    assert found is not None
    with pytest.raises(
        ConfigError, match=f"rm -r {place(tmp_path / ROOT)}, then gateway act"
    ):
        found.look_up("acme")
