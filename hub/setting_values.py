"""How the values of settings are read and checked: durations, words, paths, listening addresses."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_seconds(value: object) -> object:
    """Return `30d` and the like in s; leave anything else to the field's own check."""
    match = re.fullmatch(r"([0-9.]+)([smhdw]?)", value) if isinstance(value, str) else None
    return float(match[1]) * UNIT_S[match[2]] if match and match[1].count(".") < 2 else value


Seconds = Annotated[float, BeforeValidator(parse_seconds)]
OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: None if value == "" else value)]
AnyCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)


def split_address(listen: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT or [IPv6]:PORT; raise ValueError if it is neither."""
    host, _, port = listen.rpartition(":")
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not name or "[" in name or "]" in name or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"HUB_LISTEN={listen!r}: expected HOST:PORT with a port from 0 to 65535")
    return name, int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
