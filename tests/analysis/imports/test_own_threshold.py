"""A log of changes of status, judged at the threshold of its hub, gives the marks of that hub: each, and no other."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analysis.imports.fleet import iso

from heartbench.analysis.evidence import evidence_of
from heartbench.analysis.imports import ImportOptions, ImportRecord, import_log
from heartbench.analysis.readings import Reading, SilentAtEnd, WithinStep
from heartbench.analysis.summed import judge_blocks
from heartbench.hub import HubSettings

UNIX_S = 1.79e9
CLOCK_JITTER_S = 2.4e-7


class Event(NamedTuple):
    """What a hub says of a node."""

    at_s: float
    node: str
    reason: str


class Log(NamedTuple):
    """The events of a hub in their order, and its threshold, s."""

    events: list[Event]
    threshold_s: float

    @property
    def marks(self) -> int:
        return sum(event.reason == "silence" for event in self.events)


def hub_events(events: Sequence[Event]) -> str:
    rows = [
        {"seq": seq, "epoch": 1, "at_unix_s": at_s, "changed": {"node_id": node, "reason": reason}}
        for seq, (at_s, node, reason) in enumerate(events, start=1)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def serf(events: Sequence[Event]) -> str:
    words = {"silence": "Failed", "goodbye": "Leave"}
    return "".join(
        f"{iso(at_s)} [INFO]  serf: EventMember{words.get(reason, 'Join')}: {node} 10.0.0.9\n"
        for at_s, node, reason in events
        if reason != "connected"
    )


def nomad(events: Sequence[Event]) -> str:
    statuses = {"silence": "down"}
    lines = []
    for at_s, name, reason in events:
        node = {"Name": name, "Status": statuses.get(reason, "ready"), "StatusUpdatedAt": int(at_s)}
        kind = "NodeDeregistration" if reason == "goodbye" else "NodeEvent"
        lines.append(json.dumps({"Index": 1, "Events": [{"Topic": "Node", "Type": kind, "Payload": {"Node": node}}]}))
    return "\n".join(lines) + "\n"


Writer = Callable[[Sequence[Event]], str]
LONGEST_GAPS: dict[Writer, WithinStep | None] = {hub_events: None, serf: None, nomad: WithinStep.LONGEST}
"""The writer of each format, and how to read its steps so that a mark is never shorter than the threshold."""


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Return what a hub says of nodes that fall silent, come back, leave, and are silent at the end."""
    origin_s = draw(st.floats(1.7e9, 1.9e9))
    threshold_s = draw(st.sampled_from((3.0, 30.0)) | st.floats(2.5, 90.0))
    spans = st.just(0.0) | st.floats(0.0, 20.0)
    events: list[Event] = []
    for number in range(draw(st.integers(1, 3))):
        node, own = f"node-{number}", list[Event]()
        at_s = origin_s + draw(spans)
        own.append(Event(at_s, node, "registered"))
        turns = draw(st.lists(st.sampled_from(("silence", "goodbye", "ends")), max_size=6))
        at_s += 0.0 if number else threshold_s
        for turn in turns if number else ("goodbye", *turns):  # a trace needs a gap that ended
            at_s += draw(spans) * threshold_s + (threshold_s if turn != "goodbye" else 0.0)
            own.append(Event(at_s, node, "goodbye" if turn == "goodbye" else "silence"))
            if turn == "ends":
                break
            at_s += draw(spans) * threshold_s
            own.append(Event(at_s, node, "heard"))
            if draw(st.booleans()):
                own.append(Event(at_s - CLOCK_JITTER_S, node, "connected"))
        events += own[draw(st.integers(0, len(own) > 1)) :] if number else own
    events.sort(key=lambda event: event.at_s + CLOCK_JITTER_S * (event.reason == "connected"))
    return Log(events, threshold_s)


def marks_at(thresholds_s: Sequence[float], folder: Path, read: Reading) -> list[int]:
    """Return the false stales of an import at each threshold, if the nodes that are silent at the end live."""
    evidence = evidence_of(folder, now_s=thresholds_s[0])
    policies = [HubSettings.for_stale_after(each).policy for each in thresholds_s]
    found = judge_blocks(evidence, {"all": evidence.node}, policies, read)["all"]
    return [int(each) for each in found.mistakes.sum((0, 1))]


def imported(text: str, threshold_s: float, folder: Path) -> ImportRecord:
    (folder / "hub.log").write_text(text)
    return import_log([folder / "hub.log"], ImportOptions(marked_after_s=threshold_s), folder / "out")


@pytest.mark.parametrize("write", LONGEST_GAPS)
@given(log=logs())
@settings(max_examples=100)
def test_each_mark_counts_at_the_own_threshold_and_nothing_else_does(write: Writer, log: Log) -> None:
    higher_s = [log.threshold_s + 1e-4, log.threshold_s * 1.1, log.threshold_s * 3]
    with TemporaryDirectory() as name:
        record = imported(write(log.events), log.threshold_s, Path(name))
        read = Reading(SilentAtEnd.ALIVE, LONGEST_GAPS[write])
        at_own, *at_higher = marks_at([log.threshold_s, *higher_s], Path(name, "out"), read)
    assert at_own == log.marks
    assert sorted(at_higher, reverse=True) == at_higher
    assert at_higher[0] <= log.marks
    assert not [note for note in record.notes if "twice" in note or "out of order" in note]


@pytest.mark.parametrize("write", LONGEST_GAPS)
def test_a_quiet_day_has_no_mark(write: Writer, tmp_path: Path) -> None:
    starts_s = [UNIX_S + 0.3934257 + 0.7 * number for number in range(20)]
    joins = [Event(at_s, f"node-{number}", "registered") for number, at_s in enumerate(starts_s)]
    leaves = [Event(at_s + 86_400.0, f"node-{number}", "goodbye") for number, at_s in enumerate(starts_s)]
    imported(write([*joins, *leaves]), 30.0, tmp_path)
    assert marks_at([30.0], tmp_path / "out", Reading(within_step=LONGEST_GAPS[write])) == [0]


@pytest.mark.parametrize("write", LONGEST_GAPS)
def test_nodes_that_are_all_marked_at_the_end_are_suspects(write: Writer, tmp_path: Path) -> None:
    joins = [Event(UNIX_S + number, f"node-{number}", "registered") for number in range(3)]
    last = [Event(UNIX_S + 500.25 + number, f"node-{number}", "silence") for number in range(3)]
    record = imported(write([*joins, *last]), 30.0, tmp_path)
    assert [each.node for each in record.suspects] == ["node-0", "node-1", "node-2"]
    read = Reading(SilentAtEnd.ALIVE, LONGEST_GAPS[write])
    assert marks_at([30.0], tmp_path / "out", read) == [3]


def test_a_node_that_is_online_at_the_end_is_no_suspect_at_a_shorter_interval(tmp_path: Path) -> None:
    events = [Event(UNIX_S, "a", "registered"), Event(UNIX_S + 50, "b", "registered")]
    (tmp_path / "hub.log").write_text(hub_events(events))
    options = ImportOptions(marked_after_s=30.0, interval_s=10.0)
    assert import_log([tmp_path / "hub.log"], options, tmp_path / "out").suspects == ()
