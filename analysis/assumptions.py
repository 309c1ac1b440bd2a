"""The assumptions behind a recommendation that the trace does not show, each with its source."""

from collections.abc import Iterator
from dataclasses import dataclass

from heartbench.analysis.evidence import Evidence
from heartbench.analysis.imported_assumptions import of_a_log
from heartbench.analysis.networks import observed_groups
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.group import Group
from heartbench.simulator.outages import HOUR_S, Lengths, Outages
from heartbench.simulator.profile import Profile, load_profile
from heartbench.simulator.replay import Replay
from heartbench.simulator.tail import LEAST_SHAPE, MOST_SHAPE

PRIOR = (
    f"before any observation, every shape from {LEAST_SHAPE:g} to {MOST_SHAPE:g} and every order of magnitude of the "
    "scale is equally likely; outages occur at random times"
)


HOST = "host", "one machine and one hub carry all nodes; gaps are tested for coincidence", "a live run"


@dataclass(frozen=True, slots=True)
class Assumption:
    """One assumption: its name, value in words, source, and the groups that it holds for (empty: all)."""

    name: str
    value: str
    whence: str
    groups: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the assumption in one line."""
        of = f" ({', '.join(self.groups)})" if self.groups else ""
        return f"{self.name}{of}: {self.value}; {self.whence}"


def assumptions_of(evidence: Evidence) -> list[Assumption]:
    """Return the assumptions; those that several groups share appear once."""
    if evidence.record is not None:
        return [Assumption(*each) for each in of_a_log(evidence, evidence.record)]
    if evidence.scenario is None:
        return list(_of_a_trace())
    merged: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for group in evidence.scenario.group:
        watched = group.name in observed_groups(evidence)
        for name, value, whence in (*_of_a_link(group, watched, evidence.is_live), *_of_a_way_up(group)):
            key = name, value, whence
            merged[key] = (*merged.get(key, ()), group.name)
    several = len(evidence.scenario.group) > 1
    return [Assumption(*key, groups if several else ()) for key, groups in merged.items()]


def _of_a_trace() -> Iterator[Assumption]:
    yield Assumption("network", "as recorded, for as long as the trace lasts", "the trace; no other is simulated")
    yield Assumption("power losses", "none", "an imported trace does not record when a node was down")
    yield Assumption("restarts of nodes", "a gap that ends with a newer boot counts for nobody", "the trace")
    yield Assumption("independence", "as recorded; gaps are tested for coincidence", "the trace")
    yield Assumption("hub", "defaults except for its threshold", "an imported trace does not record its settings")
    yield Assumption("end", "all nodes were up until the last arrival", "the trace")


def _of_a_link(group: Group, watched: bool, live: bool) -> Iterator[tuple[str, str, str]]:
    if isinstance(group.link, Replay):
        yield from _of_a_recording(group.link, live)
        return
    outage, profile = group.outage, _source(group)
    if not outage.knots:
        yield "outages", "none", profile
        yield _watching(outage, watched, profile)
        return
    if outage.lengths is Lengths.FIXED:
        yield "outage lengths", f"all of {outage.rates[0][0]:g} s", f"{profile}, stated"
    else:
        yield from _of_a_tail(outage, profile)
    yield _watching(outage, watched, profile)
    if watched:
        yield "networks", PRIOR, "heartbench, docs/validation.md"
    if outage.rate_factor != 1:
        yield "rate of outages", f"{outage.rate_factor:g} times that of the profile", "stated"
    yield "directions", _directions(outage), profile
    yield "kind", _kind(outage), profile
    site = group.site
    if live:
        yield HOST
    yield (
        "independence",
        f"{site.share:.0%} of a node's outages hit all {site.nodes} nodes of its site; the rest hit only that node"
        if site and site.share
        else "no outage hits two nodes at once",
        "scenario" if site else "scenario, which defines no sites",
    )


def _of_a_recording(link: Replay, live: bool) -> Iterator[tuple[str, str, str]]:
    recording = f"recording {link.file}"
    yield "outages", "those of the recording, which all nodes replay; none is longer", recording
    try:
        hours = f"{link.observed_s / HOUR_S:.3g} h, which count once, however many nodes replay them"
    except SimulatorError:
        hours = "unknown, because the file has moved or changed since the run"
    yield "hours observed", hours, recording
    if live:
        yield HOST
    when = "each begins at a random place of the recording" if link.shift else "all begin at its beginning"
    yield "independence", f"{when}; more nodes do not show more of the network", "scenario"


def _of_a_way_up(group: Group) -> Iterator[tuple[str, str, str]]:
    own = group.link.uplink if isinstance(group.link, Profile) else None
    shared = group.site.uplink if group.site else None
    uplink = own or shared
    if uplink is None:
        return
    whose = f"shared by the {group.site.nodes} nodes of a site" if group.site and shared else "one per node"
    files = "connection of their own" if group.separate_uploads else "connection of the heartbeats"
    yield (
        "way up",
        f"{uplink.bit_rate:g} bit/s behind a queue of {uplink.buffer_bytes:,} bytes (drop tail), {whose}; "
        f"files use the {files}, and are written at once",
        "scenario",
    )


def _source(group: Group) -> str:
    """Return the source of a group's outages: its profile, and whether the scenario changed them."""
    try:
        changed = load_profile(str(group.profile)).outage != group.outage
    except SimulatorError:  # the profile has moved since the run
        return f"profile {group.profile}, as the run recorded it"
    return f"profile {group.profile}" + (", changed by the scenario" if changed else "")


def _of_a_tail(outage: Outages, profile: str) -> Iterator[tuple[str, str, str]]:
    tail, seen = outage.tail, len(outage.observed_s)
    stated = outage.shape is not None
    whence = f"{profile}, stated" if stated else f"{profile}, fitted to {seen} observed lengths"
    yield "shape", f"{tail.shape:g} (outages over {tail.from_s:g} s, generalised Pareto)", whence
    yield "scale", f"{tail.scale_s:g} s", whence


def _watching(outage: Outages, watched: bool, profile: str) -> tuple[str, str, str]:
    observed = outage.observed
    if observed is None:
        return (
            "hours observed",
            "none; the uncertainty about the network is unknown, and long thresholds cannot be tuned for it",
            f"{profile}, which has no observed outages",
        )
    outages = f"{observed.count} outage{'s' * (observed.count != 1)}"
    seen = f"{observed.hours:g} h, {outages} of at least {observed.from_s:g} s"
    if observed.cut_s:
        seen += f", {len(observed.cut_s)} of them longer than what was seen"
    if observed.step_s:
        seen += f", resolution {observed.step_s:g} s"
    if watched:
        return "hours observed", seen, profile
    return "hours observed", "none for this network; its rate was changed", f"{profile}, {seen}, and rate_factor"


def _kind(outage: Outages) -> str:
    if outage.hold == 0:
        return "all outages drop packets"
    return f"{outage.hold:.0%} of the outages hold packets until they end, the rest drop them"


def _directions(outage: Outages) -> str:
    ways = outage.directions
    shares = {"up only": ways.up, "down only": ways.down, "both": ways.both}
    return ", ".join(f"{share:.0%} {way}" for way, share in shares.items() if share)
