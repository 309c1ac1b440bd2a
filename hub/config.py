"""Every setting of the hub: its unit, its meaning, its bounds, and which values contradict each other.

A setting `x_s` is read from the environment as `HUB_X_S`, else from an env file, else it has its default. A value that
cannot be used is rejected with one line that names its source and what is allowed. A file is read again on demand
(`operations/reload.py`); the environment only at the start.
"""

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_serializer, model_validator

from heartbench.hub import envfile
from heartbench.hub.envfile import PREFIX, AnyCase, OptionalPath, Seconds, env_name, read_env_file
from heartbench.hub.errors import HubError
from heartbench.hub.listening import ListeningSettings
from heartbench.hub.liveness.detector_text import (
    FIXED,
    DetectorText,
    LabelDetectorsText,
    parse_by_label,
    parse_detector,
)
from heartbench.hub.liveness.flap_rules import FlapWindow
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.policy_text import FlapRuleText, HoldDownText, parse_flap_rule, parse_hold_down
from heartbench.hub.printable import without_password
from heartbench.hub.store.protocol import Durability
from heartbench.hub.store.url import FORMS as STORE_FORMS
from heartbench.hub.work.executor import Policy

POLICY_FIELDS = (
    *("stale_after_s", "detector", "detector_by_label"),
    *("flap_window_s", "flap_threshold", "flap_exit", "flap_rule", "hold_down"),
)
ADDED_FIELDS = ("detector", "detector_by_label", "flap_rule", "hold_down")
"""Policy settings that records of earlier versions lack: their hubs had the defaults."""
ABSENCE_FIELDS = ("pause_over_s", "restart_grace_s")
FITTING_FLAPS = 4
"""Flaps that fit into a window of twice the threshold."""
MIB = 1 << 20


