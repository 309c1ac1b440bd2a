"""One fleet of 50 nodes over 6 h, and the log of it in each format.

Silences, one true death, one restart of the hub and one of a node. Times are whole seconds, because some logs have no
finer.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heartbench.analysis.imports import ImportOptions, Moment, NodeMoment
from heartbench.hub.events.trace_directory import name_of, pieces_of
from heartbench.hub.events.trace_journal import END, Piece, Source, block, messages_block, run_block, sources_block
from heartbench.hub.events.trace_parquet import main as convert_all
from heartbench.mesh.kinds import Kind

START_S = 1_700_000_000
HOURS, NODES, INTERVAL_S = 6, 50, 30
MARKED_AFTER_S = 90.0
DOWN_S = (START_S + 7200, START_S + 7350)
DIED = ("node-07", START_S + 14_400)
RESTARTED = ("node-11", START_S + 10_900)
"""The node, and when it was off."""
STEP_S = 15


class Message(NamedTuple):
    at_s: int
    node: str
    boot: int
    seq: int
    hello: bool


@dataclass(frozen=True, slots=True)
class Fleet:
    """All messages in the order of arrival, and those of each node."""

    messages: list[Message]
    of_node: dict[str, list[Message]]

    def silences(self) -> Iterator[tuple[str, int, int]]:
        """Yield each pair of messages that a hub like this one would have marked the node between."""
        for name, own in self.of_node.items():
            for before, after in pairwise(own):
                if after.at_s - before.at_s > MARKED_AFTER_S and not (
                    before.at_s < DOWN_S[1] and after.at_s > DOWN_S[0]
                ):
                    yield name, before.at_s, after.at_s


def fleet(seed: int = 5) -> Fleet:
    rng = np.random.default_rng(seed)
    of_node = {f"node-{number:02}": _messages(f"node-{number:02}", number, rng) for number in range(NODES)}
    return Fleet(sorted(message for own in of_node.values() for message in own), of_node)


def _messages(name: str, number: int, rng: np.random.Generator) -> list[Message]:
    times = START_S + number % INTERVAL_S + np.arange(0, HOURS * 3600 - INTERVAL_S, INTERVAL_S)
    times += rng.integers(0, 3, len(times))
    silences = [DOWN_S, *_silences(rng)]
    if name == DIED[0]:
        silences.append((DIED[1], START_S + 10**6))
    if name == RESTARTED[0]:
        silences.append((RESTARTED[1] - 200, RESTARTED[1]))
    for begin_s, end_s in silences:
        times = times[(times < begin_s) | (times >= end_s)]
    found: list[Message] = []
    for at_s in times.tolist():
        boot = int(name == RESTARTED[0] and at_s >= RESTARTED[1])
        begins = not found or boot > found[-1].boot
        back = bool(found) and found[-1].at_s < DOWN_S[0] <= at_s
        found.append(Message(at_s, name, boot, 1 if begins else found[-1].seq + 1, begins or back))
    return found


def _silences(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return three silences, apart from each other and from what else happens."""
    begins = START_S + np.array([1200, 4000, 8500]) + rng.integers(0, 1500, 3)
    return [(int(begin), int(begin + length)) for begin, length in zip(begins, rng.integers(100, 400, 3), strict=True)]


def iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")


def moment(at_s: float) -> Moment:
    return Moment(at_s, True)


HUB_DOWN = ((moment(DOWN_S[0]), moment(DOWN_S[1])),)
RESTART = (NodeMoment(RESTARTED[0], moment(RESTARTED[1])),)
Written = tuple[list[Path], dict[str, Any]]
"""The files, and what their import must be told."""


def csv(fleet: Fleet, folder: Path) -> Written:
    rows = [f"{message.at_s}000,{message.node},{message.seq}\n" for message in fleet.messages]
    return _written(folder, "".join(["time,node,seq\n", *rows]), hub_down=HUB_DOWN)


def jsonl(fleet: Fleet, folder: Path) -> Written:
    rows = [
        f'{{"ts": "{iso(message.at_s)}", "device": "{message.node}", "boot_id": "b{message.boot}", "battery": 3.5}}\n'
        for message in fleet.messages
    ]
    return _written(folder, "".join(rows), hub_down=HUB_DOWN)


def observer(fleet: Fleet, folder: Path) -> Written:
    files = []
    for life, (begin_s, end_s) in enumerate([(START_S, DOWN_S[0]), (DOWN_S[1], START_S + HOURS * 3600)]):
        zero_s = begin_s - 1000.0 * (life + 1)  # of the monotonic clock
        header = {
            "schema": "heartbench.observer/1",
            "monotonic_s": begin_s - zero_s,
            "unix_s": begin_s,
            "epoch": life + 1,
        }
        records: list[list[object]] = [["header", {**header, "settings": {}}]]
        for message in fleet.messages:
            if begin_s <= message.at_s < end_s:
                kind = "hello" if message.hello else "heartbeat"
                at_s = message.at_s - zero_s
                records.append(["receipt", at_s, message.node, message.boot, 1, kind, message.seq, message.at_s - 0.05])
        records.append(["end", end_s - zero_s])
        files.append(folder / f"observer-{life}.jsonl")
        files[-1].write_text("".join(json.dumps(record) + "\n" for record in records))
    return files[::-1], {}


