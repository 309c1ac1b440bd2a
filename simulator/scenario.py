"""A scenario: a fleet on a network, what goes wrong and when, and how the hub is set. One TOML file.

    [hub]        settings of the hub that differ from its defaults, by the names of HubSettings
    [[group]]    nodes that are alike: what they send, how they connect, on which link profile
      [group.link]   what differs from the profile, key by key
      [group.site]   nodes that share outages
    [[fault]]    crash, exit, restart or partition of some nodes of a group at a time

Nothing here draws a random number: which nodes a fault hits and when a node starts is the engines' affair.
"""

import enum
import tomllib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

import tomlkit
from pydantic import Field, PlainValidator, model_validator

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.profile import Profile, read_profile
from heartbench.simulator.tomlfile import (
    SHORTEST_S,
    Catalog,
    Duration,
    Fraction,
    Interval,
    Name,
    PositiveDuration,
    PositiveInterval,
    Table,
    difference,
    guess,
    merged,
    parse_toml,
    set_key,
    validate,
)
from heartbench.simulator.units import parse_duration

SCENARIOS = Catalog("scenario")
MOST_NODES = 10_000_000


class FaultKind(enum.StrEnum):
    """What a fault does."""

    CRASH = "crash"
    EXIT = "exit"
    RESTART = "restart"
    PARTITION = "partition"


class HubFaultKind(enum.StrEnum):
    """What a fault does to the hub."""

    PAUSE = "pause"
    KILL = "kill"
    STOP = "stop"
    SLOW_STORE = "slow_store"


class Backoff(Table):
    """The time between the starts of two attempts to connect, of which the first failed.

    Rule and defaults are gRPC's (doc/connection-backoff.md). A success resets it, and a connection that drops after a
    success is dialled again at once.
    """

    initial_s: PositiveInterval = Field(1.0, description="from the first attempt after a success to the second")
    multiplier: float = Field(1.6, ge=1, description="growth from attempt to attempt")
    jitter: Fraction = Field(0.2, description="each backoff is uniform within ± this part of itself")
    max_s: PositiveDuration = Field(120.0, description="longest backoff, jitter apart")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.max_s < self.initial_s:
            raise ValueError("max must be at least as long as initial")
        return self


class Site(Table):
    """Nodes that stand in one place: consecutive numbers of a group. They share some of their outages."""

    nodes: int = Field(ge=2, description="nodes to a site; the last site has what is left")
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        description="share of a node's outages that strike its whole site at once; how many a node has is the profile's"
    )


def _is_more_than_nothing(duration: Any) -> bool:
    """Whether a duration is one and not 0; what is none is refused where its key is checked."""
    try:
        return parse_duration(str(duration)) > 0
    except SimulatorError:
        return False


