"""A scenario: a fleet on a network, what goes wrong and when, and how the hub is set. One TOML file.

    [hub]        settings of the hub that differ from its defaults, by the names of HubSettings
    [[group]]    nodes that are alike: what they send, how they connect, on which link profile (`simulator.group`)
      [group.link]   differences from the profile, key by key; or, without one, a recording (`simulator.replay`)
      [group.site]   nodes that share outages
    [[fault]]    what goes wrong with some nodes of a group, their links or connections (`simulator.fault`)
    [[hub_fault]]  pause, kill, stop or slow store of the hub

No random number is drawn here: engines decide which nodes a fault hits and when a node starts.
"""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

import tomlkit
from pydantic import Field, PlainValidator, model_validator

from heartbench.hub import HubError, HubSettings
from heartbench.hub.envfile import with_keys
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fault import Fault, HubFault
from heartbench.simulator.group import MOST_NODES, Group, is_recorded
from heartbench.simulator.profile import load_profile, read_profile
from heartbench.simulator.replay import resolved
from heartbench.simulator.tomlfile import (
    Catalog,
    PositiveDuration,
    Table,
    difference,
    guess,
    merged,
    parse_toml,
    set_key,
    validate,
)

SCENARIOS = Catalog("scenario")


def _setting(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{value!r}: must be a number, a string, true or false")
    return value


Setting = Annotated[bool | int | float | str, PlainValidator(_setting)]
"""The value of a hub's setting; HubSettings checks it."""


class Scenario(Table):
    """A fleet on a network, what goes wrong, and how the hub is set."""

    name: str = Field(
        "scenario",
        min_length=1,
        description="name of the scenario and of its run directories; default: that of the file",
    )
    summary: str = Field("", description="the scenario in one line")
    seed: int = Field(1, ge=0, le=2**63 - 1, description="random seed")
    duration_s: PositiveDuration = Field(description="length of the run")
    hub: dict[str, Setting] = Field({}, description="settings of the hub that differ from its defaults")
    group: tuple[Group, ...] = Field(description="the fleet")
    fault: tuple[Fault, ...] = Field((), description="what goes wrong with nodes and links")
    hub_fault: tuple[HubFault, ...] = Field((), description="what goes wrong with the hub")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [group.name for group in self.group]
        if not names:
            raise ValueError("group: is missing; expected at least one [[group]]")
        if len(set(names)) < len(names):
            raise ValueError(f"two groups have the same name: {', '.join(names)}")
        for number, fault in enumerate(self.fault):
            if fault.group not in names:
                raise ValueError(f"fault.{number}.group: {fault.group!r} is not a group; allowed: {', '.join(names)}")
            group = self.group[names.index(fault.group)]
            if fault.sites is not None and group.site is None:
                raise ValueError(f"fault.{number}.sites: group {fault.group} has no sites; set fraction or nodes")
        faults = sorted(self.hub_fault, key=lambda fault: fault.at_s)
        for earlier, later in pairwise(faults):
            if later.at_s < earlier.at_s + earlier.duration_s:
                raise ValueError(
                    f"hub_fault: {later.kind} at {later.at_s:g} s begins before {earlier.kind} at {earlier.at_s:g} s"
                    " has ended; hub faults must not overlap"
                )
        try:
            HubSettings.of(**self._known_settings())
        except HubError as error:
            raise ValueError(with_keys(str(error), HubSettings.model_fields, "hub")) from error
        return self

    def _known_settings(self) -> dict[str, Any]:
        known = list(HubSettings.model_fields)
        for key in self.hub:
            if key not in known:
                raise ValueError(f"hub: unknown key {key}{guess(key, known)}; allowed: {', '.join(known)}")
        return dict(self.hub)

    @property
    def nodes(self) -> int:
        """Number of nodes in all groups."""
        return sum(group.nodes for group in self.group)

    def late_faults(self) -> Iterator[str]:
        """Yield the faults that never happen because the run ends before: their keys, kinds and times."""
        keyed: dict[str, Sequence[Fault | HubFault]] = {"fault": self.fault, "hub_fault": self.hub_fault}
        for key, faults in keyed.items():
            for number, fault in enumerate(faults):
                if fault.at_s >= self.duration_s:
                    yield f"{key}.{number}: {fault.kind} at {fault.at_s:g} s"

    def hub_settings(self) -> HubSettings:
        """Return the hub's settings: defaults and the scenario's changes, without the environment."""
        return HubSettings.of(**self.hub)

    def with_nodes(self, nodes: int) -> Self:
        """Return this scenario with `nodes` nodes, shared among the groups in proportion (largest remainder).

        Raises:
            SimulatorError: a group would have no nodes, or the fleet more than MOST_NODES.
        """
        if nodes < len(self.group):
            raise SimulatorError(f"--nodes: {nodes}: must be at least 1 for each of the {len(self.group)} groups")
        if nodes > MOST_NODES:
            raise SimulatorError(f"--nodes: {nodes}: must be at most {MOST_NODES}")
        shares = _largest_remainder([group.nodes for group in self.group], nodes)
        groups = [g.model_copy(update={"nodes": share}) for g, share in zip(self.group, shares, strict=True)]
        return self.model_copy(update={"group": tuple(groups)})

    def to_toml(self, whole_links: bool = False) -> str:
        """Return TOML that loads to an equal scenario; links are whole, or differences from their profile."""
        data = self.to_data()
        for group in () if whole_links else data["group"]:
            if is_recorded(group["link"]):
                continue
            group["link"] = difference(group["link"], load_profile(group["profile"]).to_data())
            if not group["link"]:
                del group["link"]
        return tomlkit.dumps({key: value for key, value in data.items() if value not in ([], {})})


def _largest_remainder(weights: Sequence[int], total: int) -> list[int]:
    """Divide `total` in proportion to `weights`, at least 1 each."""
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
        SimulatorError: there is no such scenario or it is invalid; the message is one line.
    """
    name, source, text = SCENARIOS.find(name_or_path)
    data = parse_toml(text, source)
    data.setdefault("name", name)
    return read_scenario(data, source, overrides)


def read_scenario(data: dict[str, Any], source: str, overrides: Iterable[str] = ()) -> Scenario:
    """Return the scenario of a TOML file's data, which it changes in place; arguments as in `load_scenario`.

    Paths in it are relative to the folder of `source`, if that is a file. Errors name `source`.

    Raises:
        SimulatorError: the scenario is invalid; the message is one line.
    """
    _expand_links(data)
    for override in overrides:
        _override(data, override)
    folder = Path(source).parent if Path(source).exists() else Path()
    for group in _groups(data):
        _resolve_link(group, folder, source)
        _follow_hub(group, data.get("hub"))
    return validate(Scenario, data, source)


def scenario_of(record: dict[str, Any]) -> Scenario:
    """Return the scenario that `to_data()` wrote. It holds whole links, so no profile is read.

    Raises:
        SimulatorError: the record is not a scenario.
    """
    return validate(Scenario, record, "scenario of the run")


def _groups(data: dict[str, Any]) -> list[dict[str, Any]]:
    groups = data.get("group")
    return [group for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []


def _expand_links(data: dict[str, Any]) -> None:
    """Write the links that are the name of a recording as tables, in place."""
    for group in _groups(data):
        if isinstance(group.get("link"), str):
            group["link"] = {"file": group["link"]}


def _resolve_link(group: dict[str, Any], folder: Path, source: str) -> None:
    """Apply the group's link changes to its profile in place; the path of a profile or recording becomes absolute."""
    changes = group.get("link", {})
    where = f"{source}: group.{group.get('name', '?')}"
    if is_recorded(changes):
        with _prefixed(f"{where}.link"):
            group["link"] = resolved(changes, folder)
    elif isinstance(group.get("profile"), str) and isinstance(changes, dict):
        with _prefixed(f"{where}.profile"):
            below = read_profile(group["profile"], folder)
        if (folder / group["profile"]).is_file():
            group["profile"] = str((folder / group["profile"]).resolve())
        group["link"] = merged(below, changes)
    elif "profile" not in group:
        raise SimulatorError(f"{where}: has no network; expected profile = NAME or FILE, or link = RECORDING")


@contextmanager
def _prefixed(where: str) -> Iterator[None]:
    """Name the place of what is wrong with a file that a scenario names."""
    try:
        yield
    except SimulatorError as error:
        raise SimulatorError(f"{where}: {str(error).removeprefix('profile: ')}") from error


def _follow_hub(group: dict[str, Any], hub: Any) -> None:
    """Set the user timeout at the hub's end from the hub's own settings, unless the group sets it."""
    if not isinstance(hub, dict):
        return
    if hub.get("keepalive_s") == 0:  # then gRPC sets none
        group.setdefault("hub_user_timeout", "0s")
    elif "keepalive_timeout_s" in hub:
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
    _expand_links(data)
    replaced = {"link": "profile", "file": "profile", "profile": "link"}.get(key.split(".")[-1])
    for group in _groups(data):
        if replaced and "profile" in group and is_recorded(group.get("link")):
            del group[replaced]