def hub_trace(fleet: Fleet, folder: Path) -> Written:
    """Two runs of the hub; the record of the first is already Parquet."""
    trace_dir = folder / "trace"
    trace_dir.mkdir()
    for life, (begin_s, end_s) in enumerate([(START_S, DOWN_S[0]), (DOWN_S[1], START_S + HOURS * 3600)]):
        offset_s = begin_s - 1000.0 * (life + 1)
        piece = Piece(float(begin_s), 0, life + 1, MARKED_AFTER_S, begin_s - offset_s, begin_s - offset_s, offset_s)
        rows = [message for message in fleet.messages if begin_s <= message.at_s < end_s]
        sources = [Source(each.node, each.boot, 1, Kind.HELLO if each.hello else Kind.HEARTBEAT) for each in rows]
        number = {source: place for place, source in enumerate(dict.fromkeys(sources))}
        columns: list[Sequence[float]] = [
            [message.at_s - offset_s for message in rows],
            [number[source] for source in sources],
            [message.seq for message in rows],
            [message.at_s - 0.05 for message in rows],
        ]
        blocks = [run_block(piece), sources_block(list(number)), messages_block(end_s - offset_s, offset_s, columns)]
        (trace_dir / f"{name_of(piece)}.journal").write_bytes(b"".join([*blocks, block(END, b"")]))
        if not life:
            convert_all(trace_dir)
    return pieces_of(trace_dir), {}


def leases(fleet: Fleet, folder: Path) -> Written:
    boots: dict[str, int] = {}
    texts: list[dict[str, Any]] = []
    for message in fleet.messages:
        if boots.get(message.node) != message.boot:
            boots[message.node] = message.boot
            info = {"bootID": f"{message.node}/{message.boot}"}
            texts.append({"kind": "Node", "metadata": {"name": message.node}, "status": {"nodeInfo": info}})
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": message.node, "namespace": "kube-node-lease"},
            "spec": {"leaseDurationSeconds": 120, "renewTime": iso(message.at_s).replace("Z", ".000000Z")},
        }
        twice = {"apiVersion": "v1", "kind": "List", "items": [lease, lease]}
        texts.append(lease if message.seq % 5 else twice)
    return _written(folder, "".join(json.dumps(text, indent=4) + "\n" for text in texts), hub_down=HUB_DOWN)


def audit(fleet: Fleet, folder: Path) -> Written:
    lines = []

    def event(message: Message, verb: str, resource: str, code: int, stage: str = "ResponseComplete") -> None:
        where = '"namespace":"kube-node-lease",' if resource == "leases" else ""
        lines.append(
            f'{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"{stage}","verb":"{verb}",'
            f'"user":{{"username":"system:node:{message.node}","groups":["system:nodes"]}},'
            f'"objectRef":{{"resource":"{resource}",{where}"name":"{message.node}","apiVersion":"v1"}},'
            f'"responseStatus":{{"metadata":{{}},"code":{code}}},"requestReceivedTimestamp":"{iso(message.at_s)}"}}\n'
        )

    for message in fleet.messages:
        if message.seq == 1:
            event(message, "create", "nodes", 409)
        event(message, "update", "leases", 200, "RequestReceived")
        event(message, "update", "leases", 200)
        event(message, "get", "leases", 200)
    return _written(folder, "".join(lines), hub_down=HUB_DOWN)


def prometheus(fleet: Fleet, folder: Path) -> Written:
    scrapes = np.arange(START_S, START_S + HOURS * 3600 + STEP_S, STEP_S)
    scrapes = scrapes[(scrapes < DOWN_S[0]) | (scrapes >= DOWN_S[1])]
    series = []
    for name, own in fleet.of_node.items():
        at_s, boot = np.array([message.at_s for message in own]), np.array([message.boot for message in own])
        seen = np.searchsorted(at_s, scrapes, side="right")
        began = np.searchsorted(at_s, [at_s[boot == each][0] for each in boot])
        count = np.append(0, np.arange(1, len(own) + 1) - began)[seen]
        values = [[int(at), str(value)] for at, value in zip(scrapes, count, strict=True)]
        series.append({"metric": {"__name__": "heartbeats_total", "instance": name}, "values": values})
    answer = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    return _written(folder, json.dumps(answer), hub_down=HUB_DOWN)


