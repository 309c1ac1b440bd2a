"""A group of a scenario: nodes that are alike, what they send, how they connect and on which link."""

import enum
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from heartbench.simulator.outages import Outages
from heartbench.simulator.profile import Profile
from heartbench.simulator.replay import Replay
from heartbench.simulator.tomlfile import (
    SHORTEST_S,
    Duration,
    Fraction,
    Interval,
    Name,
    PositiveDuration,
    PositiveInterval,
    Table,
)
from heartbench.simulator.uplink import Uplink

MOST_NODES = 10_000_000
MOST_NODES_ON_AN_UPLINK = 5_000  # they are in memory together, 200 KiB each


class Backoff(Table):
    """The time between the starts of two connection attempts, the first of which failed.

    Rule and defaults are gRPC's (doc/connection-backoff.md). A success resets it, and a connection that drops after a
    success is dialled again at once.
    """

    initial_s: PositiveInterval = Field(1.0, description="from the first attempt after a success to the second")
    multiplier: float = Field(1.6, ge=1, description="growth from attempt to attempt")
    jitter: Fraction = Field(0.2, description="each backoff is uniform within ± this share of itself")
    max_s: PositiveDuration = Field(120.0, description="longest backoff, before jitter")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.max_s < self.initial_s:
            raise ValueError("max must be at least as long as initial")
        return self


class TunnelKind(enum.StrEnum):
    """What lies between TCP and the link."""

    NONE = "none"
    WIREGUARD = "wireguard"
    BORINGTUN = "boringtun"


class Site(Table):
    """Nodes in one place, with consecutive numbers within their group. They share outages, or a way up."""

    nodes: int = Field(ge=2, description="nodes per site; the last site has the remainder")
    share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="share of a node's outages that hit its whole site at once; the profile sets how many a node has",
    )
    uplink: Uplink | None = Field(
        None, description="queue of a slow way up that all nodes of a site share; virtual engine only"
    )

    @model_validator(mode="after")
    def _shares_something(self) -> Self:
        if self.share is None and self.uplink is None:
            raise ValueError("share and uplink are missing; set what the nodes of a site share")
        if self.uplink is not None and self.nodes > MOST_NODES_ON_AN_UPLINK:
            raise ValueError(f"nodes: {self.nodes}: must be at most {MOST_NODES_ON_AN_UPLINK} with an uplink")
        return self


def is_recorded(link: Any) -> bool:
    """Return whether `link` is a recorded link, or data of one: it names a file."""
    return isinstance(link, Replay) or (isinstance(link, dict) and "file" in link)


Link = Annotated[
    Annotated[Profile, Tag("(profile)")] | Annotated[Replay, Tag("(recording)")],  # no keys, so errors leave them out
    Discriminator(lambda link: "(recording)" if is_recorded(link) else "(profile)"),
]