def _setting(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{value!r}: must be a number, a text, true or false")
    return value


Setting = Annotated[bool | int | float | str, PlainValidator(_setting)]
"""A value of a hub's setting; HubSettings says which values are allowed."""


class Group(Table):
    """Nodes that are alike."""

    name: Name = Field(description="what the group is called in faults and in --set")
    nodes: int = Field(ge=1, le=MOST_NODES, description="how many there are")
    heartbeat_interval_s: PositiveInterval = Field(10.0, description="time between two heartbeats that a node sends")
    heartbeat_jitter: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="each interval is uniform within ± this part of itself"
    )
    heartbeat_ack: bool = Field(False, description="whether the hub is asked to acknowledge each heartbeat")
    start_spread_s: Duration = Field(description="nodes start at uniform times within so long; default: one interval")
    output_rate: float = Field(0.0, ge=0, description="terminal output, bytes a second; 0: none")
    chunk_bytes: int = Field(0, ge=0, le=1_048_576, description="terminal output is sent in chunks of so many bytes")
    file_bytes: int = Field(0, ge=0, le=8_388_608, description="size of the file that a node hands over; 0: none")
    file_every_s: Duration = Field(0.0, description="it does so anew each so often, 1s at least")

    keepalive_time_s: Interval = Field(0.0, description="gRPC pings after so long without a message; 0: never")
    keepalive_timeout_s: PositiveDuration = Field(
        20.0,
        description="how long gRPC waits for a ping's acknowledgement before it closes the connection; gRPC 1.85 leaves"
        " that to TCP, so here it is the default of user_timeout and nothing else",
    )
    ping_timeout_s: PositiveDuration = Field(
        60.0,
        description="grpc.http2.ping_timeout_ms: so long after a ping without an answer gRPC 1.85 itself closes, also"
        " where TCP acknowledges everything because only the hub's process hangs",
    )
    user_timeout_s: Duration = Field(
        description="TCP_USER_TIMEOUT at the node: TCP closes where it sends something again for so long; 0: none."
        " Default: keepalive_timeout if keepalive is on, as in gRPC"
    )
    hub_user_timeout_s: Duration = Field(
        20.0, description="TCP_USER_TIMEOUT at the hub; default: its keepalive_timeout_s"
    )
    reconnect: Backoff = Backoff()

    profile: str = Field(description="link profile: a shipped name or the path of a TOML file")
    link: Profile = Field(description="the link: that profile, and what the scenario changes in it")
    site: Site | None = Field(None, description="outages that nodes share; default: each node has its own alone")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Fill in the defaults that depend on other keys."""
        if not isinstance(data, dict):
            return data
        keepalive_on = _is_more_than_nothing(data.get("keepalive_time", "0s"))
        derived = {
            "start_spread": data.get("heartbeat_interval", "10s"),
            "user_timeout": data.get("keepalive_timeout", "20s") if keepalive_on else "0s",
        }
        return {**derived, **data}

    @model_validator(mode="after")
    def _output_in_chunks(self) -> Self:
        if self.output_rate > 0 and self.chunk_bytes == 0:
            raise ValueError("output_rate needs chunk_bytes of at least 1")
        if self.output_rate * SHORTEST_S > self.chunk_bytes:
            raise ValueError(
                f"output_rate: {self.output_rate:g}: must be at most {self.chunk_bytes / SHORTEST_S:g},"
                f" a chunk a millisecond, with chunk_bytes of {self.chunk_bytes}"
            )
        return self

    @model_validator(mode="after")
    def _file_now_and_then(self) -> Self:
        if (self.file_bytes > 0) != (self.file_every_s > 0):
            raise ValueError("file_bytes and file_every need each other")
        if 0 < self.file_every_s < 1:
            raise ValueError("file_every must be at least 1s")
        return self


class Fault(Table):
    """Something that happens to some nodes of a group.

    crash: power loss, silence without FIN. exit: the process dies and the kernel closes the connection. restart: exit,
    then a new start. partition: the link passes nothing. A node that crashed or exited is back after `for`; without
    it, never. Where several faults have a node down, it is back when the last of them is over; a node that was to start
    meanwhile starts then.
    """

    kind: FaultKind
    group: str = Field(description="name of the group")
    at_s: Duration = Field(description="when, since the start of the run")
    duration_s: Duration = Field(0.0, alias="for", description="how long; 0: to the end of the run")
    fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="share of the group; default: all")
    nodes: Annotated[int, Field(ge=1)] | None = Field(None, description="number of nodes, instead of a share")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.fraction is not None and self.nodes is not None:
            raise ValueError("fraction and nodes say the same thing; give one of them")
        return self

    def count(self, group_nodes: int) -> int:
        """Return how many of a group of `group_nodes` the fault hits."""
        if self.nodes is not None:
            return min(self.nodes, group_nodes)
        return round((1.0 if self.fraction is None else self.fraction) * group_nodes)


class HubFault(Table):
    """Something that happens to the hub: for real in the live engine, to what nodes see of it in the virtual one.

    pause: it is stopped as a suspended machine is (SIGSTOP), and goes on. kill: SIGKILL, and started again. stop:
    SIGTERM, and started again. slow_store: its store takes no writes; no node notices.
    """

    kind: HubFaultKind
    at_s: Duration = Field(description="when, since the start of the run")
    duration_s: PositiveDuration = Field(alias="for", description="how long")


class Scenario(Table):
    """A fleet on a network, what goes wrong, and how the hub is set."""

    name: str = Field("scenario", min_length=1, description="what run directories are called after")
    summary: str = Field("", description="the scenario in one line")
    seed: int = Field(1, ge=0, le=2**63 - 1, description="all that is random follows from it")
    duration_s: PositiveDuration = Field(description="length of the run")
    hub: dict[str, Setting] = Field({}, description="settings of the hub, by the names of HubSettings")
    group: tuple[Group, ...] = Field(description="the fleet")
    fault: tuple[Fault, ...] = Field((), description="what goes wrong with nodes and links")
    hub_fault: tuple[HubFault, ...] = Field((), description="what goes wrong with the hub")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [group.name for group in self.group]
        if not names:
            raise ValueError("group: there is none; allowed: one [[group]] or more")
        if len(set(names)) < len(names):
            raise ValueError(f"two groups have the same name; names are {', '.join(names)}")
        for number, fault in enumerate(self.fault):
            if fault.group not in names:
                raise ValueError(f"fault.{number}.group: {fault.group!r} is no group; allowed: {', '.join(names)}")
        faults = sorted(self.hub_fault, key=lambda fault: fault.at_s)
        for earlier, later in pairwise(faults):
            if later.at_s < earlier.at_s + earlier.duration_s:
                raise ValueError(
                    f"hub_fault: {later.kind} at {later.at_s:g} s begins before {earlier.kind} at {earlier.at_s:g} s"
                    " has ended; allowed is one at a time"
                )
        try:
            HubSettings.of(**self._known_settings())
        except HubError as error:
            raise ValueError(f"hub: {error}") from error
        return self

    def _known_settings(self) -> dict[str, Any]:
        known = list(HubSettings.model_fields)
        for key in self.hub:
            if key not in known:
                raise ValueError(f"hub: unknown key {key}{guess(key, known)}; allowed: {', '.join(known)}")
        return dict(self.hub)

    @property
    def nodes(self) -> int:
        """Return the number of nodes in all groups."""
        return sum(group.nodes for group in self.group)

    def hub_settings(self) -> HubSettings:
        """Return the hub's settings: its defaults and what the scenario sets, whatever the environment says."""
        return HubSettings.of(**self.hub)

    def with_nodes(self, nodes: int) -> Self:
        """Return this scenario with `nodes` nodes, shared among the groups in proportion (largest remainder).

        Raises:
            SimulatorError: there would be a group without nodes, or more than MOST_NODES.
        """
        if nodes < len(self.group):
            raise SimulatorError(f"--nodes: {nodes}: must be at least 1 for each of the {len(self.group)} groups")
        if nodes > MOST_NODES:
            raise SimulatorError(f"--nodes: {nodes}: must be at most {MOST_NODES}")
        shares = _largest_remainder([group.nodes for group in self.group], nodes)
        groups = [g.model_copy(update={"nodes": share}) for g, share in zip(self.group, shares, strict=True)]
        return self.model_copy(update={"group": tuple(groups)})

    def to_toml(self, whole_links: bool = False) -> str:
        """Return TOML that loads to an equal scenario; of links it holds all, or what differs from their profile."""
        data = self.to_data()
        for group in () if whole_links else data["group"]:
            shipped = validate(Profile, read_profile(group["profile"]), group["profile"])
            group["link"] = difference(group["link"], shipped.to_data())
            if not group["link"]:
                del group["link"]
        return tomlkit.dumps({key: value for key, value in data.items() if value not in ([], {})})


