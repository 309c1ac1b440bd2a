"""The hub of a live run, a managed process or an external hub, with the messages it received and its status changes.

A managed hub writes an observer file, so the hub itself times each receipt. An external hub exposes only events.
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
from typing import Any

import grpc
import pandas as pd

from heartbench.hub import HubSettings
from heartbench.hub.envfile import env_name, env_value
from heartbench.mesh.channel import open_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.failures import reason_of
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.observer_frames import Observed, read_observer
from heartbench.simulator.run_directory import RunDirectory

# The same as `python -m heartbench.hub`, and it ends with us, however we end (PR_SET_PDEATHSIG, if the system has it).
PROGRAM = """
import ctypes, signal
getattr(ctypes.CDLL(None), "prctl", lambda *_: None)(1, signal.SIGTERM)
from heartbench.hub.__main__ import main
main()
"""
COMMAND = (sys.executable, "-P", "-c", PROGRAM)
READY_WITHIN_S = 30.0
EXIT_WITHIN_S = 3.5
ANSWERS_WITHIN_S = 5.0
EVENTS_WITHIN_S = 0.3  # a hub looks for passed deadlines ten times a second
LOCAL = {
    "admin_listen": "",
    "http_listen": "",
    "insecure": False,
    "tls_cert": None,
    "tls_key": None,
    "tls_client_ca": None,
    "tokens": None,
}
COLUMNS = ["at_s", "node_id", "status", "connected", "flapping", "reason"]


@dataclass(frozen=True)
class HubRecord:
    """The messages a hub received and its status changes; times are s on the monotonic clock.

    Attributes:
        changes: status changes, with COLUMNS.
        observed: what a managed hub recorded, one for each start; none for an external hub.
        events_lost: events that did not reach us.
        until_s: when the events ended, on our side or the hub's; inf: all were recorded.
    """

    changes: pd.DataFrame
    observed: tuple[Observed, ...] = ()
    events_lost: int = 0
    until_s: float = inf


class HubProcess:
    """A managed hub, with these settings but for its addresses, credentials, store and observer file."""

    def __init__(self, settings: HubSettings, directory: RunDirectory, store: Path | None = None) -> None:
        """Start it; with a `store`, an SQLite file, it keeps its state when it is started again."""
        self._directory = directory
        store_url = f"sqlite:///{store}" if store else "memory:"
        self._settings = settings.changed(store_url=store_url, peer_share=1.0)  # all nodes are on this machine
        self._observers: list[Path] = []
        self.address = ""
        self.credentials: Credentials | None = None
        self.start()

    def start(self) -> None:
        """Start it, on its previous address if it had one."""
        number = len(self._observers) + 1
        observer = self._directory.observer
        observer = observer if number == 1 else observer.with_stem(f"{observer.stem}-{number}")
        used = self._settings.changed(**LOCAL, listen=self.address or "127.0.0.1:0", observe_file=observer)
        others = {name: value for name, value in os.environ.items() if not name.upper().startswith("HUB_")}
        ours = {env_name(name): env_value(getattr(used, name)) for name in HubSettings.model_fields}
        with (self._directory.path / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and command)
                COMMAND, env=others | ours, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,  # a Ctrl-C reaches the engine alone
            )  # fmt: skip
        self._observers.append(observer)

    def wait_until_ready(self) -> None:
        """Return when nodes can connect; raise SimulatorError if it does not start."""
        output: Any = self._process.stdout
        readable, _, _ = select.select([output], [], [], READY_WITHIN_S)
        self.address = output.readline().decode().strip() if readable else ""
        if not self.address:
            self.stop()
            raise SimulatorError(f"the hub did not start: {self._last_log_line()}")

    def check(self) -> None:
        """Raise SimulatorError if it has ended by itself."""
        if self._process.poll() is not None:
            raise SimulatorError(f"the hub ended by itself: {self._last_log_line()}")

    def _last_log_line(self) -> str:
        log = (self._directory.path / "hub.log").read_text(encoding="utf-8", errors="replace").strip()
        return log.splitlines()[-1] if log else "its log is empty"

    def pause(self) -> None:
        """Suspend it, as a suspended machine would."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it after a pause."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, with whatever it has not stored."""
        self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Terminate it, so that it completes its observer file."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(EXIT_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def record(self) -> HubRecord:
        """Read its observer files, one for each start."""
        written = (path for path in self._observers if path.exists() and path.stat().st_size)
        observed = tuple(read_observer(path) for path in written)
        return HubRecord(pd.concat([each.changes for each in observed], ignore_index=True), observed)


class ExternalHub:
    """A hub that was running before. It is not stopped; we subscribe to its events.

    The nodes connect to `address`; it serves HubAdmin at `admin_address`, or there too. The same credentials are for
    all nodes and for HubAdmin.
    """

    def __init__(self, address: str, credentials: Credentials | None = None, admin_address: str = "") -> None:
        """Find it; raise SimulatorError if no hub answers."""
        self.address = address
        self.credentials = credentials
        self._admin_address = admin_address or address
        self._unix_s = time.time() - time.monotonic()
        self._changes: list[tuple[Any, ...]] = []
        self._events_lost = 0
        self._until_s = inf
        self._open = ExitStack()
        self._listener = threading.Thread(target=self._listen)
        try:
            with open_channel(self._admin_address, credentials) as channel:
                HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=ANSWERS_WITHIN_S)
        except grpc.RpcError as error:
            reason = reason_of(error, tls=credentials is not None)
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                reason = "the hub serves operators elsewhere; name that address with --hub-admin"
            raise SimulatorError(f"--hub: {self._admin_address}: {reason}") from None

    def wait_until_ready(self) -> None:
        """Subscribe to its events."""
        channel = self._open.enter_context(open_channel(self._admin_address, self.credentials))
        self._events: Any = HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest())
        self._events.initial_metadata()
        self._listener.start()
        self._open.callback(self._listener.join)
        self._open.callback(self._events.cancel)

    def check(self) -> None:
        """Raise SimulatorError if the events have ended."""
        if not self._listener.is_alive():
            raise SimulatorError(f"--hub: {self.address}: the hub has gone")

    def stop(self) -> None:
        """End the subscription, after the events of what has happened."""
        if self._listener.is_alive():
            time.sleep(EVENTS_WITHIN_S)
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
            pass  # we have ended it, or the hub is gone: `until_s` tells which
        finally:
            self._until_s = time.monotonic()

    def record(self) -> HubRecord:
        """Return its events; its receipts are unknown."""
        changes = pd.DataFrame(self._changes, columns=COLUMNS)
        return HubRecord(changes, events_lost=self._events_lost, until_s=self._until_s)


Hub = HubProcess | ExternalHub
"""The hub that the nodes connect to; its `address` is known once it is ready."""


def _change_of(event: Any, at_s: float) -> tuple[Any, ...]:
    changed = event.changed
    status = pb.Status.Name(changed.status).removeprefix("STATUS_").lower()
    reason = pb.Reason.Name(changed.reason).removeprefix("REASON_").lower()
    return at_s, changed.node_id, status, changed.connected, changed.flapping, reason
