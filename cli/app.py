"""The frame of the `heartbench` command: which commands there are, and what becomes of mistakes.

A command is a line in COMMANDS and a file beside this one. Only the command that was asked for is imported, so that
`--help` answers at once and the hub's process never loads what only the simulator needs. A command returns nothing
or its exit status:

    0    done
    1    the measured thing failed its goal
    2    the input was wrong: one line on standard error, nothing on standard output
    130  interrupted
    141  nobody reads standard output any more (`| head`): nothing is said about it
"""

import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from heartbench.hub.program import allow_many_connections, quietly, run


class Command(NamedTuple):
    """Where a command lives (`module:attribute`, a function or a Typer), and its line in `heartbench --help`."""

    target: str
    help: str


COMMANDS = {
    "run": Command("heartbench.cli.run:run", "Simulate a fleet of nodes, and record what the hub hears."),
    "tune": Command("heartbench.cli.tune:tune", "Find the cheapest stale threshold that meets a goal."),
    "report": Command("heartbench.cli.report:report", "Make a page with plots of what a run showed."),
    "hub": Command("heartbench.hub.__main__:hub", "Start the reference hub."),
    "ladder": Command("heartbench.cli.ladder:ladder", "Show the gap that an outage of some length makes."),
    "load": Command("heartbench.cli.load:load", "Load a running hub with nodes from Locust."),
    "bench": Command("heartbench.cli.bench:bench", "Measure the building blocks, and compare revisions."),
    "scenarios": Command("heartbench.cli.scenarios:scenarios", "List the scenarios, or show one."),
    "profiles": Command("heartbench.cli.profiles:profiles", "List the link profiles, or show one."),
}

ERRORS = {
    "heartbench.hub.errors": "HubError",
    "heartbench.simulator.errors": "SimulatorError",
    "heartbench.analysis.errors": "AnalysisError",
    "heartbench.benchmarks.errors": "BenchmarkError",
    "heartbench.cli.errors": "CommandError",
}


def main() -> None:
    """Entry point of the `heartbench` command."""
    if sys.stdout is None:  # as `>&-` leaves it
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    allow_many_connections()
    sys.exit(quietly(lambda: invoke(sys.argv[1:])))


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    chosen = next((word for word in arguments if not word.startswith("-")), "")
    typed = shlex.join(["heartbench", *arguments])  # a command finds it in its context
    return run(lambda: build(chosen), "heartbench", arguments or ["--help"], mistakes, typed)


def build(chosen: str) -> typer.Typer:
    """The command line with `chosen` imported and all other commands as names with a line of help."""
    frame = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    frame.callback()(root)
    for name, command in COMMANDS.items():
        if name == chosen:
            add(frame, name, load(command.target), command.help)
        else:
            frame.command(name, help=command.help)(placeholder)
    return frame


def add(frame: typer.Typer, name: str, target: object, short_help: str) -> None:
    """Put a function or a group of commands under `name`."""
    if isinstance(target, typer.Typer):
        frame.add_typer(target, name=name, short_help=short_help, no_args_is_help=False)
    elif callable(target):
        settings = getattr(target, "context_settings", None)
        frame.command(name, short_help=short_help, context_settings=settings)(target)


def load(target: str) -> object:
    """Import `module:attribute`."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def placeholder() -> None:
    """Stand in for a command that was not asked for."""


def show_version(wanted: bool) -> None:
    """Print the version of the distribution and stop."""
    if wanted:
        from importlib.metadata import version

        print("heartbench", version("heartbench"))
        raise typer.Exit


def root(
    version: bool = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """How should a hub decide that a node is gone, on the network it really has?

    Simulates a fleet on a network like yours, measures how often a stale
    threshold calls living nodes dead, and says which one to set.
    """


def mistakes() -> tuple[type[Exception], ...]:
    """What a user can mend. Of the rooms' errors only those that are loaded: no other can have been raised."""
    loaded = (sys.modules[module].__dict__[name] for module, name in ERRORS.items() if module in sys.modules)
    return OSError, *loaded
