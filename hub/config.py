"""Every setting of the hub: its unit, its meaning, what may be said, and what contradicts what.

A setting `x_s` is read from the environment as `HUB_X_S`, else from an env file, else it has its default. A value that
cannot be used is refused with one line that names where it stands and what is allowed. Nothing is read after the start.
"""

import io
import math
import os
import textwrap
from collections.abc import Container
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from heartbench.hub.errors import HubError

PREFIX = "HUB_"
JUDGEMENT = ("stale_after_s", "flap_window_s", "flap_threshold", "flap_exit")

Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
EmptyIsNone = BeforeValidator(lambda value: None if value == "" else value)


class HubSettings(BaseSettings):
    """What the hub is told before it starts.

    `HubSettings.load()` is how the hub gets them; `HubSettings.of(...)` ignores environment and files, for those who
    compute with settings (a simulation, a test).
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    listen: str = Field("127.0.0.1:50551", description="HOST:PORT to listen on; port 0 takes any free one.")
    insecure: bool = Field(
        False, description="1 allows an address other than loopback although nothing is encrypted or authenticated."
    )

    stale_after_s: float = Field(
        30.0, ge=0.1, le=86_400, description="s of silence after which a node is stale. Longer: fewer false alarms on "
        "a network with outages, and dead nodes are noticed later. `heartbench tune` measures what fits."
    )  # fmt: skip
    flap_window_s: float = Field(
        60.0, ge=0.1, le=604_800, description="s for which a flap (a change between online and stale) is remembered."
    )
    flap_threshold: int = Field(
        3, ge=2, le=10_000, description="So many flaps within the window mark a node as flapping. It must be "
        "reachable: two flaps take at least stale_after_s of silence."
    )  # fmt: skip
    flap_exit: int = Field(
        1, ge=1, le=10_000, description="The mark is taken away when fewer flaps than this are left in the window; "
        "less than the threshold, so that the mark itself does not flap."
    )  # fmt: skip

    history_chunks: int = Field(150, ge=1, le=100_000, description="Chunks of terminal output kept for each node.")
    history_bytes: int = Field(
        262_144, ge=1024, description="Bytes of terminal output kept for each node, whichever of the two is reached "
        "first."
    )  # fmt: skip

    event_queue: int = Field(
        1024, ge=1, le=1_000_000, description="Events that wait for one subscriber; a slower one loses the oldest, and "
        "is told how many."
    )  # fmt: skip
    window_bytes: int = Field(
        65_536, ge=16_384, le=16_777_216, description="Bytes that gRPC takes in for one stream before the hub reads "
        "them. Fixed: left to itself, gRPC lets them grow with the load."
    )  # fmt: skip
    message_bytes: int = Field(
        1_048_576, ge=1024, le=67_108_864, description="Bytes of the longest message that is accepted."
    )
    acks_waiting: int = Field(
        64, ge=1, le=100_000, description="Acknowledgements that wait to be sent to one node; of a node that does not "
        "read them, the oldest are dropped."
    )  # fmt: skip
    keepalive_s: float = Field(
        0.0, ge=0, le=86_400, description="s between the hub's own HTTP/2 pings on a quiet connection; 0: none. "
        "Pings do not count as signs of life."
    )  # fmt: skip
    keepalive_timeout_s: float = Field(
        20.0, ge=1, le=86_400, description="s after which a connection ends on which sent bytes are not acknowledged. "
        "gRPC sets TCP_USER_TIMEOUT from it whether or not it pings: shorter than an outage, it kills the connection."
    )  # fmt: skip

    drain_s: float = Field(
        2.0, ge=0, le=4, description="s that streams get to end by themselves when the hub stops; it is gone after 5 s."
    )
    summary_interval_s: float = Field(60.0, ge=0.1, le=86_400, description="s between two summary lines in the log.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        "info", description="Least severity that is logged."
    )
    observe_file: Annotated[Path | None, EmptyIsNone] = Field(
        None, description="File (JSON Lines) that records each receipt, each move of a deadline and each change, so "
        "that what the hub said can be computed again from what it heard; empty: none."
    )  # fmt: skip

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def reachable_flaps(self) -> int:
        """The most flaps that fit into the window: stale and heard again, once for each `stale_after_s` that fits."""
        return 2 * math.ceil(self.flap_window_s / self.stale_after_s)

    @model_validator(mode="after")
    def refuse_contradictions(self) -> Self:
        """Refuse values of which each is fine and which together are not."""
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
            raise ValueError(f"HUB_LISTEN={self.listen!r}: allowed is HOST:PORT with a port from 0 to 65535")
        if not self.insecure and not is_loopback(self.address[0]):
            raise ValueError(
                f"HUB_LISTEN={self.listen!r} is no loopback address, and nothing is encrypted: "
                "allowed is 127.0.0.1 or ::1, or any address with HUB_INSECURE=1"
            )
        if self.flap_threshold > self.reachable_flaps:
            raise ValueError(
                f"HUB_FLAP_THRESHOLD={self.flap_threshold} cannot be reached: at HUB_STALE_AFTER_S="
                f"{self.stale_after_s:g} at most {self.reachable_flaps} flaps fit into HUB_FLAP_WINDOW_S="
                f"{self.flap_window_s:g}; allowed is 2 to {self.reachable_flaps}, or a longer window"
            )
        if self.flap_exit >= self.flap_threshold:
            raise ValueError(
                f"HUB_FLAP_EXIT={self.flap_exit} must be less than HUB_FLAP_THRESHOLD={self.flap_threshold}; "
                f"allowed is 1 to {self.flap_threshold - 1}"
            )
        return self

    @classmethod
    def load(cls, env_file: Path | None = None) -> Self:
        """Settings as the environment says, else the env file, else the defaults. HubError names what is wrong."""
        overruled = {key.upper() for key in os.environ}
        said = read_env_file(env_file) if env_file else {}
        used: dict[str, Any] = {name: value for name, value in said.items() if env_name(name) not in overruled}
        try:
            return cls(**used)
        except ValidationError as error:
            raise HubError(explain(error, env_file, used)) from None

    @classmethod
    def from_env_file(cls, path: Path) -> Self:
        """Settings of a file of `HUB_KEY=value` lines; what the environment says goes before it."""
        return cls.load(Path(path))

    @classmethod
    def of(cls, **values: Any) -> Self:
        """These values and the defaults, whatever the environment says."""
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        try:
            return cls(**{**defaults, **values})
        except ValidationError as error:
            raise HubError(explain(error)) from None

    def changed(self, **values: Any) -> Self:
        """These settings with other `values`, checked as a whole."""
        return self.of(**{**self.model_dump(), **values})

    @classmethod
    def for_stale_after(cls, stale_after_s: float, base: Self | None = None) -> Self:
        """`base` (the defaults) at another threshold; the flap window grows with it, so that the rules still fit."""
        base = base or cls.of()
        window_s = base.flap_window_s * max(1.0, stale_after_s / base.stale_after_s)
        return base.changed(stale_after_s=stale_after_s, flap_window_s=window_s)

    def to_env(self) -> str:
        """A commented env file that gives these settings; what is as by default stands there as a comment."""
        return "\n".join(env_entry(name, getattr(self, name)) for name in type(self).model_fields)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def env_name(name: str) -> str:
    """The environment's name of a setting: `stale_after_s` is `HUB_STALE_AFTER_S`."""
    return PREFIX + name.upper()


