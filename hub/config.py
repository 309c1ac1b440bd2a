"""Every setting of the hub: its unit, its meaning, what may be said, and what contradicts what.

A setting `x_s` is read from the environment as `HUB_X_S`, else from an env file, else it has its default. A value that
cannot be used is refused with one line that names where it stands and what is allowed. Nothing is read after the start.
"""

import math
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from heartbench.hub.envfile import PREFIX, env_entry, env_name, explain, read_env_file
from heartbench.hub.errors import HubError
from heartbench.hub.store.protocol import Durability
from heartbench.hub.work.executor import Policy

JUDGEMENT = ("stale_after_s", "flap_window_s", "flap_threshold", "flap_exit")
DOUBT = ("pause_over_s", "restart_grace_s")
FITTING_FLAPS = 4
"""So many flaps fit into a window of twice the threshold."""
UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
MIB = 1 << 20


def seconds(value: object) -> object:
    """Read `30d` and the like as s; anything else is left to the field's own check."""
    match = re.fullmatch(r"([0-9.]+)([smhdw]?)", value) if isinstance(value, str) else None
    return float(match[1]) * UNIT_S[match[2]] if match and match[1].count(".") < 2 else value


def lower(value: object) -> object:
    """Read a word however it is capitalised."""
    return value.lower() if isinstance(value, str) else value


def path_or_none(value: object) -> object:
    """Read an empty value as none."""
    return None if value == "" else value


OptionalPath = Annotated[Path | None, BeforeValidator(path_or_none)]


