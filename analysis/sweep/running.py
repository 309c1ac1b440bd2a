"""Running the cells of a sweep on the cores of this machine or on a Dask cluster, whatever becomes of the workers.

A worker that is killed costs its cell alone, which is run again: by Dask on another worker; here in a new pool. A pool
does not say which of its workers died, so each cell that was running is run again alone, and one that has killed its
worker TRIES times has failed. All others go on.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.sweep.cell import Finished, check_made_by, run_cell
from heartbench.analysis.sweep.plan import Cell
from heartbench.analysis.workers import cores, workers

TRIES = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a cell has no figures, in one line."""

    reason: str


Outcome = Finished | Failure
_DIED = Failure("its worker died")


def run_cells(
    cells: Sequence[Cell], scheduler: str | None = None, count: int | None = None
) -> Generator[tuple[Cell, Outcome]]:
    """Yield each cell with its outcome, as they come; arguments as of `workers`. Close it to end what still runs.

    Raises:
        AnalysisError: the cluster cannot be used: none answers, or its workers would make other digits.
    """
    waiting = deque(cells)
    if scheduler is not None and waiting:
        with workers(scheduler) as executor:
            yield from _run(executor, waiting, len(waiting))
        return
    while waiting:
        at_once, died, before = min(count or cores(), len(waiting)), [], len(waiting)
        with workers(count=at_once) as executor:
            for cell, outcome in _run(executor, waiting, at_once):
                if outcome is _DIED:
                    died.append(cell)
                else:
                    yield cell, outcome
        if len(waiting) == before:
            raise AnalysisError("the processes for the runs end as soon as they begin; is there memory for them?")
        for cell in died:
            yield cell, _run_alone(cell)


def _run(executor: Executor, waiting: deque[Cell], at_once: int) -> Iterator[tuple[Cell, Outcome]]:
    """Take cells from `waiting` and yield their outcomes; once a worker has died, take no more."""
    running: dict[Future[Finished], Cell] = {}
    broken = False
    while running or (waiting and not broken):
        while waiting and not broken and len(running) < at_once:
            cell = waiting.popleft()
            try:
                running[executor.submit(run_cell, cell.scenario, cell.stale_after_s)] = cell
            except BrokenExecutor:
                waiting.appendleft(cell)
                broken = True
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            outcome = _outcome(future)
            broken |= outcome is _DIED
            yield running.pop(future), outcome


def _run_alone(cell: Cell) -> Outcome:
    """Return the outcome of a cell whose worker may have died of it; it has one try less."""
    for _ in range(TRIES - 1):
        with workers(count=1) as executor:
            outcome = next((each for _, each in _run(executor, deque([cell]), 1)), _DIED)
        if outcome is not _DIED:
            return outcome
    return Failure(f"its worker died, {TRIES} times")


def _outcome(future: Future[Finished]) -> Outcome:
    try:
        finished = future.result()
    except BrokenExecutor:
        return _DIED
    except CancelledError as error:
        raise AnalysisError("--scheduler: it went away; finished cells are kept") from error
    except Exception as error:  # noqa: BLE001 of a cell, which must not end the others
        lines = str(error).splitlines() or [""]
        return Failure(f"{type(error).__name__}: {lines[0]}")
    check_made_by(finished.made_by)
    return finished
