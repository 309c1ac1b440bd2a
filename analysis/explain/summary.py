"""All false stales in sum: by class and cause, with the gaps they made, and what else a dashboard showed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heartbench.analysis.explain.flashes import Flash, Flashes
from heartbench.analysis.explain.knobs import Knob, Tried

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Share:
    """The false stales of one class and cause.

    Attributes:
        kind: the class; "unknown" if a log does not show it.
        cause: the cause; "unknown" likewise.
        count: how many.
        share: of all false stales.
        shown: status changes of theirs that a dashboard showed.
        inferred: how many of the causes are inferred.
        gap_median_s: median of their gaps, s, without the time in which the hub was away.
        gap_longest_s: the longest.
        hidden_median_s: median time from the end of the cut to the node's sign of life, s; None without one.
    """

    kind: str
    cause: str
    count: int
    share: float
    shown: int
    inferred: int
    gap_median_s: float
    gap_longest_s: float
    hidden_median_s: float | None


@dataclass(frozen=True, slots=True)
class Sum:
    """The whole of it.

    Attributes:
        by_cause: one row a class and cause, most frequent first.
        false_stale: number of false stales.
        flashes: status changes that a dashboard showed: those of false stales, and the next two.
        of_nodes_down: changes shown of nodes that were really down.
        of_leaving: changes shown of nodes that said Goodbye.
        nodes_down: times that a node was marked stale that was down.
    """

    by_cause: tuple[Share, ...]
    false_stale: int
    flashes: int
    of_nodes_down: int
    of_leaving: int
    nodes_down: int

    def count(self, kind: str) -> int:
        """Return the number of false stales of a class."""
        return sum(share.count for share in self.by_cause if share.kind == kind)


def sum_up(found: Flashes) -> Sum:
    """Return the false stales in sum."""
    cells: dict[tuple[str, str], list[Flash]] = {}
    for flash in found.each:
        cells.setdefault((flash.kind or UNKNOWN, flash.cause or UNKNOWN), []).append(flash)
    shares = [_share(kind, cause, flashes, len(found.each)) for (kind, cause), flashes in cells.items()]
    down, leaving = ([mark for mark in found.others if mark.stale is stale] for stale in (True, False))
    of_down, of_leaving = sum(mark.shown for mark in down), sum(mark.shown for mark in leaving)
    return Sum(
        by_cause=tuple(sorted(shares, key=lambda share: -share.count)),
        false_stale=len(found.each),
        flashes=sum(flash.mark.shown for flash in found.each) + of_down + of_leaving,
        of_nodes_down=of_down,
        of_leaving=of_leaving,
        nodes_down=len(down),
    )


def _share(kind: str, cause: str, flashes: Sequence[Flash], total: int) -> Share:
    gaps_s = np.array([flash.mark.silence_s for flash in flashes])
    hidden_s = [flash.hidden_s for flash in flashes if flash.hidden_s is not None]
    return Share(
        str(kind),
        str(cause),
        len(flashes),
        len(flashes) / total,
        sum(flash.mark.shown for flash in flashes),
        sum(flash.inferred for flash in flashes),
        float(np.median(gaps_s)),
        float(gaps_s.max()),
        float(np.median(hidden_s)) if hidden_s else None,
    )


def mended_by_cause(knob: Knob, found: Flashes) -> dict[str, int]:
    """Return how many false stales of each cause a knob mends."""
    counts: dict[str, int] = {}
    for place in knob.mended:
        cause = str(found.each[place].cause or UNKNOWN)
        counts[cause] = counts.get(cause, 0) + 1
    return counts


def flash_to_json(flash: Flash) -> dict[str, Any]:
    """Return one false stale as JSON has it; times in s since the start of the run."""
    mark = flash.mark
    return {
        "node": mark.node,
        "name": flash.name,
        "group": flash.group,
        "at_s": mark.at_s,
        "kind": flash.kind,
        "cause": flash.cause,
        "inferred": flash.inferred,
        "mended_by": [{"knob": mend.knob, "value_s": mend.value_s, "how": mend.how} for mend in flash.mended_by],
        "from_s": mark.from_s,
        "until_s": mark.until_s,
        "gap_s": mark.gap_s,
        "hub_away_s": mark.hub_away_s,
        "heard": mark.heard,
        "shown": mark.shown,
        "link_back_s": flash.link_back_s,
        "hidden_s": flash.hidden_s,
        "timeouts": flash.timeouts,
    }


def sum_to_json(found: Flashes, tried: Tried) -> dict[str, Any]:
    """Return the sum as JSON has it."""
    total = sum_up(found)
    best = tried.helps_most(total.false_stale)
    return {
        "false_stale": total.false_stale,
        "flashes": total.flashes,
        "unreachable": total.count("unreachable"),
        "hidden": total.count("hidden"),
        "unknown": total.count(UNKNOWN),
        "nodes_down": total.nodes_down,
        "flashes_of_nodes_down": total.of_nodes_down,
        "flashes_of_leaving": total.of_leaving,
        "by_cause": [{name: getattr(share, name) for name in Share.__slots__} for share in total.by_cause],
        "knobs": [
            {
                "knob": knob.name,
                "value_s": knob.value_s,
                "false_stale": knob.false_stale,
                "mends": len(knob.mended),
                "new": knob.false_stale - (total.false_stale - len(knob.mended)),
                "mends_by_cause": mended_by_cause(knob, found),
                "how": knob.how,
            }
            for knob in tried.knobs
        ],
        "helps_most": best and {"knob": best.name, "value_s": best.value_s, "false_stale": best.false_stale},
        "not_tried": tried.not_tried or None,
        "not_repeated": list(found.not_repeated),
    }
