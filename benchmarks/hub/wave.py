"""A wave of files into a hub with a memory limit, and the same wave into the hub without its bounds.

    python -m heartbench.benchmarks.hub.wave --nodes 300 --megabytes 20 --out DIR

Each node has its own connection, sends one heartbeat per second, and one file as fast as flow control allows. The hub
is a process whose resident memory is read every 50 ms; above the limit it is killed. The figures come from the hub's
own records: when each heartbeat arrived (its observer file), and the files in its folder, which are hashed once more.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from heartbench.benchmarks.hub.ingest import HUB, cpu_s, resident_kib, server
from heartbench.benchmarks.hub.wave_nodes import PATH, Payload, Sent
from heartbench.benchmarks.provenance import provenance
from heartbench.hub import HubSettings
from heartbench.hub.events.observer_file import NAMES, Receipt, read_batches
from heartbench.mesh.kinds import WORDS, Kind

PROGRAM = "python -m heartbench.benchmarks.hub.wave"
UNBOUNDED = ["-m", "heartbench.benchmarks.hub.unbounded"]
NODES = ["-m", "heartbench.benchmarks.hub.wave_nodes"]
FILES, OBSERVED = "files", "observer.jsonl"
POLL_S = 0.05
LIMIT_MIB = 512.0
TIMEOUT_S = 600.0
LEAST_INFLIGHT_BYTES = 8 << 20
HEARTBEAT_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Wave:
    """The size of a wave: nodes, and MB (10^6 bytes) of each node's file."""

    nodes: int
    megabytes: float


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of a hub in the wave: times in s from the hub's start, memory in MiB, lateness of heartbeats in s."""

    survived: bool
    lasted_s: float
    peak_mib: float
    hub_cpu_s: float
    heartbeats_sent: int
    heartbeats_seen: int
    heartbeat_p50_s: float | None
    heartbeat_p99_s: float | None
    heartbeat_max_s: float | None
    files_complete: int
    files_verified: int
    streams_broken: int
    curve: list[tuple[float, float]] = field(repr=False)


class Watchdog:
    """Reads a hub's memory and CPU time, and kills the hub above the limit."""

    def __init__(self, hub: "subprocess.Popen[str]", limit_mib: float) -> None:
        self.curve: list[tuple[float, float]] = []
        self.cpu_s = 0.0
        self._hub, self._limit_mib, self._began_s = hub, limit_mib, time.monotonic()

    def look(self) -> bool:
        """Record the figures; return whether the hub goes on."""
        try:
            mib, self.cpu_s = resident_kib(self._hub.pid) / 1024, cpu_s(self._hub.pid)
        except (OSError, StopIteration):  # the process is gone, or is a zombie that has no memory
            return False
        self.curve.append((round(time.monotonic() - self._began_s, 3), round(mib, 1)))
        if mib > self._limit_mib:
            self._hub.kill()
        return mib <= self._limit_mib


def run_wave(command: list[str], wave: Wave, folder: Path, limit_mib: float = LIMIT_MIB) -> Result:
    """Send one wave into one hub, whose files and records go to `folder`."""
    with server(command, **settings(folder, limit_mib)) as (address, hub):
        watchdog = Watchdog(hub, limit_mib)
        sent = send(address, wave, watchdog)
        hub.terminate()  # it writes the rest of its records
        hub.wait(timeout=30)
    survived = sent is not None and hub.returncode == 0
    sent = sent or Sent()
    lateness_s = heartbeats_late(folder / OBSERVED)
    return Result(
        survived=survived,
        lasted_s=watchdog.curve[-1][0],
        peak_mib=max(mib for _, mib in watchdog.curve),
        hub_cpu_s=watchdog.cpu_s,
        heartbeats_sent=sent.heartbeats,
        heartbeats_seen=len(lateness_s),
        heartbeat_p50_s=quantile(lateness_s, 0.5),
        heartbeat_p99_s=quantile(lateness_s, 0.99),
        heartbeat_max_s=quantile(lateness_s, 1.0),
        files_complete=sent.complete,
        files_verified=verified(folder / FILES, wave),
        streams_broken=sent.broken,
        curve=watchdog.curve,
    )


