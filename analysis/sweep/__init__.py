"""A sweep: a scenario simulated for all combinations of some values of its keys, and for several seeds.

    sweep = plan_sweep("wireguard-5g", [parse_vary("group.edge.keepalive_time=0s,30s,60s")], seeds=(1, 2, 3))
    for cell, outcome in run_cells(sweep.cells): ...

A cell is one combination with one seed: one run in simulated time, of which only the gaps are kept. Its figures depend
on its scenario alone, not on where or when it was simulated (`cell`). So finished cells are kept (`store`), a sweep can
be resumed, and any number of workers makes the same table (`running`, `table`).
"""

from heartbench.analysis.sweep.cell import made_by, run_cell
from heartbench.analysis.sweep.plan import Cell, Sweep, plan_sweep
from heartbench.analysis.sweep.running import Failure, run_cells
from heartbench.analysis.sweep.store import Store
from heartbench.analysis.sweep.table import table_of, write_table
from heartbench.analysis.sweep.vary import Varied, parse_seeds, parse_vary

__all__ = [
    "Cell",
    "Failure",
    "Store",
    "Sweep",
    "Varied",
    "made_by",
    "parse_seeds",
    "parse_vary",
    "plan_sweep",
    "run_cell",
    "run_cells",
    "table_of",
    "write_table",
]
