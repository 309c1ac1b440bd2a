"""What a recommendation assumes about gaps beyond those of its log: how far it extrapolates, or why it does not."""

from collections.abc import Iterator

from heartbench.analysis.assumptions import Assumption
from heartbench.analysis.tail.choice import Candidate
from heartbench.analysis.tail.rates import LogTail
from heartbench.analysis.tune import Recommendation

WHENCE = "the longest gaps of the log, docs/tune-a-log.md"


def tail_assumptions(found: Recommendation) -> Iterator[Assumption]:
    """Yield what is assumed about the tail of each group; nothing for a run."""
    for name, tail in found.tails.items():
        yield Assumption("tail", tail_text(tail, found), WHENCE, (name,) if len(found.tails) > 1 else ())


def tail_text(tail: LogTail, found: Recommendation) -> str:
    """Return what carries the tail, how far the settings are beyond the data, and what was tried."""
    chosen = tail.choice.chosen
    tried = "; tried " + ", ".join(map(candidate_text, tail.choice.tried)) if tail.choice.tried else ""
    if chosen is None:
        return f"not extrapolated, so the network interval is empty: {tail.choice.refused}{tried}"
    beyond = ", ".join(f"{each:g} s is {distance(each, tail.choice.longest_s)}" for each in found.settings_s)
    worth = f"worth {tail.independent:.0f} independent ones"
    return (
        f"{chosen.exceedances:,} gaps over {chosen.from_s:.3g} s ({worth}) carry it, generalised Pareto with shape "
        f"{tail.shape:g} and scale {tail.scale_s:.3g} s by greatest likelihood; {beyond}; no interval over "
        f"{tail.ends_s:.3g} s, one decade beyond the data{tried}"
    )


def distance(stale_after_s: float, longest_s: float) -> str:
    """Return how far a threshold is from the longest gap."""
    times = stale_after_s / longest_s
    return f"{times:.2g} times the longest gap of {longest_s:.3g} s" if times > 1 else "exceeded by gaps of the log"


def candidate_text(each: Candidate) -> str:
    """Return a threshold that was tried."""
    return (
        f"over {each.from_s:.3g} s ({each.exceedances:,} gaps, mean excess {each.mean_excess_s:.3g} s, shape by "
        f"L-moments {each.shape:.2f}, p = {each.p_value:.2g})"
    )
