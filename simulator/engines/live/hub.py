"""The hub of a live run: a process of our own, or one that runs already; and what either says that it heard and said.

Ours writes an observer file, so that each receipt is timed by the hub itself. Of another one only the events are known.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Protocol

import grpc
import pandas as pd

from heartbench.hub.config import HubSettings
from heartbench.hub.envfile import env_name, env_value
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.observer_frames import read_observer
from heartbench.simulator.run_directory import RunDirectory

# What a user starts as `python -m heartbench.hub`; by this interpreter, because the script need not be on the path.
# It ends with us, however we end (PR_SET_PDEATHSIG, where the system has it).
PROGRAM = """
import ctypes, signal
getattr(ctypes.CDLL(None), "prctl", lambda *_: None)(1, signal.SIGTERM)
from heartbench.hub.__main__ import main
main()
"""
COMMAND = (sys.executable, "-P", "-c", PROGRAM)
READY_WITHIN_S = 30.0
GONE_WITHIN_S = 3.5
ANSWERS_WITHIN_S = 5.0
TELLS_WITHIN_S = 0.3  # a hub looks for passed deadlines ten times a second
COLUMNS = ["at_s", "node_id", "status", "connected", "flapping", "reason"]


@dataclass(frozen=True)
class Heard:
    """What a hub heard and said, times in s on the monotonic clock.

    `receipts` (at_s, node_id, boot_id, connection, kind, seq) is None of a hub that does not record them; `deadlines`
    (at_s, node_id, deadline_s, reason) are moves that no message caused; `changes` have COLUMNS. `events_lost` is how
    many things it said that did not reach us, `until_s` when it was listened to no longer, whoever ended that (inf: all
    was recorded). `started_s` are the times at which a hub of our own began to judge.
    """

    receipts: pd.DataFrame | None
    deadlines: pd.DataFrame
    changes: pd.DataFrame
    events_lost: int = 0
    until_s: float = inf
    started_s: tuple[float, ...] = ()


class Hub(Protocol):
    """A hub that is driven."""

    address: str

    def wait_until_ready(self) -> None:
        """Return when nodes can connect, and `address` is known."""

    def check(self) -> None:
        """SimulatorError where it has gone by itself."""

    def stop(self) -> None:
        """The run has ended."""

    def heard(self) -> Heard:
        """What it heard and said, once it is stopped."""


class HubProcess:
    """A hub of our own, with these settings but for where it listens, stores and observes."""

    def __init__(self, settings: HubSettings, directory: RunDirectory, store: Path | None = None) -> None:
        """Start it; with a `store`, an SQLite file, it can be started again and knows what it knew."""
        self._directory = directory
        self._settings = settings.changed(store_url=f"sqlite:///{store}" if store else "memory:")
        self._observers: list[Path] = []
        self.address = ""
        self.start()

    def start(self) -> None:
        """Start it, where it listened before if it did."""
        number = len(self._observers) + 1
        observer = self._directory.observer
        observer = observer if number == 1 else observer.with_stem(f"{observer.stem}-{number}")
        used = self._settings.changed(listen=self.address or "127.0.0.1:0", observe_file=observer)
        others = {name: value for name, value in os.environ.items() if not name.upper().startswith("HUB_")}
        said = {env_name(name): env_value(getattr(used, name)) for name in HubSettings.model_fields}
        with (self._directory.path / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and command)
                COMMAND, env=others | said, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,  # a Ctrl-C reaches the engine alone
            )  # fmt: skip
        self._observers.append(observer)

    def wait_until_ready(self) -> None:
        """Return when nodes can connect; SimulatorError where it does not start."""
        output: Any = self._process.stdout
        readable, _, _ = select.select([output], [], [], READY_WITHIN_S)
        self.address = output.readline().decode().strip() if readable else ""
        if not self.address:
            self.stop()
            raise SimulatorError(f"the hub did not start: {self._last_words()}")

    def check(self) -> None:
        """SimulatorError where it has ended by itself."""
        if self._process.poll() is not None:
            raise SimulatorError(f"the hub ended by itself: {self._last_words()}")

    def _last_words(self) -> str:
        log = (self._directory.path / "hub.log").read_text(encoding="utf-8", errors="replace").strip()
        return log.splitlines()[-1] if log else "it said nothing"

    def pause(self) -> None:
        """Stop it as a suspended machine is stopped."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after a pause."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, whatever it holds."""
        self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Let it end, so that its record is whole."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(GONE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def heard(self) -> Heard:
        """Read what it observed: a file for each time that it was started."""
        observed = [read_observer(path) for path in self._observers if path.exists() and path.stat().st_size]
        tables = zip(*((each.receipts, each.deadlines, each.changes) for each in observed), strict=True)
        receipts, deadlines, changes = (pd.concat(table, ignore_index=True) for table in tables)
        started_s = tuple(each.header.monotonic_s for each in observed)
        return Heard(receipts, deadlines, changes, started_s=started_s)


class ExternalHub:
    """A hub that was there before. It is left as it is, and its events are listened to from now on."""

    def __init__(self, address: str) -> None:
        """Find it; SimulatorError where there is none."""
        self.address = address
        self._unix_s = time.time() - time.monotonic()
        self._changes: list[tuple[Any, ...]] = []
        self._events_lost = 0
        self._until_s = inf
        self._open = ExitStack()
        self._listener = threading.Thread(target=self._listen)
        try:
            with _channel_to(address) as channel:
                HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=ANSWERS_WITHIN_S)
        except grpc.RpcError as error:
            reason: Any = error
            raise SimulatorError(f"--hub: {address}: no hub answers there ({reason.code().name.lower()})") from None

    def wait_until_ready(self) -> None:
        """Listen from now on to what it says."""
        channel = self._open.enter_context(_channel_to(self.address))
        self._events: Any = HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest())
        self._events.initial_metadata()
        self._listener.start()
        self._open.callback(self._listener.join)
        self._open.callback(self._events.cancel)

    def check(self) -> None:
        """SimulatorError where it tells no more."""
        if not self._listener.is_alive():
            raise SimulatorError(f"--hub: {self.address}: the hub has gone")

    def stop(self) -> None:
        """Listen no longer, but until it has told what has happened."""
        if self._listener.is_alive():
            time.sleep(TELLS_WITHIN_S)
        self._open.close()

    def _listen(self) -> None:
        try:
            for event in self._events:
                body = event.WhichOneof("body")
                if body == "changed":
                    self._changes.append(_change_of(event, event.at_unix_s - self._unix_s))
                elif body == "lost":
                    self._events_lost += event.lost.count
        except grpc.RpcError:
            pass  # we have ended it, or the hub has gone: when says which
        finally:
            self._until_s = time.monotonic()

    def heard(self) -> Heard:
        """Only what it said is known."""
        nothing = pd.DataFrame({"at_s": [], "node_id": [], "deadline_s": [], "reason": []})
        changes = pd.DataFrame(self._changes, columns=COLUMNS)
        return Heard(None, nothing, changes, self._events_lost, self._until_s)


def _channel_to(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])


def _change_of(event: Any, at_s: float) -> tuple[Any, ...]:
    changed = event.changed
    status = pb.Status.Name(changed.status).removeprefix("STATUS_").lower()
    reason = pb.Reason.Name(changed.reason).removeprefix("REASON_").lower()
    return at_s, changed.node_id, status, changed.connected, changed.flapping, reason
