"""The knobs that `tune --free` can turn, which values of each are tried, and which of them fit together.

    knob          at    values tried                          in a scenario, and in gRPC
    threshold     hub   the grid of `tune`                    hub.stale_after_s
    detector      hub   `hub_candidates.detectors`            hub.detector
    flaps         hub   `flap_choice.RULES`                   hub.flap_rule
    keepalive     node  off, 10, 30, 60 s                     keepalive_time: GRPC_ARG_KEEPALIVE_TIME_MS
    user-timeout  node  none, 5, 10, 20, 30 s                 user_timeout: GRPC_ARG_KEEPALIVE_TIMEOUT_MS
    reconnect     node  5, 15, 30, 120 s                      reconnect.max: GRPC_ARG_MAX_RECONNECT_BACKOFF_MS
    interval      node  half, the same, twice, three times    heartbeat_interval

The current value of a knob is always tried. What fits together:

    gRPC sets TCP_USER_TIMEOUT to keepalive_timeout where it sends pings (its proposal A18), so pings without a user
    timeout are not tried. A user timeout without pings is: a keepalive_time longer than the run.
    A gRPC server answers pings that come more often than it permits with GOAWAY too_many_pings (proposal A8): by
    default every 300 s without data. Heartbench's hub permits any number (grpc.http2.max_ping_strikes = 0).

Node knobs are set alike in all groups of a scenario.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from heartbench.analysis.errors import AnalysisError
from heartbench.simulator.group import Group
from heartbench.simulator.scenario import Scenario


class Knob(enum.StrEnum):
    """A setting that can be free, as `--free` names it."""

    THRESHOLD = "threshold"
    DETECTOR = "detector"
    FLAPS = "flaps"
    KEEPALIVE = "keepalive"
    USER_TIMEOUT = "user-timeout"
    RECONNECT = "reconnect"
    INTERVAL = "interval"


TRIED_S = {
    Knob.KEEPALIVE: (0.0, 10.0, 30.0, 60.0),
    Knob.USER_TIMEOUT: (0.0, 5.0, 10.0, 20.0, 30.0),
    Knob.RECONNECT: (5.0, 15.0, 30.0, 120.0),
}
INTERVAL_FACTORS = (0.5, 1.0, 2.0, 3.0)
USUAL_INTERVAL_S = 10.0

FIELDS = {
    Knob.INTERVAL: "interval_s",
    Knob.KEEPALIVE: "keepalive_s",
    Knob.USER_TIMEOUT: "user_timeout_s",
    Knob.RECONNECT: "reconnect_max_s",
}
"""The node knobs, and where a NodeSetting has them."""
BLOCKS = ((Knob.KEEPALIVE, Knob.USER_TIMEOUT), (Knob.RECONNECT,), (Knob.INTERVAL,))
"""Node knobs that are searched together, because each changes what the other does."""


@dataclass(frozen=True, slots=True)
class NodeSetting:
    """What nodes do, s; None: what each group of the scenario has, which differs.

    Attributes:
        interval_s: time between two heartbeats.
        keepalive_s: silence after which gRPC sends a ping; 0: never.
        user_timeout_s: gRPC's keepalive timeout, which is TCP_USER_TIMEOUT; 0: none.
        reconnect_max_s: longest backoff between two attempts to connect.
    """

    interval_s: float | None
    keepalive_s: float | None
    user_timeout_s: float | None
    reconnect_max_s: float | None

    def value(self, knob: Knob) -> float | None:
        """Return the value of a node knob, s."""
        found: float | None = getattr(self, FIELDS[knob])
        return found

    def turned(self, knob: Knob, value_s: float | None) -> "NodeSetting":
        """Return this setting with another value of one knob."""
        return replace(self, **{FIELDS[knob]: value_s})


def parse_knobs(text: str) -> frozenset[Knob]:
    """Return the knobs of a list such as `threshold,keepalive`.

    Raises:
        AnalysisError: it names none, or something else.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Knob)]
    if unknown or not names:
        raise AnalysisError(f"--free: {', '.join(unknown) or 'empty'}: expected some of {', '.join(Knob)}")
    return frozenset(Knob(name) for name in names)


