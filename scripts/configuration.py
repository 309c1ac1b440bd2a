"""Write docs/configuration.md from the settings of the hub; `--check` fails if the page is out of date."""

from pathlib import Path
from typing import Any

from generated_page import COMMAND, bounds, choices, in_a_cell, resolved, write_or_check

from heartbench.hub.config import HubSettings
from heartbench.hub.envfile import env_name, env_value
from heartbench.hub.operations.reload import LIVE
from heartbench.simulator.schema import schema_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
HEAD = f"""# Settings of the hub

<!-- Generated from hub/config.py: {COMMAND} -->

A setting comes from the environment, else from the file of `heartbench hub --env FILE`, else it has its default. An
invalid value ends the start with one line that names it. Settings marked *live* are taken over while the hub runs, on
SIGHUP or when the file changes ([operations.md](operations.md#reload)); the others need a restart. `heartbench hub
--print-config` shows the values that a hub would start with, and where each comes from.

| setting | default | allowed | | meaning |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the whole page."""
    schema = schema_of(HubSettings)
    return HEAD + "".join(
        row(name, resolved(each, schema["$defs"]))
        for name, each in zip(HubSettings.model_fields, schema["properties"].values(), strict=True)
    )


def row(name: str, schema: dict[str, Any]) -> str:
    """Return one setting as a row of the table."""
    value = env_value(HubSettings.model_fields[name].default)
    default = f"`{value}`" if value else "empty"
    live, meaning = "live" if name in LIVE else "", in_a_cell(schema["description"])
    return f"| `{env_name(name)}` | {default} | {allowed(schema)} | {live} | {meaning} |\n"


def allowed(schema: dict[str, Any]) -> str:
    """Return which values a setting may have."""
    if "enum" in schema:
        return choices(schema["enum"])
    if schema["type"] == "boolean":
        return "`0`, `1`"
    if schema["type"] != "string":
        return bounds(schema)
    return "a path" if schema.get("format") == "path" else "text"


def main() -> None:
    """`configuration.py [--check]`."""
    write_or_check(PAGE, page())


if __name__ == "__main__":
    main()
