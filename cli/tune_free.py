"""`heartbench tune --free`: the best setting of hub and nodes together, and the files that set it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heartbench.cli.errors import CommandError
from heartbench.cli.output import (
    check_distinct,
    check_output,
    console,
    print_json,
    print_table,
    progress,
    write_together,
)

if TYPE_CHECKING:
    from heartbench.analysis.evidence import Evidence
    from heartbench.analysis.joint.question import Question
    from heartbench.analysis.joint.search import Found
    from heartbench.analysis.tune import Goal

NODE_FILE, ANY_PINGS = Path("node.toml"), "0s"
"""The values of options that are not set."""
COLUMNS = (
    "",
    "hub",
    "nodes",
    "false stales\nper node-day",
    "95% interval,\nnetwork",
    "95% interval,\nsimulation",
    "detection\ntime (p99)",
    "visible flaps\nper day",
    "traffic per\nnode-day",
)


class FreeOptions(NamedTuple):
    """What the options about free settings say."""

    free: str | None
    out: Path
    node_out: Path
    max_traffic: str | None
    permitted_pings: str
    scheduler: str | None

    def checked(self) -> "FreeOptions":
        """Return these; raise an error if one cannot be used, or is set without `--free`."""
        check_output(self.out)
        if self.free is not None:
            check_output(self.node_out, "--node-out")
            check_distinct({"--out": self.out, "--node-out": self.node_out})
            return self
        without = FreeOptions(None, self.out, NODE_FILE, None, ANY_PINGS, None)
        for name, value, usual in zip(self._fields, self, without, strict=True):
            if value != usual:
                raise CommandError(f"--{name.replace('_', '-')}: expected only with --free")
        return self

    def question(self, source: Path, goal: "Goal", per: str) -> "Question | None":
        """Return what they ask of a run; None if nothing is free. Raise an error if the source is not a run."""
        from heartbench.analysis.joint.knobs import parse_knobs
        from heartbench.analysis.joint.question import Question
        from heartbench.analysis.joint.search import not_a_run
        from heartbench.analysis.joint.words import parse_bytes
        from heartbench.analysis.tune import Per
        from heartbench.simulator.units import parse_duration

        if self.free is None:
            return None
        if source.exists() and not (source / "run.json").exists():
            raise not_a_run(source)
        limit = None if self.max_traffic is None else parse_bytes(self.max_traffic, "--max-traffic")
        pings_s = parse_duration(self.permitted_pings, "--permitted-pings")
        asked = Question(parse_knobs(self.free), goal, Per(per), limit, pings_s)
        if self.scheduler is not None and not asked.simulates:
            raise CommandError(f"--scheduler: expected only with settings to simulate; --free {self.free} has none")
        return asked


def tune_free(evidence: "Evidence", options: FreeOptions, asked: "Question", as_json: bool) -> int:
    """Search, write the files of both sides, print the result, and return the exit status."""
    from heartbench.analysis.joint.settings_files import env_file, node_file
    from heartbench.analysis.joint.words import as_json as to_json

    found = _searched(evidence, asked, options.scheduler)
    written = {options.out: env_file(found, evidence)}
    if asked.of_nodes:
        written[options.node_out] = node_file(found, evidence)
    if found.met:
        write_together(written)
    names = dict(zip(("hub_env", "node_toml"), [*map(str, written), None], strict=False))
    result: dict[str, Any] = {**to_json(found, evidence), **(names if found.met else dict.fromkeys(names))}
    if as_json:
        print_json(result)
    else:
        _show(found, evidence, list(written))
        if found.met:
            print_leftovers(list(written), options.node_out)
    return 0 if found.met else 1


def _searched(evidence: "Evidence", asked: "Question", scheduler: str | None) -> "Found":
    from heartbench.analysis.joint.search import search
    from heartbench.analysis.workers import workers

    if not asked.simulates:
        return search(evidence, asked, None)
    with workers(scheduler) as executor, progress("Simulating settings", 0.0) as advance:
        return search(evidence, asked, executor, advance)


def _show(found: "Found", evidence: "Evidence", files: list[Path]) -> None:
    from heartbench.analysis.joint.words import assumption_lines, lines_after, table_rows

    print_table(evidence.origin, COLUMNS, list(table_rows(found)))
    for line in lines_after(found):
        console().print(line)
    console().print("Assumptions:")
    for line in assumption_lines(found, evidence):
        console().print(f"  {line}")
    names = " and ".join(map(str, files))
    older = " (existing files are from an earlier run)" if any(file.exists() for file in files) else ""
    print(f"Wrote {names}" if found.met else f"Did not write {names}: the goal is not met{older}")


def print_leftovers(written: Sequence[Path], node_out: Path = NODE_FILE) -> None:
    """Print which settings of nodes that an earlier search wrote do not belong to the files just written."""
    from heartbench.analysis.joint.settings_files import is_tuned

    hub = written[0]
    new = {file.resolve() for file in written}
    possible = {file.resolve(): file for file in (hub.with_name(NODE_FILE.name), node_out)}
    for place, file in possible.items():
        if place not in new and is_tuned(file):
            print(f"{file} is from an earlier run: do not use it with {hub}")
