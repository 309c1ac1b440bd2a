"""Where simulations run: on the cores of this machine, or on a Dask cluster that is already running.

    with workers(scheduler) as executor:
        futures = [executor.submit(job, each) for each in cells]

A job is a module-level function whose arguments and result are small and picklable. What it returns must depend on its
arguments alone, so that any worker can run it, or run it again.

The workers of this machine are processes. Threads simulate as fast, because the loops release the interpreter lock, and
save the 2 to 3 s of a core that a process takes to load; but what judges the gaps holds that lock, and a process that
runs out of memory ends alone. They share Numba's cache on disk, as all processes do (`simulator.kernel`).
"""

import logging
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from heartbench.analysis.errors import AnalysisError

ANSWERS_WITHIN_S = 10.0
"""How long a cluster may take to answer, and then to have its first worker, s."""
ADDRESS = re.compile(r"(tcp|tls)://\S+:\d+")


@contextmanager
def workers(scheduler: str | None = None, count: int | None = None) -> Iterator[Executor]:
    """Yield an executor; when its context ends with an error, what still runs on this machine ends with it.

    Args:
        scheduler: address of a Dask scheduler, such as `tcp://10.0.0.5:8786`; None: processes on this machine.
        count: number of these processes; None: one per core.

    Raises:
        AnalysisError: no scheduler answers at the address within ANSWERS_WITHIN_S, or it has no worker.
        ModuleNotFoundError: Dask is not installed (extra `dask`).
    """
    with _processes(count or cores()) if scheduler is None else _cluster(scheduler) as executor:
        yield executor


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        with _interrupts_ignored():
            for _ in range(count):  # each starts a process, which inherits this: Ctrl-C is for their parent
                executor.submit(int)
        yield executor
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        executor.shutdown()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where Python handles no signals
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end_with_parent() -> None:
    """End this worker when its parent is gone, even if that was killed: a pool's worker would wait for it forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    if not ADDRESS.fullmatch(scheduler):
        raise AnalysisError(f"--scheduler: {scheduler!r}: expected the address of a Dask scheduler, tcp://HOST:PORT")
    from distributed import Client

    for name in ("distributed", "distributed.client", "tornado.application"):  # they log what is raised, or done again
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=ANSWERS_WITHIN_S, set_as_default=False)
    except OSError as error:  # also a time-out
        reason = f"no Dask scheduler answers within {ANSWERS_WITHIN_S:g} s"
        raise AnalysisError(f"--scheduler: {scheduler}: {reason}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=ANSWERS_WITHIN_S)
        except TimeoutError as error:
            reason = f"has no worker after {ANSWERS_WITHIN_S:g} s; start one with `dask worker {scheduler}`"
            raise AnalysisError(f"--scheduler: {scheduler}: {reason}") from error
        yield client.get_executor(pure=False)
