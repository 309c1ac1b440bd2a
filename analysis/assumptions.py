"""What a recommendation rests on that the trace itself does not show, each with where it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass

from heartbench.analysis.evidence import Evidence
from heartbench.analysis.networks import observed_groups
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.group import Group
from heartbench.simulator.outages import Lengths, Outages
from heartbench.simulator.profile import load_profile
from heartbench.simulator.tail import LEAST_SHAPE, MOST_SHAPE

PRIOR = (
    f"before anything is observed, every shape from {LEAST_SHAPE:g} to {MOST_SHAPE:g} and every order of magnitude of "
    "the scale is equally likely; outages come at random times"
)


@dataclass(frozen=True, slots=True)
class Assumption:
    """One of them.

    Attributes:
        name: of what is assumed.
        value: in words, with its unit.
        whence: where it comes from.
        groups: for which groups; empty: for all that was judged.
    """

    name: str
    value: str
    whence: str
    groups: tuple[str, ...] = ()

    def line(self) -> str:
        """Return it as a line."""
        of = f" ({', '.join(self.groups)})" if self.groups else ""
        return f"{self.name}{of}: {self.value}; {self.whence}"


def assumptions_of(evidence: Evidence) -> list[Assumption]:
    """Return what is assumed, what several groups share once."""
    if evidence.scenario is None:
        return list(_of_a_trace())
    merged: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for group in evidence.scenario.group:
        watched = group.name in observed_groups(evidence)
        for name, value, whence in _of_a_link(group, watched, evidence.is_live):
            key = name, value, whence
            merged[key] = (*merged.get(key, ()), group.name)
    several = len(evidence.scenario.group) > 1
    return [Assumption(*key, groups if several else ()) for key, groups in merged.items()]


def _of_a_trace() -> Iterator[Assumption]:
    yield Assumption("network", "as in this trace, for as long as it was watched", "the trace; no other is simulated")
    yield Assumption("power losses", "none", "a bare trace does not say when a node was down")
    yield Assumption("independence", "as in the trace; it is tested for gaps that coincide", "the trace")
    yield Assumption("hub", "as by default but for its threshold", "a bare trace does not say how it was set")
    yield Assumption("end", "all nodes were expected to speak until the last arrival", "the trace")


def _of_a_link(group: Group, watched: bool, live: bool) -> Iterator[tuple[str, str, str]]:
    outage, profile = group.link.outage, _source(group)
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
        yield "host", "one machine and one hub carry all nodes; gaps that coincide are tested for", "a live run"
    yield (
        "independence",
        f"{site.share:.0%} of a node's outages strike all {site.nodes} nodes of its site; the rest strike it alone"
        if site
        else "no outage strikes two nodes at once",
        "scenario" if site else "scenario, which gives no site",
    )


def _source(group: Group) -> str:
    """Return where a group's outages are from: its profile, unless the scenario changed them."""
    try:
        changed = load_profile(group.profile).outage != group.link.outage
    except SimulatorError:  # it was there when the run began
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
            "hours watched",
            "none: the network's uncertainty is not known",
            f"{profile}, which has no observed outages",
        )
    seen = f"{observed.hours:g} h, {len(observed.lengths_s)} outages of at least {observed.from_s:g} s"
    if observed.step_s:
        seen += f", in steps of {observed.step_s:g} s"
    if watched:
        return "hours watched", seen, profile
    return "hours watched", "none of this network: its rate was changed", f"{profile}, {seen}, and rate_factor"


def _kind(outage: Outages) -> str:
    if outage.hold == 0:
        return "all outages drop packets"
    return f"{outage.hold:.0%} of the outages hold packets until they end, the rest drop them"


def _directions(outage: Outages) -> str:
    ways = outage.directions
    shares = {"up alone": ways.up, "down alone": ways.down, "both ways": ways.both}
    return ", ".join(f"{share:.0%} {way}" for way, share in shares.items() if share)
