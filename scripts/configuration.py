"""Write docs/configuration.md from the settings of the hub; `--check` fails if the page is out of date."""

import sys
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from heartbench.hub.config import HubSettings
from heartbench.hub.envfile import env_name, env_value
from heartbench.hub.operations.reload import LIVE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
COMMAND = "make pages"
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
    return HEAD + "".join(row(name, field) for name, field in HubSettings.model_fields.items())


def row(name: str, field: FieldInfo) -> str:
    """Return one setting as a row of the table."""
    value = env_value(field.default)
    meaning = " ".join(str(field.description).split()).replace("|", "\\|")
    default = f"`{value}`" if value else "empty"
    return f"| `{env_name(name)}` | {default} | {allowed(field)} | {'live' if name in LIVE else ''} | {meaning} |\n"


def allowed(field: FieldInfo) -> str:
    """Return which values a setting may have."""
    kind: Any = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    if kind is bool:
        return "`0`, `1`"
    if kind in {int, float}:
        return limits(field.metadata)
    return "a path" if Path in get_args(kind) else "text"


def limits(metadata: list[Any]) -> str:
    """Return the bounds of a number."""
    words = {Ge: "from {}", Gt: "over {}", Le: "to {}", Lt: "under {}"}
    bounds = {type(one): getattr(one, type(one).__name__.lower()) for one in metadata if type(one) in words}
    return " ".join(words[kind].format(env_value(value)) for kind, value in bounds.items())


def main() -> None:
    """`configuration.py [--check]`."""
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE.name} is out of date; run: {COMMAND}")


if __name__ == "__main__":
    main()