def _largest_remainder(weights: Sequence[int], total: int) -> list[int]:
    """Share `total` in proportion to `weights`, at least 1 each."""
    exact = [weight * (total - len(weights)) / sum(weights) for weight in weights]
    shares = [1 + int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: int(exact[i]) - exact[i])
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


def load_scenario(name_or_path: str, overrides: Iterable[str] = ()) -> Scenario:
    """Return a scenario by its shipped name or its path.

    Args:
        name_or_path: such as `wireguard-5g`, or `mine.toml`.
        overrides: `KEY=VALUE`, keys dotted: `seed=3`, `group.edge.heartbeat_interval=5s`, `group.*.nodes=10`.

    Raises:
        SimulatorError: there is none, or something in it is wrong: one line, with what is allowed.
    """
    name, source, text = SCENARIOS.find(name_or_path)
    data = parse_toml(text, source)
    data.setdefault("name", name)
    for override in overrides:
        _override(data, override)
    folder = Path(source).parent if Path(source).exists() else Path()
    for group in _groups(data):
        _resolve_link(group, folder, source)
        _follow_hub(group, data.get("hub"))
    return validate(Scenario, data, source)


def scenario_of(record: dict[str, Any]) -> Scenario:
    """Return the scenario that `to_data()` gave: it holds the whole link, and no profile is read.

    Raises:
        SimulatorError: it is none.
    """
    return validate(Scenario, record, "scenario of the run")


def _groups(data: dict[str, Any]) -> list[dict[str, Any]]:
    groups = data.get("group")
    return [group for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []


def _resolve_link(group: dict[str, Any], folder: Path, source: str) -> None:
    """Lay the group's own link figures over those of its profile; a profile's path becomes absolute."""
    changes = group.get("link", {})
    if isinstance(group.get("profile"), str) and isinstance(changes, dict):
        below = _profile_of(group, folder, source)
        if (folder / group["profile"]).is_file():
            group["profile"] = str((folder / group["profile"]).resolve())
        group["link"] = merged(below, changes)


def _profile_of(group: dict[str, Any], folder: Path, source: str) -> dict[str, Any]:
    try:
        return read_profile(group["profile"], folder)
    except SimulatorError as error:
        key = f"group.{group.get('name', '?')}.profile"
        raise SimulatorError(f"{source}: {key}: {str(error).removeprefix('profile: ')}") from error


def _follow_hub(group: dict[str, Any], hub: Any) -> None:
    """Let the user timeout at the hub's end be the hub's own setting, unless the group says otherwise."""
    if isinstance(hub, dict) and "keepalive_timeout_s" in hub:
        group.setdefault("hub_user_timeout", hub["keepalive_timeout_s"])


def _override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    key, text = key.strip(), text.strip()
    if not separator or not all(key.split(".")):
        raise SimulatorError(f"--set: {override!r}: must be KEY=VALUE, such as seed=3 or group.edge.nodes=10")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        value = text  # 5s and fixed need no quotes
    set_key(data, key, value, f"--set {override}")