class HubSettings(BaseSettings):
    """What the hub is told before it starts.

    `HubSettings.load()` is how the hub gets them; `HubSettings.of(...)` ignores environment and files, for those who
    compute with settings (a simulation, a test).
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    # Where it listens.
    listen: str = Field("127.0.0.1:50551", description="HOST:PORT to listen on; port 0 takes any free one.")
    insecure: bool = Field(
        False, description="1 allows an address other than loopback although nothing is encrypted or authenticated."
    )

    # How it judges.
    stale_after_s: float = Field(
        30.0, ge=0.1, le=86_400, description="s of silence after which a node is stale. Longer: fewer false alarms on "
        "a network with outages, and dead nodes are noticed later. `heartbench tune` measures what fits."
    )  # fmt: skip
    flap_window_s: float = Field(
        60.0, ge=0.1, le=604_800, description="s for which a flap (a change between online and stale) is remembered. "
        "If not set, twice stale_after_s where that is longer."
    )  # fmt: skip
    flap_threshold: int = Field(
        3, ge=2, le=10_000, description="So many flaps within the window mark a node as flapping. It must be "
        "reachable: two flaps take at least stale_after_s of silence."
    )  # fmt: skip
    flap_exit: int = Field(
        1, ge=1, le=10_000, description="The mark is taken away when fewer flaps than this are left in the window; "
        "less than the threshold, so that the mark itself does not flap."
    )  # fmt: skip
    pause_over_s: float = Field(
        0.5, ge=0.2, le=3600, description="s by which the hub's own pulse may be late; where it is later, the hub "
        "could not hear, and every node gets so much longer. Longer: a slow hub calls more nodes stale."
    )  # fmt: skip
    # A node that dialled just before the hub was up again waits for gRPC's longest backoff, 120 s and 20% of jitter
    # (doc/connection-backoff.md); the attempt after that may fall into an outage and take its 20 s; 16 s are margin.
    restart_grace_s: float = Field(
        180.0, ge=0, le=86_400, description="Seconds that every known node gets to come back after the hub has "
        "started. Longer than the nodes' longest reconnect backoff (by default gRPC's 120 s, ±20%) and one attempt. "
        "Lower: live nodes are marked stale after a restart; higher: nodes that died meanwhile are noticed later."
    )  # fmt: skip
    mass_silence_fraction: float = Field(
        0.55, ge=0, le=1, description="Share of the online nodes that must be silent together, for more than half of "
        "their threshold, for the hub to suspect its own network and call nobody stale; 0: never."
    )  # fmt: skip
    mass_silence_nodes: int = Field(
        3,
        ge=1,
        le=1_000_000,
        description="Nodes that must be silent for that at least: of two nodes, two prove little.",
    )
    mass_silence_max_s: float = Field(
        600.0, ge=1, le=604_800, description="s after which the hub gives that suspicion up and judges as ever. Less "
        "than the longest cut of its own network: every node flaps at once."
    )  # fmt: skip
    forget_after: Annotated[float, BeforeValidator(seconds)] = Field(
        0.0, ge=0, le=315_360_000, description="s (or 12h, 30d) of silence after which a node that is not online is "
        "forgotten with its history; 0: never."
    )  # fmt: skip

    # What it keeps.
    history_chunks: int = Field(150, ge=1, le=100_000, description="Chunks of terminal output kept for each node.")
    history_bytes: int = Field(
        262_144, ge=1024, description="Bytes of terminal output kept for each node, whichever of the two is reached "
        "first."
    )  # fmt: skip
    store_url: str = Field(
        "sqlite:///heartbench.db", description="Where histories and nodes survive the hub: sqlite:///relative.db, "
        "sqlite:////absolute.db, redis://host:port/db, or memory: where they do not."
    )  # fmt: skip
    store_durability: Annotated[Durability, BeforeValidator(lower)] = Field(
        Durability.COMMITTED, description="A chunk is acknowledged when it is `committed` (SQLite's commit returned, "
        "Redis replied), or as soon as it is `buffered` in memory, which is quicker and is lost with the process."
    )  # fmt: skip
    store_queue_chunks: int = Field(
        20_000, ge=1, le=10_000_000, description="Chunks that wait for the store; past that, nodes are slowed."
    )
    store_linger_s: float = Field(
        0.01,
        ge=0,
        le=10,
        description="s that a commit waits for company. Longer: fewer commits, later acknowledgements.",
    )
    store_ttl_s: float = Field(
        604_800.0,
        ge=0,
        le=315_360_000,
        description="s for which Redis keeps a node that is not written to; 0: for good.",
    )
    files_dir: OptionalPath = Field(
        None, description="Folder for the files that nodes hand over, a folder a node; empty: no files are taken."
    )
    file_bytes: int = Field(1 << 30, ge=1, description="Bytes of the largest file that is taken.")
    executor_workers: int = Field(4, ge=1, le=256, description="Threads that write files.")
    executor_queue: int = Field(64, ge=1, le=100_000, description="Pieces of files that wait for a thread.")
    executor_policy: Annotated[Policy, BeforeValidator(lower)] = Field(
        Policy.BLOCK, description="When that queue is full: `block` slows the node, `reject` ends its stream. There is "
        "no third: work done on the event loop would stop all heartbeats."
    )  # fmt: skip

    # How much it takes in.
    max_inflight_bytes: int = Field(
        512 * MIB, ge=4 * MIB, description="Bytes taken in and not yet stored, in all: half of it for what gRPC holds "
        "of Upload streams (window_bytes each), a quarter for chunks, a quarter for pieces of files."
    )  # fmt: skip
    node_inflight_bytes: int = Field(
        MIB, ge=1024, description="The same for one node's chunks; past that, its Upload is not read."
    )
    window_bytes: int = Field(
        65_536, ge=16_384, le=16 * MIB, description="Bytes that gRPC takes in for one stream before the hub reads "
        "them. Fixed: left to itself, gRPC lets them grow with the load."
    )  # fmt: skip
    message_bytes: int = Field(
        262_144, ge=4096, le=64 * MIB, description="Bytes of the longest message that is accepted. Each open Upload "
        "may hold one beside its window while it waits: the longer they are, the more memory a wave takes."
    )  # fmt: skip
    uploads_per_node: int = Field(4, ge=1, le=100, description="Upload streams that one node may hold open.")
    max_nodes: int = Field(200_000, ge=1, description="Nodes that the hub knows at most; a further one is refused.")
    admit_per_s: float = Field(
        1000.0, ge=0, le=1_000_000, description="Streams that are admitted a second, as many at once; the others are "
        "told when to come back. 0: no limit."
    )  # fmt: skip
    hello_within_s: float = Field(10.0, ge=0.1, le=3600, description="s within which a stream must say Hello.")
    event_queue: int = Field(
        1024, ge=1, le=1_000_000, description="Events that wait for one subscriber; a slower one loses the oldest, and "
        "is told how many."
    )  # fmt: skip
    event_log: int = Field(
        10_000,
        ge=1,
        le=10_000_000,
        description="Events that are kept for subscribers who come back for what they missed.",
    )
    max_subscribers: int = Field(1000, ge=1, le=100_000, description="Subscribers at a time.")
    commands_waiting: int = Field(
        16, ge=1, le=100_000, description="Commands that wait for one node, or for its answer."
    )
    acks_waiting: int = Field(
        64, ge=1, le=100_000, description="Acknowledgements that wait to be sent to one node; of a node that does not "
        "read them, the oldest are dropped."
    )  # fmt: skip

    # How it behaves.
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
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = Field(
        "info", description="Least severity that is logged."
    )
    observe_file: OptionalPath = Field(
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

    @property
    def max_uploads(self) -> int:
        """Upload streams at a time: what gRPC may hold of them is half of the bytes in flight."""
        return self.max_inflight_bytes // 2 // self.window_bytes

    @model_validator(mode="after")
    def let_the_window_follow(self) -> Self:
        """Let the window grow with the threshold unless it was set: who sets one alone gets two that fit."""
        if "flap_window_s" not in self.model_fields_set:
            object.__setattr__(self, "flap_window_s", fitting_window_s(self.stale_after_s))
        return self

    @model_validator(mode="after")
    def refuse_contradictions(self) -> Self:
        """Refuse values of which each is fine and which together are not."""
        for mistake in (self._bad_address(), self._bad_flap_rule(), self._bad_bounds()):
            if mistake:
                raise ValueError(mistake)
        return self

    def _bad_address(self) -> str:
        host, _, port = self.listen.rpartition(":")
        name = host[1:-1] if host.startswith("[") and host.endswith("]") else host  # of an IPv6 address
        if not name or "[" in name or "]" in name or not port.isascii() or not port.isdigit() or int(port) > 65_535:
            return f"HUB_LISTEN={self.listen!r}: allowed is HOST:PORT with a port from 0 to 65535"
        if not self.insecure and not is_loopback(self.address[0]):
            return (
                f"HUB_LISTEN={self.listen!r} is no loopback address, and nothing is encrypted: "
                "allowed is 127.0.0.1 or ::1, or any address with HUB_INSECURE=1"
            )
        return ""

    def _bad_flap_rule(self) -> str:
        if self.flap_threshold > self.reachable_flaps:
            return (
                f"HUB_FLAP_THRESHOLD={self.flap_threshold} cannot be reached: at HUB_STALE_AFTER_S="
                f"{self.stale_after_s:g} at most {self.reachable_flaps} flaps fit into HUB_FLAP_WINDOW_S="
                f"{self.flap_window_s:g}; allowed is 2 to {self.reachable_flaps}, or a longer window"
            )
        if self.flap_exit >= self.flap_threshold:
            return (
                f"HUB_FLAP_EXIT={self.flap_exit} must be less than HUB_FLAP_THRESHOLD={self.flap_threshold}; "
                f"allowed is 1 to {self.flap_threshold - 1}"
            )
        return ""

    def _bad_bounds(self) -> str:
        quarter = self.max_inflight_bytes // 4
        for name in ("node_inflight_bytes", "message_bytes", "window_bytes"):
            if getattr(self, name) > quarter:
                return (
                    f"{env_name(name)}={getattr(self, name)} is more than a quarter of HUB_MAX_INFLIGHT_BYTES="
                    f"{self.max_inflight_bytes}; allowed is up to {quarter}"
                )
        if 0 < self.forget_after <= self.stale_after_s:
            return (
                f"HUB_FORGET_AFTER={self.forget_after:g} forgets nodes that are not yet stale; "
                f"allowed is 0, or more than HUB_STALE_AFTER_S={self.stale_after_s:g}"
            )
        return ""

    @classmethod
    def load(cls, env_file: Path | None = None) -> Self:
        """Settings as the environment says, else the env file, else the defaults. HubError names what is wrong."""
        said = read_env_file(env_file, cls.model_fields) if env_file else {}
        used: dict[str, Any] = {name: value for name, value in said.items() if not in_environment(name)}
        try:
            return cls(**used)
        except ValidationError as error:
            raise HubError(explain(error, cls.model_fields, env_file, used)) from None

    @classmethod
    def from_env_file(cls, path: Path) -> Self:
        """Settings of a file of `HUB_KEY=value` lines; what the environment says goes before it."""
        return cls.load(Path(path))

    @classmethod
    def of(cls, **values: Any) -> Self:
        """These values and the defaults, whatever the environment says."""
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        if isinstance(values.get("stale_after_s"), int | float):
            defaults["flap_window_s"] = fitting_window_s(values["stale_after_s"])
        try:
            return cls(**{**defaults, **values})
        except ValidationError as error:
            raise HubError(explain(error, cls.model_fields)) from None

    def changed(self, **values: Any) -> Self:
        """These settings with other `values`, checked as a whole."""
        return self.of(**{**self.model_dump(), **values})

    @classmethod
    def for_stale_after(cls, stale_after_s: float, base: Self | None = None) -> Self:
        """`base` (the defaults) at another threshold; the flap window grows with it, so that the rules still fit."""
        base = base or cls.of()
        window_s = base.flap_window_s * max(1.0, stale_after_s / base.stale_after_s)
        if base.flap_window_s == fitting_window_s(base.stale_after_s) and base.flap_threshold <= FITTING_FLAPS:
            window_s = fitting_window_s(stale_after_s)
        return base.changed(stale_after_s=stale_after_s, flap_window_s=window_s)

    def to_env(self) -> str:
        """A commented env file that gives these settings; what is as by default stands there as a comment."""
        fields = type(self).model_fields.items()
        return "\n".join(env_entry(name, field, getattr(self, name), name in JUDGEMENT) for name, field in fields)


def fitting_window_s(stale_after_s: float) -> float:
    """Return the window of flaps for a threshold, s: the default, or twice the threshold where that is longer."""
    default: float = HubSettings.model_fields["flap_window_s"].default
    return max(default, 2 * stale_after_s)


def in_environment(name: str) -> bool:
    """Whether the environment says something of a setting."""
    return env_name(name) in {key.upper() for key in os.environ}


def ignored() -> Iterator[str]:
    """In words, what the environment says under our prefix that no setting is called.

    It is no mistake to be refused: a container platform puts variables of its own there for a service named `hub`.
    """
    known = {env_name(name) for name in HubSettings.model_fields}
    for key in sorted(os.environ):
        if key.upper().startswith(PREFIX) and key.upper() not in known:
            near = get_close_matches(key.upper(), known, 1, 0.8)
            yield f"{key} in the environment is no setting, and ignored" + (
                f"; did you mean {near[0]}?" if near else ""
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def sources(env_file: Path | None = None) -> dict[str, str]:
    """Where each setting's value comes from: `environment`, the env file, or `default`."""
    said = read_env_file(env_file, HubSettings.model_fields) if env_file else {}
    return {
        name: "environment" if in_environment(name) else str(env_file) if name in said else "default"
        for name in HubSettings.model_fields
    }