class HubSettings(ListeningSettings):
    """The settings that a hub starts with.

    The hub uses `HubSettings.load()`; `HubSettings.of(...)` reads neither environment nor file.
    """

    # Judging nodes.
    stale_after_s: float = Field(30.0, ge=0.1, le=86_400)
    """Seconds without a message before a node is marked stale. Higher values give fewer false alarms on a network
    with outages, and a longer detection time. `heartbench tune` measures which value fits your network."""
    detector: DetectorText = FIXED
    """What decides how long a node may be silent: `fixed` (stale_after_s), or a detector that learns from the node's
    heartbeats: `chen margin=20s`, `two-window margin=20s`, `bertier`, `phi threshold=8` or `phi-exponential
    threshold=8`. docs/detectors.md has their parameters, and compares them. The other settings that speak of
    stale_after_s keep to its value."""
    detector_by_label: LabelDetectorsText = ""
    """Detectors of nodes with some labels, such as `site=ship: phi threshold=12; tier=core: fixed stale_after=10s`. The
    first that fits a node goes before the detector of all others."""
    flap_window_s: float = Field(60.0, ge=0.1, le=604_800)
    """Seconds for which a flap (a change between online and stale) counts. By default at least twice
    stale_after_s."""
    flap_threshold: int = Field(3, ge=2, le=10_000)
    """Flaps within the window that mark a node as flapping. It must be reachable: two flaps take at least
    stale_after_s of silence."""
    flap_exit: int = Field(1, ge=1, le=10_000)
    """The mark is removed when fewer flaps than this are left in the window. It is less than the threshold, so that
    the mark itself does not flap."""
    flap_rule: FlapRuleText = "window"
    """What marks a node as flapping: `window`, with the three settings above; `weighted low=20% high=30% check=10s`,
    Nagios' share of the last 21 checks; or `decay penalty=500 half_life=15m suppress=2000 reuse=750 max=60m`, RFC 2439.
    Parameters left out have these values; check is a third of stale_after_s. docs/flap-rules.md compares them."""
    hold_down: HoldDownText = "off"
    """How long a stale node must be heard before it is online again: `off`, `3 heartbeats` or `10s`. Longer: fewer
    changes, and a node that is back is shown later. A silence that would make it stale begins it anew."""
    pause_over_s: float = Field(0.5, ge=0.2, le=3600)
    """Seconds by which the hub's own tick may be late. A later tick means that the hub was paused and could not
    receive: every deadline is extended by the pause. With higher values, a slow hub marks more nodes stale."""
    # A node that dialled just before the hub was up again waits for gRPC's longest backoff, 120 s and 20% of jitter
    # (doc/connection-backoff.md); the attempt after that may fall into an outage and take its 20 s; 16 s are margin.
    restart_grace_s: float = Field(180.0, ge=0, le=86_400)
    """Seconds that every known node gets to come back after the hub has started. Longer than the nodes' longest
    reconnect backoff (by default gRPC's 120 s, ±20%) and one attempt. Lower: live nodes are marked stale after a
    restart; higher: nodes that died meanwhile are noticed later."""
    mass_silence_fraction: float = Field(0.55, ge=0, le=1)
    """Share of the online nodes, and of the addresses that they come from, that must be silent together, each for more
    than half of its threshold, before the hub suspects its own network and marks no node stale; 0: never. A node counts
    once it was heard for half of stale_after_s, or if it was online when the hub last ran."""
    mass_silence_nodes: int = Field(3, ge=1, le=1_000_000)
    """Smallest number of silent nodes for that: two silent nodes of two prove little."""
    mass_silence_max_s: float = Field(600.0, ge=1, le=604_800)
    """Seconds after which the hub drops that suspicion and judges as usual. Set it above your longest uplink
    outage, or every node flaps."""
    forget_after: Seconds = Field(0.0, ge=0, le=315_360_000)
    """Seconds (or 12h, 30d) of silence after which a node that is not online is forgotten with its history; 0:
    never."""

    # Storage.
    history_chunks: int = Field(150, ge=1, le=100_000)
    """Chunks of terminal output kept for each node."""
    history_bytes: int = Field(262_144, ge=1024)
    """Bytes of terminal output kept for each node. The limit reached first applies."""
    store_url: str = Field(
        "sqlite:///heartbench.db",
        repr=False,
        description=f"Where histories and nodes survive the hub; with memory: they do not. Allowed: {STORE_FORMS}.",
    )
    store_durability: Annotated[Durability, AnyCase] = Durability.COMMITTED
    """A chunk is acknowledged when it is `committed` (SQLite's commit returned, Redis replied), or as soon as it is
    `buffered` in memory, which is quicker and is lost with the process."""
    store_queue_chunks: int = Field(20_000, ge=1, le=10_000_000)
    """Chunks that may wait for the store; beyond that, nodes are slowed."""
    store_linger_s: float = Field(0.01, ge=0, le=10)
    """Seconds that a commit waits for more chunks. Higher values give fewer commits and later acknowledgements."""
    store_ttl_s: float = Field(604_800.0, ge=0, le=315_360_000)
    """Seconds for which Redis keeps a node after its last write; 0: for good."""
    files_dir: OptionalPath = None
    """Directory for the files that nodes upload, one directory per node; empty: uploads of files are rejected."""
    file_bytes: int = Field(1 << 30, ge=1)
    """Bytes of the largest file that is accepted."""
    files_bytes: int = Field(64 * 1024 * MIB, ge=1)
    """Bytes on disk of the files of all nodes together, with the incomplete ones; beyond that, files are rejected."""
    unfinished_file_ttl_s: float = Field(86_400.0, ge=60, le=315_360_000)
    """Seconds after its last chunk for which an incomplete file is kept, so that its node can resume it."""
    executor_workers: int = Field(4, ge=1, le=256)
    """Threads that write files."""
    executor_queue: int = Field(64, ge=1, le=100_000)
    """File chunks that may wait for a thread."""
    executor_policy: Annotated[Policy, AnyCase] = Policy.BLOCK
    """When that queue is full: `block` slows the node, `reject` ends its stream. There is no third choice: work on
    the event loop would stop all heartbeats."""

    # Limits.
    max_inflight_bytes: int = Field(512 * MIB, ge=4 * MIB)
    """Bytes received and not yet stored, in total: half of it for what gRPC holds of Upload streams (window_bytes
    each), a quarter for chunks, a quarter for file chunks."""
    node_inflight_bytes: int = Field(MIB, ge=1024)
    """The same for one node's chunks; beyond that, its Upload is not read."""
    window_bytes: int = Field(65_536, ge=16_384, le=16 * MIB)
    """Bytes that gRPC receives on one stream before the hub reads them. The value is fixed because gRPC's own
    windows grow with the load."""
    message_bytes: int = Field(262_144, ge=4096, le=64 * MIB)
    """Bytes of the longest message that is accepted. Each open Upload may hold one beside its window while it
    waits, so higher values need more memory in a wave of uploads."""
    uploads_per_node: int = Field(4, ge=1, le=100)
    """Upload streams that one node may hold open."""
    max_nodes: int = Field(200_000, ge=1)
    """Maximum number of known nodes; further ones are rejected."""
    # Half: one peer alone leaves room for the others, and hundreds of nodes behind one NAT, or ten thousand of a load
    # test, are far below it. A smaller share would only make a large site unequal to many small ones.
    peer_share: float = Field(0.5, gt=0, le=1)
    """Share of the known nodes, of all Upload streams, and of max_subscribers that one peer may take: one identity, or
    without TLS one address (of IPv6: one /64). Set it to 1, no limit for each peer, if your nodes come through one
    proxy or NAT and are many."""
    admit_per_s: float = Field(1000.0, ge=0, le=1_000_000)
    """Streams admitted per second, and the largest burst; each of the others gets a time to come back. 0: no
    limit."""
    hello_within_s: float = Field(10.0, ge=0.1, le=3600)
    """Seconds within which a new stream must send its Hello. An Upload whose node has no Connect stream ends after as
    long without a message."""
    event_queue: int = Field(1024, ge=1, le=1_000_000)
    """Events that may wait for one subscriber. A slower one loses the oldest and learns how many it missed."""
    event_log: int = Field(10_000, ge=1, le=10_000_000)
    """Events kept for subscribers that come back for what they missed."""
    max_subscribers: int = Field(1000, ge=1, le=100_000)
    """Maximum number of subscribers at one time."""
    commands_waiting: int = Field(16, ge=1, le=100_000)
    """Commands that may wait for one node, or for its answer."""
    commands_bytes: int = Field(64 * MIB, ge=MIB)
    """Bytes of all commands that wait for their nodes, or for their answers; each counts 24 KiB beside its payload. The
    hub may hold a large payload three times while it waits."""
    acks_waiting: int = Field(64, ge=1, le=100_000)
    """Acknowledgements that may wait to be sent to one node. If a node does not read them, the oldest are
    dropped."""

    # Connections and output.
    # 60 s is longer than what a node's own TCP needs to repair the outages it survives (39 s after one of 25 s), and
    # WireGuard passes outages of up to 60 s unnoticed.
    keepalive_s: float = Field(60.0, ge=0, le=86_400)
    """Seconds without anything received after which the hub pings a connection; 0: never. A node that sends more often
    is never pinged, and pings do not count as signs of life. A connection whose node vanished is closed after
    keepalive_s + keepalive_timeout_s; until then it holds memory and a place for its Upload. With 0 that takes TCP a
    quarter of an hour, or for ever if the hub has nothing to send. Lower values close connections in outages that they
    would have survived."""
    keepalive_timeout_s: float = Field(20.0, ge=1, le=86_400)
    """Seconds after which a connection with an unanswered ping, or with other unacknowledged data of the hub, is
    closed. gRPC sets TCP_USER_TIMEOUT to it, but only if keepalive_s is not 0: if it is shorter than your outages, it
    drops connections on which the hub sends something meanwhile."""
    drain_s: float = Field(2.0, ge=0, le=4)
    """Seconds that streams get to end by themselves when the hub stops. The hub exits within 5 s."""
    summary_interval_s: float = Field(60.0, ge=0.1, le=86_400)
    """Seconds between two summary lines in the log."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = "info"
    """Lowest severity that is logged."""
    log_format: Annotated[Literal["text", "json"], AnyCase] = "text"
    """How a line of the log is written: `text` (key=value pairs) or `json` (one object per line)."""
    observe_file: OptionalPath = None
    """File (JSON Lines) that records each receipt, each move of a deadline and each change, so that the changes can
    be computed again from the receipts; empty: none."""
    trace_dir: OptionalPath = None
    """Directory in which the hub records when each message came, as Parquet that `heartbench tune` can judge; empty: it
    records nothing. Needs pyarrow."""
    trace_bytes: int = Field(1 << 30, ge=MIB)
    """Bytes that this record may take; beyond that, its oldest part is removed. A heartbeat takes 28 bytes at first,
    and less than half of that as Parquet, which is written every 128 MiB (or half of all), and at the next start."""

    @field_serializer("store_url", when_used="json")
    def mask_password(self, url: str) -> str:
        """Return the store's URL as it is written into any file."""
        return without_password(url)

    def shown(self) -> Self:
        """Return these settings as they may be shown: without the store's password."""
        return self.model_copy(update={"store_url": without_password(self.store_url)})

    @property
    def policy(self) -> PolicySpec:
        """How nodes are judged."""
        window = FlapWindow(self.flap_window_s, self.flap_threshold, self.flap_exit)
        rule = parse_flap_rule(self.flap_rule, window, self.stale_after_s)
        by_label = parse_by_label(self.detector_by_label, self.stale_after_s)
        detector = parse_detector(self.detector, self.stale_after_s)
        return PolicySpec(detector, rule, by_label, parse_hold_down(self.hold_down))

    @property
    def has_one_timeout(self) -> bool:
        """Whether `stale_after_s` is all that decides when a node is stale."""
        return self.detector == FIXED and not self.detector_by_label

    @property
    def cycle_s(self) -> float:
        """The shortest time from one stale mark to the next, s."""
        return self.stale_after_s + parse_hold_down(self.hold_down).seconds

    @property
    def max_uploads(self) -> int:
        """Maximum number of Upload streams: gRPC may hold half of the bytes in flight for them."""
        return self.max_inflight_bytes // 2 // self.window_bytes

    @model_validator(mode="after")
    def fit_the_window(self) -> Self:
        """Extend the flap window with the threshold unless it was set."""
        if "flap_window_s" not in self.model_fields_set:
            object.__setattr__(self, "flap_window_s", fitting_window_s(self.cycle_s))
        return self

    @model_validator(mode="after")
    def reject_contradictions(self) -> Self:
        """Reject values that are valid one by one and contradict each other."""
        self.policy.flap_rule.check_reachable(self.cycle_s)
        if self.flap_exit >= self.flap_threshold:
            raise ValueError(
                f"HUB_FLAP_EXIT={self.flap_exit} must be less than HUB_FLAP_THRESHOLD={self.flap_threshold}; "
                f"use 1 to {self.flap_threshold - 1}"
            )
        quarter = self.max_inflight_bytes // 4
        for name in ("node_inflight_bytes", "message_bytes", "window_bytes"):
            if getattr(self, name) > quarter:
                raise ValueError(
                    f"{env_name(name)}={getattr(self, name)} is more than a quarter of HUB_MAX_INFLIGHT_BYTES="
                    f"{self.max_inflight_bytes}; use {quarter} or less"
                )
        if self.file_bytes > self.files_bytes:
            raise ValueError(
                f"HUB_FILE_BYTES={self.file_bytes} is more than HUB_FILES_BYTES={self.files_bytes} for all files; "
                f"use {self.files_bytes} or less"
            )
        if 0 < self.forget_after <= self.stale_after_s:
            raise ValueError(
                f"HUB_FORGET_AFTER={self.forget_after:g} forgets nodes that are not yet stale; "
                f"use 0, or more than HUB_STALE_AFTER_S={self.stale_after_s:g}"
            )
        return self

    @classmethod
    def load(cls, env_file: Path | None = None) -> Self:
        """Return the settings from the environment, else the env file, else the defaults; HubError names a mistake."""
        in_file = read_env_file(env_file, cls.model_fields) if env_file else {}
        in_environment = read_environment()
        try:
            return cls.model_validate(in_file | in_environment)
        except ValidationError as error:
            raise HubError(
                envfile.explain(error, cls.model_fields, env_file, in_file.keys() - in_environment)
            ) from None

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return settings with these values and the defaults; HubError names a mistake."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise HubError(envfile.explain(error, cls.model_fields)) from None

    def changed(self, **values: Any) -> Self:
        """Return these settings with other `values`, checked as a whole."""
        return self.of(**{**self.model_dump(), **values})

    @classmethod
    def for_stale_after(cls, stale_after_s: float, base: Self | None = None) -> Self:
        """Return `base` (the defaults) with a fixed timeout for all nodes, and a flap window that still fits."""
        base = base or cls.of()
        window_s = base.flap_window_s * max(1.0, stale_after_s / base.stale_after_s)
        if base.flap_window_s == fitting_window_s(base.cycle_s) and base.flap_threshold <= FITTING_FLAPS:
            window_s = fitting_window_s(stale_after_s + parse_hold_down(base.hold_down).seconds)
        only = {"detector": FIXED, "detector_by_label": ""}
        return base.changed(stale_after_s=stale_after_s, flap_window_s=window_s, **only)

    def to_env(self) -> str:
        """Return a commented env file with these settings; defaults are commented out, a password is masked."""
        fields, shown = type(self).model_fields.items(), self.shown()
        return "\n".join(
            envfile.env_entry(name, field, getattr(shown, name), name in POLICY_FIELDS) for name, field in fields
        )