class Group(Table):
    """Nodes that are alike."""

    name: Name = Field(description="name of the group in faults and in --set")
    nodes: int = Field(ge=1, le=MOST_NODES, description="number of nodes")
    heartbeat_interval_s: PositiveInterval = Field(10.0, description="time between two heartbeats that a node sends")
    heartbeat_jitter: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="each interval is uniform within ± this share of itself"
    )
    heartbeat_ack: bool = Field(False, description="whether nodes ask the hub to acknowledge each heartbeat")
    start_spread_s: Duration = Field(
        default_factory=lambda above: above["heartbeat_interval_s"],
        description="nodes start at uniform times within this span; default: one interval",
    )
    output_rate: float = Field(0.0, ge=0, description="terminal output, bytes per second; 0: none")
    chunk_bytes: int = Field(0, ge=0, le=1_048_576, description="size of a chunk of terminal output")
    file_bytes: int = Field(0, ge=0, le=8_388_608, description="size of the file that a node uploads; 0: none")
    file_every_s: Duration = Field(0.0, description="time between two uploads, at least 1s")
    file_spread_s: Duration | None = Field(
        None,
        description="the first file is due at a uniform time within this span after the start; default: file_every",
    )
    separate_uploads: bool = Field(
        False, description="whether output and files go over a connection of their own; virtual engine only"
    )

    keepalive_time_s: Interval = Field(0.0, description="silence after which gRPC sends a ping; 0: never")
    keepalive_timeout_s: PositiveDuration = Field(
        20.0,
        description="how long gRPC waits for a ping's acknowledgement before it closes the connection; gRPC 1.85 leaves"
        " that to TCP, so here it only sets the default of user_timeout",
    )
    ping_timeout_s: PositiveDuration = Field(
        60.0,
        description="grpc.http2.ping_timeout_ms: time without an answer to a ping after which gRPC 1.85 itself closes,"
        " even if TCP acknowledges everything because only the hub's process hangs",
    )
    user_timeout_s: Duration = Field(
        default_factory=lambda above: above["keepalive_timeout_s"] if above["keepalive_time_s"] > 0 else 0.0,
        description="TCP_USER_TIMEOUT at the node: TCP closes a connection on which it has retransmitted for this long;"
        " 0: none. Default: keepalive_timeout if keepalive is on, as in gRPC",
    )
    hub_user_timeout_s: Duration = Field(
        20.0,
        description="TCP_USER_TIMEOUT at the hub; default: its keepalive_timeout_s, or 0 if its keepalive_s is 0, as in"
        " gRPC. The hub's own pings, after keepalive_s without a message, are not modelled",
    )
    reconnect: Backoff = Backoff()

    profile: str | None = Field(
        None, description="link profile: a shipped name or the path of a TOML file; none if `link` is a recording"
    )
    link: Link = Field(description="changes to the profile, key by key; or a recording to replay: its path, or a table")
    tunnel: TunnelKind = Field(
        TunnelKind.NONE,
        description="what keys and handshakes do to packets: wireguard, as in wireguard-go and Linux; boringtun, where"
        " it differs from them; none: only the link. The profile's mss_bytes is that inside the tunnel",
    )
    persistent_keepalive_s: Duration = Field(
        0.0, description="WireGuard's PersistentKeepalive at the node, whole seconds up to 65535; 0: off"
    )
    site: Site | None = Field(None, description="outages, or a way up, that nodes share; default: none")

    @property
    def outage(self) -> Outages:
        """The outages that the profile states; none of them if the link replays a recording."""
        return self.link.outage if isinstance(self.link, Profile) else Outages()

    @model_validator(mode="after")
    def _one_network(self) -> Self:
        if isinstance(self.link, Replay) and self.profile is not None:
            raise ValueError("profile and a recorded link exclude each other; remove one of them")
        if isinstance(self.link, Replay) and self.site is not None:
            raise ValueError(
                "site: a recorded link does not say which outages nodes share; remove it, or use a profile"
            )
        return self

    @model_validator(mode="after")
    def _output_in_chunks(self) -> Self:
        if self.output_rate > 0 and self.chunk_bytes == 0:
            raise ValueError("output_rate needs chunk_bytes of at least 1")
        if self.output_rate * SHORTEST_S > self.chunk_bytes:
            raise ValueError(
                f"output_rate: {self.output_rate:g}: must be at most {self.chunk_bytes / SHORTEST_S:g},"
                f" one chunk per millisecond, with chunk_bytes of {self.chunk_bytes}"
            )
        return self

    @model_validator(mode="after")
    def _one_queue(self) -> Self:
        own = isinstance(self.link, Profile) and self.link.uplink is not None
        if own and self.site is not None and self.site.uplink is not None:
            raise ValueError("site.uplink and link.uplink exclude each other; set only one of them")
        return self

    @model_validator(mode="after")
    def _keepalive_of_a_tunnel(self) -> Self:
        if self.persistent_keepalive_s > 0 and self.tunnel is TunnelKind.NONE:
            raise ValueError("persistent_keepalive needs a tunnel, such as wireguard")
        if self.separate_uploads and self.tunnel is not TunnelKind.NONE:
            raise ValueError("separate_uploads and tunnel exclude each other; set only one of them")
        if self.persistent_keepalive_s > 65535 or not self.persistent_keepalive_s.is_integer():
            raise ValueError(
                f"persistent_keepalive: {self.persistent_keepalive_s:g}s: must be a whole number of seconds up to 65535"
            )
        return self

    @model_validator(mode="after")
    def _file_now_and_then(self) -> Self:
        if (self.file_bytes > 0) != (self.file_every_s > 0):
            raise ValueError("file_bytes and file_every need each other")
        if 0 < self.file_every_s < 1:
            raise ValueError("file_every must be at least 1s")
        return self