def mosquitto(fleet: Fleet, folder: Path) -> Written:
    lines = [f"{START_S}: mosquitto version 2.0.18 starting"]
    stopped = False
    for message in fleet.messages:
        if message.at_s >= DOWN_S[1] and not stopped:
            stopped = True
            lines += [
                f"{DOWN_S[0]}: mosquitto version 2.0.18 terminating",
                f"{DOWN_S[1]}: mosquitto version 2.0.18 starting",
            ]
        if message.hello:
            lines.append(f"{message.at_s}: New connection from 10.0.0.9:50123 on port 1883.")
            lines.append(f"{message.at_s}: New client connected from 10.0.0.9:50123 as {message.node} (p2, c1, k60).")
        else:
            lines.append(f"{message.at_s}: Received PINGREQ from {message.node}")
            lines.append(f"{message.at_s}: Sending PINGRESP to {message.node}")
    lines.append(f"{DIED[1] + 90}: Client {DIED[0]} has exceeded timeout, disconnecting.")
    return _written(folder, "\n".join(lines) + "\n", restarted=RESTART)


def consul(fleet: Fleet, folder: Path) -> Written:
    lines = []
    for message in fleet.messages:
        when = iso(message.at_s).replace("Z", ".000Z")
        lines.append(f"{when} [DEBUG] agent: Check status updated: check={message.node} status=passing\n")
    lines.append(f"{iso(DIED[1] + 90)} [WARN]  agent: Check missed TTL, is now critical: check={DIED[0]}\n")
    return _written(folder, "".join(lines), hub_down=HUB_DOWN, restarted=RESTART)


Change = tuple[int, str, str]
"""When, which node, and what: join, silent or back."""


def changes(fleet: Fleet) -> list[Change]:
    """Return what a hub says that marks nodes after MARKED_AFTER_S, and gives them grace when it starts."""
    found: list[Change] = []
    for name, own in fleet.of_node.items():
        found += [(message.at_s, name, "join") for message in own if message.hello]
        if own[-1].at_s < START_S + HOURS * 3600 - 300:
            found.append((own[-1].at_s + int(MARKED_AFTER_S), name, "silent"))
    for name, before_s, after_s in fleet.silences():
        found += [(before_s + int(MARKED_AFTER_S), name, "silent"), (after_s, name, "back")]
    ends = max(message.at_s for message in fleet.messages)
    return [*sorted(found), (ends, max(fleet.messages).node, "back")]


def hub_events(fleet: Fleet, folder: Path) -> Written:
    reasons = {"join": "registered", "silent": "silence", "back": "heard"}
    lines = []
    for seq, (at_s, name, what) in enumerate(changes(fleet), start=1):
        changed = {"node_id": name, "status": "online", "connected": True, "flapping": False, "reason": reasons[what]}
        lines.append(json.dumps({"seq": seq, "epoch": 1, "at_unix_s": float(at_s), "changed": changed}) + "\n")
    return _written(folder, "".join(lines), hub_down=HUB_DOWN, restarted=RESTART, marked_after_s=MARKED_AFTER_S)


def serf(fleet: Fleet, folder: Path) -> Written:
    words = {"join": "Join", "silent": "Failed", "back": "Join"}
    lines = [
        f"{iso(at_s)} [INFO]  agent.server.serf.lan: serf: EventMember{words[what]}: {name} 10.0.0.9\n"
        for at_s, name, what in changes(fleet)
    ]
    return _written(folder, "".join(lines), hub_down=HUB_DOWN, restarted=RESTART, marked_after_s=MARKED_AFTER_S)


def nomad(fleet: Fleet, folder: Path) -> Written:
    lines = []
    for index, (at_s, name, what) in enumerate(changes(fleet)):
        node = {"Name": name, "Status": "down" if what == "silent" else "ready", "StatusUpdatedAt": at_s}
        event = {"Topic": "Node", "Type": "NodeEvent", "Key": "4d2b", "Payload": {"Node": node}}
        lines += [json.dumps({"Index": index, "Events": [event]}) + "\n", "{}\n"]
    return _written(folder, "".join(lines), hub_down=HUB_DOWN, restarted=RESTART, marked_after_s=MARKED_AFTER_S)


def _written(folder: Path, text: str, **told: Any) -> Written:
    file = folder / "hub.log"
    file.write_text(text)
    return [file], told


WRITERS: dict[str, Callable[[Fleet, Path], Written]] = {
    "csv": csv,
    "jsonl": jsonl,
    "observer": observer,
    "hub-trace": hub_trace,
    "kubernetes-leases": leases,
    "kubernetes-audit": audit,
    "prometheus": prometheus,
    "mosquitto": mosquitto,
    "consul": consul,
    "hub-events": hub_events,
    "consul-serf": serf,
    "nomad": nomad,
}
"""Who writes the fleet's log in each format."""
OF_STATUSES = ("hub-events", "consul-serf", "nomad")


def options_of(told: dict[str, Any], dead: bool) -> ImportOptions:
    return ImportOptions(dead=(NodeMoment(DIED[0], None),) if dead else (), **told)