def fitting_window_s(cycle_s: float) -> float:
    """Return the flap window, s: the default, or twice the shortest time between stale marks if that is longer."""
    default: float = HubSettings.model_fields["flap_window_s"].default
    return max(default, 2 * cycle_s)


def read_environment() -> dict[str, str]:
    """Return the settings that the environment contains, by name; upper and lower case are the same there."""
    names = {env_name(name): name for name in HubSettings.model_fields}
    return {names[key.upper()]: value for key, value in os.environ.items() if key.upper() in names}


def ignored() -> Iterator[str]:
    """Yield a warning for each environment variable with our prefix that is not a setting.

    It is not an error: a container platform puts variables of its own there for a service named `hub`.
    """
    known = {env_name(name) for name in HubSettings.model_fields}
    for key in sorted(os.environ):
        if key.upper().startswith(PREFIX) and key.upper() not in known:
            near = get_close_matches(key.upper(), known, 1, 0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{key} in the environment is not a setting, and ignored{hint}"


def sources(env_file: Path | None = None) -> dict[str, str]:
    """Return where each setting comes from that has not its default: `environment`, or the env file."""
    in_file = read_env_file(env_file, HubSettings.model_fields) if env_file else {}
    return dict.fromkeys(in_file, str(env_file)) | dict.fromkeys(read_environment(), "environment")
