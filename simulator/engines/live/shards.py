"""The processes in which the nodes live, as the engine sees them: each a pipe.

They are sessions of their own, so that a Ctrl-C reaches the engine alone, and they are gone when their pipe closes.
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
from heartbench.simulator.engines.live.shard import LEAVE, LEAVE_WITHIN_S, READY, End, Result, Start, Task
from heartbench.simulator.errors import SimulatorError

# Not `-m`: what is pickled belongs to the module by its own name, and not to `__main__`.
PROGRAM = f"from {shard.__name__} import main; main()"
GONE_WITHIN_S = 1.0
LOOK_S = 0.2
GONE = "a process of the nodes has ended unexpectedly"


class Shards:
    """All shards of a run, as a context: it ends them."""

    def __init__(self, tasks: list[Task]) -> None:
        self._pipes: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._results: dict[int, Result] = {}
        try:
            for task in tasks:
                self._begin(task)
        except BaseException:
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
        """Return when all nodes could start; `check` raises where they cannot any more."""
        for pipe in self._pipes:
            while not pipe.poll(LOOK_S):
                check()
            if self._receive(pipe) != READY:
                raise SimulatorError("a process of the nodes spoke out of turn")

    def start(self, start: Start) -> None:
        """Agree on time 0."""
        for pipe in self._pipes:
            self._send(pipe, start)

    def end(self, at_s: float) -> None:
        """Have the run end at this time of its own."""
        for pipe in self._pipes:
            self._send(pipe, End(at_s))

    def finished(self, within_s: float) -> bool:
        """Wait so long for the end of all; say whether it has come."""
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
        """Return what all have done, once they have finished."""
        return [self._results[i] for i in range(len(self._pipes))]

    def leave(self) -> None:
        """Have all nodes say Goodbye, once they have finished; that takes LEAVE_WITHIN_S and a little more at most.

        A process that has ended says nothing, and what it measured is here.
        """
        until = time.monotonic() + LEAVE_WITHIN_S + LOOK_S
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send(LEAVE)
        for pipe in self._pipes:
            with suppress(EOFError, OSError):
                if pipe.poll(max(until - time.monotonic(), 0.0)):
                    pipe.recv()

    def _send(self, pipe: Connection, said: Any) -> None:
        try:
            pipe.send(said)
        except OSError as error:
            self._receive(pipe)  # raises its last words, if it had any
            raise SimulatorError(GONE) from error

    def _receive(self, pipe: Connection) -> Any:
        try:
            said = pipe.recv()
        except (EOFError, OSError) as error:
            raise SimulatorError(GONE) from error
        if isinstance(said, str) and said != READY:
            raise RuntimeError(f"a process of the nodes failed:\n{said}")
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in self._pipes:
            pipe.close()
        until = time.monotonic() + GONE_WITHIN_S
        for process in self._processes:
            try:
                process.wait(max(until - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
