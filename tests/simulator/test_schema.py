"""The schema describes the files as they are written: what the shipped ones hold, and what loads."""

import copy
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from heartbench.hub import HubSettings
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.profile import PROFILES, Profile
from heartbench.simulator.scenario import SCENARIOS, Scenario
from heartbench.simulator.schema import Schema, profile_schema, scenario_schema
from heartbench.simulator.tomlfile import Table
from heartbench.simulator.units import DURATION_PATTERN, parse_duration

SCENARIO, PROFILE = Draft7Validator(scenario_schema()), Draft7Validator(profile_schema())
FLEET = tomllib.loads(SCENARIOS.text("mixed-fleet"))
LINK = tomllib.loads(PROFILES.text("wireguard-5g"))


def problems(validator: Draft7Validator, data: dict[str, Any]) -> list[str]:
    """Return where the data do not fit, with dots between the keys."""
    return [".".join(map(str, error.absolute_path)) for error in validator.iter_errors(data)]


def changed(data: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return the data with another value at `path`."""
    result = copy.deepcopy(data)
    *steps, last = path.split(".")
    place: Any = result
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[last] = value
    return result


@pytest.mark.parametrize("schema", [scenario_schema(), profile_schema()], ids=["scenario", "profile"])
def test_the_schema_is_one_of_draft_7(schema: Schema) -> None:
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == Draft7Validator.META_SCHEMA["$schema"]


@pytest.mark.parametrize("name", SCENARIOS.names())
def test_a_shipped_scenario_fits(name: str) -> None:
    assert problems(SCENARIO, tomllib.loads(SCENARIOS.text(name))) == []


@pytest.mark.parametrize("name", PROFILES.names())
def test_a_shipped_profile_fits(name: str) -> None:
    assert problems(PROFILE, tomllib.loads(PROFILES.text(name))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("duration", 3600),
        ("group.0.start_spread", "1h30m"),
        ("group.0.link", {"outage": {"rate_factor": 2}}),
        ("group.0.link.outage.observed", {"hours": 5}),
        ("hub.forget_after", "30d"),
        ("hub.store_durability", "buffered"),
    ],
)
def test_what_users_write_fits(path: str, value: object) -> None:
    assert problems(SCENARIO, changed(FLEET, path, value)) == []


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("duration", "1 fortnight", "duration"),
        ("seed", 0.5, "seed"),
        ("group.0.nodes", 0, "group.0.nodes"),
        ("group.0.heartbeat_interval_s", 10, "group.0"),
        ("group.0.heartbeat_interval", -1, "group.0.heartbeat_interval"),
        ("group.0.link.outage.shape", 1.0, "group.0.link.outage.shape"),
        ("group.0.link.outage.tail", "cauchy", "group.0.link.outage"),
        ("fault.0.kind", "explode", "fault.0.kind"),
        ("hub.stale_after", 30, "hub"),
        ("hub.stale_after_s", 0, "hub.stale_after_s"),
        ("hub.forget_after", "a while", "hub.forget_after"),
    ],
)
def test_what_a_scenario_cannot_hold_does_not_fit(path: str, value: object, where: str) -> None:
    assert problems(SCENARIO, changed(FLEET, path, value)) == [where]


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("up.base_delay", "30 parsecs", "up.base_delay"),
        ("up.jitter", [[0.5, "1ms", "2ms"]], "up.jitter.0"),
        ("up.jitter", [[1.5, "1ms"]], "up.jitter.0.0"),
        ("outage.lengths", "long", "outage.lengths"),
        ("outage.hold", 2, "outage.hold"),
        ("middle", {}, ""),
    ],
)
def test_what_a_profile_cannot_hold_does_not_fit(path: str, value: object, where: str) -> None:
    assert problems(PROFILE, changed(LINK, path, value)) == [where]


@pytest.mark.parametrize("missing", ["duration", "group"])
def test_what_is_required_is_missed(missing: str) -> None:
    assert problems(SCENARIO, {key: value for key, value in FLEET.items() if key != missing}) == [""]
    assert problems(PROFILE, {key: value for key, value in LINK.items() if key != "up"}) == [""]


def properties(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield each key of each table with its own schema."""
    for name, table in {"": schema, **schema["$defs"]}.items():
        yield from ((f"{name}.{key}", each) for key, each in table.get("properties", {}).items())


@pytest.mark.parametrize("schema", [scenario_schema(), profile_schema()], ids=["scenario", "profile"])
def test_every_key_says_what_it_means(schema: Schema) -> None:
    def has_meaning(each: Schema) -> bool:
        table = schema["$defs"].get(each.get("$ref", "").rpartition("/")[2], {})
        return bool(each.get("description") or table.get("description"))

    assert [key for key, each in properties(schema) if not has_meaning(each)] == []


@pytest.mark.parametrize("model", [Scenario, Profile])
def test_keys_are_those_of_the_file(model: type[Table]) -> None:
    schema = scenario_schema() if model is Scenario else profile_schema()
    assert list(schema["properties"]) == [field.alias for field in model.model_fields.values()]
    assert [key for key, _ in properties(schema) if key.endswith("_s") and not key.startswith(".")] == []


def test_the_hub_s_settings_are_those_that_a_scenario_may_set() -> None:
    hub = scenario_schema()["properties"]["hub"]
    assert list(hub["properties"]) == list(HubSettings.model_fields)
    assert hub["additionalProperties"] is False


@given(st.from_regex(DURATION_PATTERN.replace(r"\d", "[0-9]").replace(r"\s", " "), fullmatch=True))
def test_a_text_that_fits_is_a_duration(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except SimulatorError:  # no pattern holds a number below a bound
        assert "e" in text or len(text) > 300
