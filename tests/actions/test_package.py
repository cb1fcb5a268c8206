"""The pinned packages as they are: what loads, what is counted, whom it asks.

``record.json`` beside this file is a record of it. A new version changes it; the
change is read and explained before it is taken (``ACCEPT=1`` writes it).
"""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import install
from gateway.actions.definitions import HERE, Definition, Installed
from tests.actions import kit

pytestmark = pytest.mark.service
RECORD = Path(__file__).parent / "record.json"
HOST = re.compile(r"https://((?:[a-z0-9-]+\.)+[a-z]{2,})")


@pytest.fixture(scope="session")
def package() -> Installed:
    return kit.package()


def hosts(package: Installed, directory: str) -> list[str]:
    """Every host that stands in its code as it is; not those of links in comments."""
    modules = package.folder / "node_modules/@segment/action-destinations/dist"
    found = set()
    for file in (modules / "destinations" / directory).rglob("*.js"):
        lines = file.read_text(encoding="utf-8").splitlines()
        code = [each for each in lines if not each.lstrip().startswith(("//", "*"))]
        texts = (each for each in code if "description" not in each)
        found |= {host for each in texts for host in HOST.findall(each)}
    return sorted(found)


def counted(package: Installed) -> dict[str, Any]:
    every = [*package]
    loaded = [each for each in every if each.fails is None]
    actions = [action for each in loaded for action in each.actions.values()]
    presets = [preset for each in loaded for preset in each.presets]
    return {
        "package": package.version,
        "registered": len(every),
        "loaded": len(loaded),
        "actions": len(actions),
        "triggers": sum(each.trigger is not None for each in actions),
        "batch": sum(each.batch for each in actions),
        "sync modes": sum(each.sync_mode is not None for each in actions),
        "presets": len(presets),
        "automatic presets": sum(each.automatic for each in presets),
        "that run here": sum(len(each.automatic) for each in loaded),
        "audiences": sum(each.audience for each in loaded),
        "credential tests": sum(each.tests for each in loaded),
        "refresh tokens": sum(each.refreshes for each in loaded),
        "schemes": dict(sorted(Counter(each.scheme for each in loaded).items())),
        "fails": {each.directory: each.fails for each in every if each.fails},
    }


def test_what_was_installed_is_whole(package: Installed) -> None:
    assert install.digest(package.folder / "node_modules") == install.pinned()


def test_205_of_214_load_and_the_counts_are_those_of_the_record(
    package: Installed,
) -> None:
    found = {
        **counted(package),
        "hosts": {each: hosts(package, each) for each in sorted(package.definitions)},
    }
    assert (found["registered"], found["loaded"]) == (214, 205)
    assert install.running(package) == 195
    if os.environ.get("ACCEPT"):
        RECORD.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(RECORD.read_text(encoding="utf-8"))


def test_each_is_found_by_each_of_its_names(package: Installed) -> None:
    for each in package:
        assert package.look_up(each.directory).directory == each.directory
        assert package.look_up(each.id).directory == each.directory
        if each.fails is None:
            for name in (each.slug, each.slug.upper(), each.name):
                assert package.look_up(name).name == each.name, name


def test_the_lock_names_no_address_and_a_hash_of_each() -> None:
    lock: Mapping[str, Any] = json.loads((HERE / "package-lock.json").read_text())
    for name, each in lock["packages"].items():
        resolved = each.get("resolved", "")
        assert resolved in {"", "file:absent"}, name
        assert name == "" or resolved or each["integrity"].startswith("sha512-"), name
        assert not each.get("hasInstallScript"), name


def test_licences_stay(package: Installed) -> None:
    for name in ("ajv", "lodash", "undici", "google-libphonenumber", "sax"):
        folder = package.folder / "node_modules" / name
        assert any(each.name.lower().startswith("licen") for each in folder.iterdir())


def test_a_known_definition_is_read_as_its_code_says(package: Installed) -> None:
    mixpanel: Definition = package.look_up("mixpanel")
    assert mixpanel.slug == "actions-mixpanel"
    assert mixpanel.settings["apiSecret"].secret
    region = mixpanel.settings["apiRegion"]
    assert region.default in [each.value for each in region.choices]
    names = {each.name: each.action for each in mixpanel.automatic}
    assert names["Identify Calls"] == "identifyUser"
    assert mixpanel.actions["identifyUser"].trigger == 'type = "identify"'
    assert package.look_up("amplitude").integrations == ("Actions Amplitude",)
