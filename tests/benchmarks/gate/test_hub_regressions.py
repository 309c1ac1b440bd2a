"""The gate on the real hub: mistakes that were really made, put back into a copy of it in a repository of its own."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.gate.conftest import Project

from heartbench.benchmarks.gate.compare import compare, subject
from heartbench.benchmarks.gate.settings import load
from heartbench.benchmarks.gate.verdict import Verdict

ROOT = Path(__file__).parents[3]

SUITE = '''"""What a hub does all the time."""

from itertools import count

from heartbench.hub import Hello, HubSettings, Registry
from heartbench.hub.store.history import History, StoredChunk


def test_append(benchmark):
    history, seqs = History(10_000, 1 << 20), count(1)

    def append():
        for _ in range(100):
            history.append(StoredChunk(1, next(seqs), 0.0, b"x"))

    for _ in range(100):
        append()
    benchmark(append)


def test_heartbeat(benchmark):
    registry = Registry(HubSettings.of().policy)
    session, _ = registry.hello(Hello("node", 1, 0), 0.0)
    benchmark(registry.heartbeat, session, 1.0)


def test_sweep(benchmark):
    registry = Registry(HubSettings.of().policy)
    for number in range(2000):
        registry.hello(Hello(f"node-{number}", 1, 0), 0.0)
    benchmark(registry.sweep, 1.0)
'''

HISTORY, REGISTRY = "hub/store/history.py", "hub/liveness/registry.py"
SPLICE = {
    '"_chunks",': '"_chunks", "max_chunks",',
    "self._chunks: deque[StoredChunk] = deque(maxlen=max_chunks)": "self._chunks, self.max_chunks = [], max_chunks",
    "len(chunks) == chunks.maxlen": "len(chunks) == self.max_chunks",
    "self._drop_oldest()\n        chunks.append(chunk)": """self.size_bytes -= len(chunks[0].data)
        chunks.append(chunk)
        self._chunks = chunks[-self.max_chunks:]""",
    "popleft()": "pop(0)",
}
SCAN = {"heap = self._heap\n        if not heap": "heap = sorted(self._heap)\n        if not heap"}
COMMENT = {"No I/O, no clock.": "No I/O, no clock, no thread."}


def edited(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the source has changed: {old}"
        text = text.replace(old, new)
    return text


@pytest.fixture
def hub(project: Project) -> Any:
    """The hub as it is, with three benchmarks."""
    for room in ("hub", "protos", "src"):
        shutil.copytree(
            ROOT / room, project.path / room, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    project.git("rm", "--quiet", "-r", "benchmarks", "tiny.py")
    project.commit({"suite/test_hub.py": SUITE})
    return project


@pytest.mark.slow
def test_the_gate_catches_what_made_the_hub_slower_and_nothing_else(hub: Any) -> None:
    edits = {HISTORY: SPLICE | COMMENT, REGISTRY: SCAN}
    hub.commit({file: edited((hub.path / file).read_text("utf-8"), changes) for file, changes in edits.items()})
    settings = load(hub.path, python=sys.executable, rounds=3, level=0.5)  # so few rounds can find two of three slower
    report = compare(subject(hub.path, "HEAD~1", ["suite"], settings))
    append, sweep, heartbeat = (f"suite/test_hub.py::test_{name}" for name in ("append", "sweep", "heartbeat"))
    assert {each.name for each in report.judgements if each.verdict is Verdict.SLOWER} == {append, sweep}
    assert {each.name for each in report.judgements} == {append, sweep, heartbeat}
    assert report.status == 1