def env_value(value: object) -> str:
    """A setting's value as it stands in an env file."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def env_entry(name: str, value: object) -> str:
    """A setting's meaning as a comment, and its line."""
    field = HubSettings.model_fields[name]
    comment = textwrap.fill(str(field.description), 100, initial_indent="# ", subsequent_indent="# ")
    kept = name in JUDGEMENT or value != field.default
    return f"{comment}\n{'' if kept else '# '}{env_name(name)}={env_value(value)}\n"


def read_env_file(path: Path) -> dict[str, str]:
    """The settings of an env file by name; a key that is no setting is refused, other programs' keys are not read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise HubError(f"{path}: cannot be read as an env file: {reason}") from None
    if "\0" in text:
        raise HubError(f"{path}: cannot be read as an env file: it is no text")
    known = {env_name(name): name for name in HubSettings.model_fields}
    values: dict[str, str] = {}
    for key, value in dotenv_values(stream=io.StringIO(text)).items():
        if not key.upper().startswith(PREFIX):
            continue
        if key.upper() not in known:
            raise HubError(f"{path}: {key}={value!r}: no such setting; allowed are {', '.join(sorted(known))}")
        if value is None:
            raise HubError(f"{path}: {key}: a value is missing; allowed is {key}=VALUE")
        values[known[key.upper()]] = value
    return values


def explain(error: ValidationError, env_file: Path | None = None, in_file: Container[str] = ()) -> str:
    """One line for the first thing that is wrong: where it stands, key, value, and what is allowed."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not first["loc"]:
        return f"{env_file}: {message}" if env_file else message
    name = str(first["loc"][0])
    if name not in HubSettings.model_fields:
        return f"{name}={first['input']!r}: no such setting; allowed are {', '.join(HubSettings.model_fields)}"
    where = f"{env_file}: " if name in in_file else ""
    return f"{where}{env_name(name)}={first['input']!r}: allowed is {message}"