def settings(folder: Path, limit_mib: float) -> Mapping[str, str]:
    """Return the settings of a hub that admits up to a quarter of its memory."""
    return {
        "HUB_ADMIT_PER_S": f"{HubSettings.of().admit_per_s:g}",
        "HUB_STORE_URL": f"sqlite:///{folder / 'hub.db'}",
        "HUB_FILES_DIR": str(folder / FILES),
        "HUB_OBSERVE_FILE": str(folder / OBSERVED),
        "HUB_MAX_INFLIGHT_BYTES": str(max(LEAST_INFLIGHT_BYTES, round(limit_mib * (1 << 20) / 4))),
    }


def send(address: str, wave: Wave, watchdog: Watchdog) -> Sent | None:
    """Run the nodes; return what they sent, or None if the hub did not survive."""
    command = [sys.executable, *NODES, address, str(wave.nodes), str(wave.megabytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as nodes:  # noqa: S603
        until_s = time.monotonic() + TIMEOUT_S
        while watchdog.look() and nodes.poll() is None and time.monotonic() < until_s:
            time.sleep(POLL_S)
        if nodes.poll() is None:
            nodes.kill()
            return None
        output, _ = nodes.communicate()
        return Sent(**json.loads(output)) if nodes.returncode == 0 else None


def heartbeats_late(observed: Path) -> list[float]:
    """Return the times from sending to receiving each heartbeat, s, sorted."""
    if not observed.stat().st_size:  # a hub that was killed early wrote nothing
        return []
    header, batches = read_batches(observed)
    behind_s = header.unix_s - header.monotonic_s
    receipts = (Receipt(*values) for rows in batches for name, *values in rows if name == NAMES[Receipt])
    heartbeats = (receipt for receipt in receipts if receipt.kind == WORDS[Kind.HEARTBEAT])
    return sorted(heartbeat.at_s + behind_s - heartbeat.sent_unix_s for heartbeat in heartbeats)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return a quantile of sorted values; None if there are none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def verified(files: Path, wave: Wave) -> int:
    """Return the number of files in the hub's folder with the SHA-256 of what was sent."""
    payload, found = Payload(wave.megabytes), 0
    for path in (files / "files").glob(f"*/{PATH}"):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        found += digest == payload.sha256(path.parent.name).digest()
    return found


def both(wave: Wave, limit_mib: float) -> dict[str, Result]:
    """Send the wave into the hub and into the unbounded one, one after the other; remove the files."""
    results = {}
    for name, command in {"hub": HUB, "old way": UNBOUNDED}.items():
        with tempfile.TemporaryDirectory(prefix="heartbench-wave-") as folder:
            results[name] = run_wave(command, wave, Path(folder), limit_mib)
    return results


def main(words: Sequence[str] | None = None) -> int:
    """Run both, print the figures, write curve and plot; return 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--megabytes", type=float, default=20.0, help="10^6 bytes of each node's file")
    parser.add_argument("--limit-mib", type=float, default=LIMIT_MIB, help="memory above which the hub is killed")
    parser.add_argument("--out", type=Path, help="folder for wave.json and wave.svg")
    given = parser.parse_args(words)
    wave = Wave(given.nodes, given.megabytes)
    results = both(wave, given.limit_mib)
    record = {
        **asdict(provenance(f"{PROGRAM} --nodes {wave.nodes} --megabytes {wave.megabytes:g}")),
        **asdict(wave),
        "limit_mib": given.limit_mib,
        "results": {name: asdict(result) for name, result in results.items()},
    }
    if given.out:
        from heartbench.analysis.report import style
        from heartbench.benchmarks.hub.wave_plot import wave_plot

        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "wave.json").write_text(json.dumps(record, allow_nan=False) + "\n")
        style.save(wave_plot(record), given.out / "wave.svg")
    print(json.dumps({name: {**asdict(result), "curve": None} for name, result in results.items()}, indent=2))  # noqa: T201
    return 0 if holds(results["hub"], wave) else 1


def holds(result: Result, wave: Wave) -> bool:
    """Return whether the hub survived, received each heartbeat in time, and has all files complete."""
    return (
        result.survived
        and result.heartbeats_seen == result.heartbeats_sent
        and result.heartbeat_max_s is not None
        and result.heartbeat_max_s <= HEARTBEAT_WITHIN_S
        and result.files_complete == result.files_verified == wave.nodes
    )


if __name__ == "__main__":
    sys.exit(main())
