"""What the generated pages of docs/ share: words for the values that a JSON Schema allows, and writing or checking."""

import sys
from pathlib import Path
from typing import Any

from heartbench.hub.envfile import env_value

COMMAND = "make pages"
BOUNDS = {"minimum": "from {}", "exclusiveMinimum": "over {}", "maximum": "to {}", "exclusiveMaximum": "under {}"}


def resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with what its reference says; its own keywords go before."""
    reference = schema.get("$ref")
    return definitions[reference.rpartition("/")[2]] | schema if reference else schema


def bounds(schema: dict[str, Any]) -> str:
    """Return the bounds of a number."""
    return " ".join(words.format(env_value(schema[key])) for key, words in BOUNDS.items() if key in schema)


def choices(values: list[str]) -> str:
    """Return the values of an enumeration."""
    return ", ".join(f"`{value}`" for value in values)


def in_a_cell(text: str) -> str:
    """Return a text so that it fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def write_or_check(page: Path, text: str) -> None:
    """Write a page; with `--check`, end with an error if it is out of date."""
    if "--check" not in sys.argv:
        page.write_text(text, encoding="utf-8")
    elif page.read_text(encoding="utf-8") != text:
        sys.exit(f"{page.name} is out of date; run: {COMMAND}")
