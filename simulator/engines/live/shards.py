"""The processes that run the nodes, as the engine sees them: each is a pipe.

Each is a session of its own, so that Ctrl-C reaches the engine alone, and exits when its pipe closes.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Any, Self

from heartbench.simulator.engines.live import shard
from heartbench.simulator.engines.live.shard import LEAVE, LEAVE_WITHIN_S, READY, Result, Start, Task
from heartbench.simulator.errors import SimulatorError

# Not `-m`: pickled classes must belong to the module by its name, not to `__main__`.
PROGRAM = f"from {shard.__name__} import main; main()"
EXIT_WITHIN_S = 1.0
POLL_S = 0.2
EXITED = "a node process exited unexpectedly"


class Shards:
    """All shards of a run; leaving the context ends their processes."""

    def __init__(self, tasks: list[Task]) -> None:
        self._pipes: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._results: dict[int, Result] = {}
        try:
            for task in tasks:
                self._begin(task)
        except BaseException:  # also on Ctrl-C: a started process must not outlive us
            self.__exit__(None, None, None)
            raise

    def _begin(self, task: Task) -> None:
        ours, theirs = Pipe()
        self._pipes.append(ours)
        with theirs:
            process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                [sys.executable, "-P", "-c", PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._processes.append(process)
        self._send(ours, task)

    def wait_until_ready(self, check: Callable[[], None]) -> None:
        """Return when all nodes can start; `check` raises when they no longer can."""
        for pipe in self._pipes:
            while not pipe.poll(POLL_S):
                check()
            if self._receive(pipe) != READY:
                raise SimulatorError("unexpected message from a node process")

    def start(self, start: Start) -> None:
        """Send time 0 to all shards."""
        for pipe in self._pipes:
            self._send(pipe, start)

    def end(self, at_s: float) -> None:
        """End the run at this time, s since its start."""
        for pipe in self._pipes:
            self._send(pipe, at_s)

    def finished(self, within_s: float) -> bool:
        """Wait up to `within_s` for all results; return whether they have come."""
        until = time.monotonic() + within_s
        while len(self._results) < len(self._pipes):
            waiting = [pipe for i, pipe in enumerate(self._pipes) if i not in self._results]
            ready: list[Any] = wait(waiting, max(until - time.monotonic(), 0.0))
            if not ready:
                return False
            for pipe in ready:
                self._results[self._pipes.index(pipe)] = self._receive(pipe)
        return True

    def results(self) -> list[Result]:
        """Return the results of all shards, once they have finished."""
        return [self._results[i] for i in range(len(self._pipes))]

    def leave(self) -> None:
        """Send Goodbye from all nodes, once they have finished; takes little more than LEAVE_WITHIN_S.

        A process that has exited sends none; its result is here already.
        """
        until = time.monotonic() + LEAVE_WITHIN_S + POLL_S
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send(LEAVE)
        for pipe in self._pipes:
            with suppress(EOFError, OSError):
                if pipe.poll(max(until - time.monotonic(), 0.0)):
                    pipe.recv()

    def _send(self, pipe: Connection, message: Any) -> None:
        try:
            pipe.send(message)
        except OSError as error:
            self._receive(pipe)  # raises the error that it reported, if it did
            raise SimulatorError(EXITED) from error

    def _receive(self, pipe: Connection) -> Any:
        try:
            message = pipe.recv()
        except (EOFError, OSError) as error:
            raise SimulatorError(EXITED) from error
        if isinstance(message, str) and message != READY:
            raise RuntimeError(f"a node process failed:\n{message}")
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in self._pipes:
            pipe.close()
        until = time.monotonic() + EXIT_WITHIN_S
        for process in self._processes:
            try:
                process.wait(max(until - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
