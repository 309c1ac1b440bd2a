"""Settings as text: reads and writes env files, durations and addresses, and explains mistakes in one line.

The environment variable of a setting, `HUB_STALE_AFTER_S`, is its name in capitals behind a prefix. Keys of other
programs in the same file are ignored; a key with our prefix that is not a setting is rejected.
"""

import io
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo

from heartbench.hub.errors import HubError
from heartbench.hub.printable import without_password

PREFIX = "HUB_"
UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_seconds(value: object) -> object:
    """Return `30d` and the like in s; leave anything else to the field's own check."""
    match = re.fullmatch(r"([0-9.]+)([smhdw]?)", value) if isinstance(value, str) else None
    return float(match[1]) * UNIT_S[match[2]] if match and match[1].count(".") < 2 else value


Seconds = Annotated[
    float,
    BeforeValidator(parse_seconds),
    Field(json_schema_extra={"type": ["number", "string"], "pattern": r"^\d+(\.\d*)?[smhdw]?$"}),
]
OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: None if value == "" else value)]
AnyCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)


def env_name(name: str) -> str:
    """Return the environment variable of a setting: `HUB_STALE_AFTER_S` for `stale_after_s`."""
    return PREFIX + name.upper()


def env_value(value: object) -> str:
    """Return a setting's value as it is written in an env file."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def env_entry(name: str, field: FieldInfo, value: object, always: bool) -> str:
    """Return a setting's meaning as a comment, and its line, which is commented out if the value is the default."""
    comment = textwrap.fill(str(field.description), 100, initial_indent="# ", subsequent_indent="# ")
    kept = always or value != field.default
    return f"{comment}\n{'' if kept else '# '}{env_name(name)}={env_value(value)}\n"


def read_env_file(path: Path, names: Collection[str]) -> dict[str, str]:
    """Return the settings in an env file, by name; raise HubError for a key or line that is wrong."""
    known = {env_name(name): name for name in names}
    values: dict[str, str] = {}
    for key, value in dotenv_values(stream=io.StringIO(read_text(path))).items():
        if not key.upper().startswith(PREFIX):
            continue
        if key.upper() not in known:
            raise HubError(f"{path}: {key}={quoted(value)}: no such setting; allowed: {', '.join(sorted(known))}")
        if value is None:
            raise HubError(f"{path}: {key}: a value is missing; write {key}=VALUE")
        values[known[key.upper()]] = value
    return values


def read_text(path: Path) -> str:
    """Return the content of a text file; raise HubError if it is something else."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise HubError(f"{path}: cannot be read as an env file: {reason}") from None
    if "\0" in text:
        raise HubError(f"{path}: cannot be read as an env file: it is not text")
    return text


def explain(
    error: ValidationError, fields: Mapping[str, FieldInfo], path: Path | None = None, in_file: Collection[str] = ()
) -> str:
    """Return one line about the first mistake: its file, key and value, and what is allowed."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ").replace("Input should be ", "must be ")
    message = "must be a path" if first["type"] == "path_type" else message.partition(", unable to ")[0]
    if not first["loc"]:
        return f"{path}: {message}" if path else message
    name = str(first["loc"][0])
    if name not in fields:
        return f"{name}={quoted(first['input'])}: no such setting; allowed: {', '.join(fields)}"
    where = f"{path}: " if name in in_file else ""
    return f"{where}{env_name(name)}={quoted(first['input'])}: {message}"


def with_keys(message: str, fields: Iterable[str], table: str) -> str:
    """Return an error with the keys that settings have in a table of a file, in place of their names here."""
    keys = {env_name(name): f"{table}.{name}" for name in fields}
    return re.sub(rf"\b{PREFIX}[A-Z0-9_]+", lambda found: keys.get(found[0], found[0]), message)


def quoted(value: object) -> str:
    """Return a value as an error shows it: a password may stand under any name that is mistyped."""
    return repr(without_password(value) if isinstance(value, str) else value)


def split_address(listen: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT or [IPv6]:PORT; raise ValueError if it is neither."""
    host, _, port = listen.rpartition(":")
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not name or "[" in name or "]" in name or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("expected HOST:PORT with a port from 0 to 65535")
    return name, int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
