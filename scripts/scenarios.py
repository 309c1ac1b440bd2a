"""Write docs/scenarios.md from the schemas of scenarios and profiles; `--check` fails if the page is out of date."""

import json
from pathlib import Path
from typing import Any

from generated_page import COMMAND, bounds, choices, in_a_cell, resolved, write_or_check

from heartbench.simulator.scenario import SCENARIOS
from heartbench.simulator.schema import Schema, is_duration, profile_schema, scenario_schema

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scenarios.md"
EXAMPLE = "mixed-fleet"
UNITS = {"_bytes": "bytes", "hours": "h", "output_rate": "bytes/s", "bit_rate": "bit/s"}
TYPES = {"string": "text", "boolean": "`true`, `false`", "integer": "integer", "number": "number", "object": "table"}
OF_A_PROFILE = "Profile"
HEAD = f"""# Scenarios and profiles

<!-- Generated from simulator/schema.py: {COMMAND} -->

A scenario is a TOML file: a fleet on a network, what goes wrong and when, and how the hub is set. A profile is another:
what a network does to packets ([profiles.md](profiles.md) shows how to write one of yours). This page lists every key.

A *duration* is text such as `"85ms"`, `"90s"`, `"1h30m"` or `"7d"`, or a bare number of seconds; at most 1e9 s. A key
without a default may be left out unless it is *required*; its meaning then says what holds. Names in brackets, `[…]`,
are tables; those in double brackets, `[[…]]`, can be repeated. The program rejects unknown keys, and values that
contradict each other, with one line that names the file, the key and what is allowed.

For completion and checks in an editor that knows JSON Schema (Even Better TOML, Taplo and others):

```console
$ heartbench scenarios schema > scenario.schema.json    # begin your file with: #:schema ./scenario.schema.json
$ heartbench profiles schema > profile.schema.json
```

## A mixed fleet

`heartbench scenarios show {EXAMPLE}` prints this scenario, `heartbench run {EXAMPLE}` runs it.

```toml
{SCENARIOS.text(EXAMPLE)}```
"""
SCENARIO = """
## Keys of a scenario

`heartbench run mine.toml` runs a scenario, `--set KEY=VALUE` changes a key (`--set group.edge.nodes=10`), and
`heartbench scenarios show mine.toml` prints every key with its value.
"""
LINK = """
### `[group.link]`

The keys of a profile, all optional: what is not set is as in the group's `profile`. A list replaces the whole list.

### `[group.link]`, without a `profile`

"""
HUB = """
### `[hub]`

Settings by their names in lower case without `HUB_`, as [configuration.md](configuration.md) lists them:
`stale_after_s = 30.0`. Values are in seconds, as the names say.
"""
PROFILE = """
## Keys of a profile

`heartbench profiles show mine.toml` prints every key with its value, and the figures of the link.
"""


def page() -> str:
    """Return the whole page."""
    schema = scenario_schema()
    scenario, replay = sections(schema, but=OF_A_PROFILE), schema["$defs"]["Replay"]
    link = f"{LINK}{replay['description']}\n\n{table_of(replay, schema['$defs'])}"
    return HEAD + SCENARIO + scenario + link + HUB + PROFILE + sections(profile_schema())


def sections(schema: Schema, but: str = "") -> str:
    """Return a section for each table of a file; those of the table `but` are left out."""
    places: dict[str, list[str]] = {}
    _find(schema, schema["$defs"], "", places, but)
    return f"\n{table_of(schema, schema['$defs'])}" + "".join(
        section(schema["$defs"][name], headings, schema["$defs"]) for name, headings in places.items()
    )


def _find(table: Schema, definitions: Schema, path: str, places: dict[str, list[str]], but: str) -> None:
    """Collect where each table stands, by its name, from the top of the file down."""
    for key, each in table["properties"].items():
        inner, brackets = (each["items"], "[[{}]]") if each.get("type") == "array" else (each, "[{}]")
        name = inner.get("$ref", "").rpartition("/")[2]
        if name != but and "properties" in definitions.get(name, {}):
            places.setdefault(name, []).append(brackets.format(path + key))
            _find(definitions[name], definitions, f"{path}{key}.", places, but)


def section(table: Schema, headings: list[str], definitions: Schema) -> str:
    """Return the section of one table."""
    heading = ", ".join(f"`{each}`" for each in headings)
    return f"\n### {heading}\n\n{table['description']}\n\n{table_of(table, definitions)}"


def table_of(table: Schema, definitions: Schema) -> str:
    """Return the keys of a table, one in a row."""
    required = table.get("required", [])
    head = "| key | type | unit | default | meaning |\n| --- | --- | --- | --- | --- |\n"
    return head + "".join(
        row(key, resolved(each, definitions), definitions, key in required) for key, each in table["properties"].items()
    )


def row(key: str, schema: Schema, definitions: Schema, required: bool) -> str:
    """Return one key as a row."""
    default = "required" if required else f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
    meaning = in_a_cell(schema["description"].partition("\n\n")[0])
    return f"| `{key}` | {type_of(schema, definitions)} | {unit_of(key, schema)} | {default} | {meaning} |\n"


def type_of(schema: Schema, definitions: Schema) -> str:
    """Return which values a key may have."""
    schema = resolved(schema, definitions)
    if is_duration(schema):
        return "duration"
    if "enum" in schema:
        return choices(schema["enum"])
    if isinstance(schema["type"], list):
        return " or ".join(TYPES[each] for each in schema["type"])
    if schema["type"] != "array":
        return f"{TYPES[schema['type']]} {bounds(schema)}".rstrip()
    items = schema["items"]
    if isinstance(items, list):
        return f"[{', '.join(type_of(each, definitions) for each in items)}]"
    return f"list of {type_of(items, definitions)}".replace("of table", "of tables")


def unit_of(key: str, schema: dict[str, Any]) -> str:
    """Return the unit of a bare number; the names of keys say it."""
    if is_duration(schema):
        return "s"
    return next((unit for suffix, unit in UNITS.items() if key.endswith(suffix)), "")


def main() -> None:
    """`scenarios.py [--check]`."""
    write_or_check(PAGE, page())


if __name__ == "__main__":
    main()
