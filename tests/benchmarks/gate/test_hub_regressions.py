"""The gate on the real hub: mistakes that were really made, put back into a copy of it in a repository of its own."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.gate.conftest import LEVEL_FOR_TWO, Project

from heartbench.benchmarks.gate.compare import compare, subject
from heartbench.benchmarks.gate.settings import load
from heartbench.benchmarks.gate.verdict import Verdict

ROOT = Path(__file__).parents[3]

SUITE = '''"""What a hub does all the time."""

from itertools import count

from heartbench.hub import Hello, HubSettings, Registry
from heartbench.hub.store.history import History, StoredChunk


def test_append(benchmark):
    history, seqs = History(1000, 1 << 20), count(1)

    def append():
        for _ in range(100):
            history.append(StoredChunk(1, next(seqs), 0.0, b"x"))

    for _ in range(10):
        append()
    benchmark(append)


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
    """The hub as it is, with two benchmarks."""
    for room in ("hub", "protos", "src"):
        shutil.copytree(
            ROOT / room, project.path / room, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    project.git("rm", "--quiet", "-r", "benchmarks", "tiny.py")
    project.commit({"suite/test_hub.py": SUITE})
    return project


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(
    ("edits", "slower"),
    [
        pytest.param({HISTORY: SPLICE}, "suite/test_hub.py::test_append", id="list splice"),
        pytest.param({REGISTRY: SCAN, HISTORY: COMMENT}, "suite/test_hub.py::test_sweep", id="sweep over all"),
    ],
)
def test_the_gate_catches_what_made_the_hub_slower_and_nothing_else(
    hub: Any, edits: dict[str, dict[str, str]], slower: str
) -> None:
    hub.commit({file: edited((hub.path / file).read_text("utf-8"), changes) for file, changes in edits.items()})
    settings = load(hub.path, python=sys.executable, level=LEVEL_FOR_TWO)
    report = compare(subject(hub.path, "HEAD~1", ["suite"], settings))
    assert {each.name for each in report.judgements if each.verdict is Verdict.SLOWER} == {slower}
    assert {each.name for each in report.judgements} == {
        "suite/test_hub.py::test_append",
        "suite/test_hub.py::test_sweep",
    }
    assert report.status == 1
