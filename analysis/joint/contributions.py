"""What each knob contributes alone: the recommended setting without it, and the current setting with it.

The hub's threshold, or the detector that replaces it, is one knob here. Settings that the search has not simulated are
simulated for it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from heartbench.analysis.joint.choice import Option, Space
from heartbench.analysis.joint.judged import Judged
from heartbench.analysis.joint.knobs import FIELDS, Knob, NodeSetting, problem_of
from heartbench.analysis.joint.question import Question
from heartbench.hub import HubSettings

JudgeAll = Callable[[Iterable[NodeSetting], tuple[HubSettings, ...]], Mapping[NodeSetting, Judged]]
Pair = tuple[NodeSetting, HubSettings]


@dataclass(frozen=True, slots=True)
class Share:
    """What one knob contributes.

    Attributes:
        without: the recommended setting with this knob as it is now; None if it does not fit the rest.
        alone: the current setting with this knob as recommended; None if it does not fit the rest.
        reason: why one of them does not fit; empty if both do.
    """

    knob: Knob
    without: Option | None
    alone: Option | None
    reason: str


def shares_of(
    judge: JudgeAll,
    space: Space,
    current: NodeSetting,
    recommended: Option,
    hubs: tuple[HubSettings, ...],
    question: Question,
) -> Iterator[Share]:
    """Yield what each knob contributes that the recommendation changes."""
    node, hub = recommended.node, recommended.hub
    now = hubs[0]
    pairs: dict[Knob, tuple[Pair, Pair]] = {}
    if hub != now:
        pairs[Knob.THRESHOLD if hub.has_one_timeout else Knob.DETECTOR] = (node, now), (current, hub)
    for knob in FIELDS:
        if node.value(knob) != current.value(knob):
            without, alone = node.turned(knob, current.value(knob)), current.turned(knob, node.value(knob))
            pairs[knob] = (without, hub), (alone, now)
    known = dict(zip(space.nodes, space.judged, strict=True))
    allowed = [pair for both in pairs.values() for pair in both if _problem(pair, current, question) is None]
    missing = [each for each, its_hub in allowed if each not in known or its_hub not in known[each].hubs]
    judged = known | dict(judge(missing, hubs if hub in hubs else (*hubs, hub)))
    whole = Space.of(judged, space.limits)
    for knob, both in pairs.items():
        problems = [_problem(pair, current, question) for pair in both]
        yield Share(
            knob,
            without=None if problems[0] else option_of(whole, *both[0]),
            alone=None if problems[1] else option_of(whole, *both[1]),
            reason=problems[0] or problems[1] or "",
        )


def _problem(pair: Pair, current: NodeSetting, question: Question) -> str | None:
    node, _ = pair
    return None if node == current else problem_of(node, question.permitted_ping_s)


def option_of(space: Space, node: NodeSetting, hub: HubSettings) -> Option:
    """Return a setting that was judged."""
    n = space.nodes.index(node)
    k = space.judged[n].hubs.index(hub)
    rows = space.rows
    return space.option(int(rows.index[(rows.node == n) & (rows.hub == k)][0]))