def current_of(scenario: Scenario) -> NodeSetting:
    """Return the setting that the nodes of a scenario have."""

    def shared(values: list[float]) -> float | None:
        return values[0] if len(set(values)) == 1 else None

    groups = scenario.group
    return NodeSetting(
        interval_s=shared([group.heartbeat_interval_s for group in groups]),
        keepalive_s=shared([group.keepalive_time_s for group in groups]),
        user_timeout_s=shared([group.user_timeout_s for group in groups]),
        reconnect_max_s=shared([group.reconnect.max_s for group in groups]),
    )


def applied(scenario: Scenario, setting: NodeSetting) -> Scenario:
    """Return the scenario with nodes that have this setting; outages, losses and starts stay what they are."""
    groups = tuple(_with(group, setting) for group in scenario.group)
    return scenario.model_copy(update={"group": groups})


def _with(group: Group, setting: NodeSetting) -> Group:
    changes: dict[str, object] = {}
    if setting.interval_s is not None:
        changes["heartbeat_interval_s"] = setting.interval_s
    if setting.keepalive_s is not None:
        changes["keepalive_time_s"] = setting.keepalive_s
    if setting.user_timeout_s is not None:
        changes["user_timeout_s"] = setting.user_timeout_s
    if setting.user_timeout_s:
        changes["keepalive_timeout_s"] = setting.user_timeout_s
    if setting.reconnect_max_s is not None:
        initial_s = min(group.reconnect.initial_s, setting.reconnect_max_s)
        changes["reconnect"] = group.reconnect.model_copy(
            update={"max_s": setting.reconnect_max_s, "initial_s": initial_s}
        )
    return group.model_copy(update=changes)


def values_of(knob: Knob, current: NodeSetting) -> list[float | None]:
    """Return the values of a node knob to try, s, the current one first."""
    now_s = current.value(knob)
    if knob is Knob.INTERVAL:
        tried = [factor * (now_s or USUAL_INTERVAL_S) for factor in INTERVAL_FACTORS]
    else:
        tried = list(TRIED_S[knob])
    return [now_s, *(each for each in tried if each != now_s)]


def problem_of(setting: NodeSetting, permitted_ping_s: float) -> str | None:
    """Return why the parts of a setting do not fit together; None if they do."""
    if not setting.keepalive_s:
        return None
    if setting.user_timeout_s == 0:
        return "gRPC sets a user timeout as soon as it sends pings, and it is none here"
    if setting.keepalive_s < permitted_ping_s:
        return f"the hub permits one ping in {permitted_ping_s:g} s, and answers more with GOAWAY"
    return None


def around(
    setting: NodeSetting, block: tuple[Knob, ...], current: NodeSetting, permitted_ping_s: float
) -> Iterator[NodeSetting]:
    """Yield the settings that differ from one in the knobs of a block alone, and fit together."""
    for values in product(*(values_of(knob, current) for knob in block)):
        changed = setting
        for knob, value_s in zip(block, values, strict=True):
            changed = changed.turned(knob, value_s)
        if changed == current or problem_of(changed, permitted_ping_s) is None:
            yield changed


def all_settings(free: frozenset[Knob], current: NodeSetting, permitted_ping_s: float) -> set[NodeSetting]:
    """Return all settings of the nodes that fit together; at least the current one."""
    return set(around(current, tuple(knob for knob in FIELDS if knob in free), current, permitted_ping_s))


def stuck(free: frozenset[Knob], current: NodeSetting, permitted_ping_s: float) -> dict[Knob, str]:
    """Return the free knobs of the nodes of which only the current value fits, each with the reason."""
    every, found = all_settings(free, current, permitted_ping_s), dict[Knob, str]()
    for knob in (knob for knob in FIELDS if knob in free):
        now_s, *others = values_of(knob, current)
        if {each.value(knob) for each in every} == {now_s}:
            problems = (problem_of(current.turned(knob, each), permitted_ping_s) for each in others)
            found[knob] = next(filter(None, problems), "")
    return found
