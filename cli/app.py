"""The `heartbench` command: its subcommands, and how errors end it.

A subcommand is a line in COMMANDS and a module beside this one, with a function or a Typer of the same name (MODULES
has the exception). Only the requested one is imported, so that `--help` is fast and the hub's process does not load the
simulator's dependencies. A subcommand returns nothing or its exit status:

    0    done
    1    the measured thing failed its goal
    2    invalid input: one line on standard error, nothing on standard output
    130  interrupted
    141  standard output was closed (`| head`); no message
"""

import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from heartbench.hub.program import allow_many_connections, quietly, run

COMMANDS = {
    "run": "Simulate a fleet of nodes and record what the hub receives.",
    "import": "Make a trace of the log of a real hub.",
    "sweep": "Simulate all combinations of some settings and seeds.",
    "tune": "Find the lowest stale threshold that meets a goal.",
    "report": "Write a report on a run: an HTML page with plots.",
    "watch": "Say whether the setting still meets its goal, and what changed.",
    "explain": "Explain why live nodes were marked stale.",
    "hub": "Start the reference hub.",
    "nodes": "List the nodes of a running hub.",
    "events": "Print the events of a running hub.",
    "history": "Print the newest output of a node of a running hub.",
    "stats": "Print the figures of a running hub.",
    "ladder": "Show the gap that an outage causes.",
    "load": "Put load on a running hub from Locust.",
    "probe": "Measure a network in both directions, or answer such probes.",
    "bench": "Measure the building blocks and compare revisions.",
    "scenarios": "List the scenarios, or show one.",
    "profiles": "List the link profiles, or show one.",
    "cases": "Run published incidents, and the settings that mend them.",
    "certs": "Make certificates and tokens for a hub and its nodes.",
}
"""The subcommands and their lines in `heartbench --help`."""
MODULES = {"import": "import_log"}
"""Subcommands whose names are words of the language."""
HUB = "heartbench.hub.__main__"
"""The hub's own face, which starts without this package too."""

ERRORS = {
    "heartbench.mesh.credentials": "CredentialsError",
    "heartbench.hub.errors": "HubError",
    "heartbench.simulator.errors": "SimulatorError",
    "heartbench.analysis.errors": "AnalysisError",
    "heartbench.benchmarks.errors": "BenchmarkError",
    "heartbench.cli.errors": "CommandError",
}


def main() -> None:
    """Run the `heartbench` command."""
    if sys.stdout is None:  # closed with `>&-`
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it is read when gRPC is loaded; we say what fails
    allow_many_connections()
    sys.exit(quietly(lambda: invoke(sys.argv[1:])))


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    chosen = next((word for word in arguments if not word.startswith("-")), "")
    typed = shlex.join(["heartbench", *arguments])  # commands read it from their context
    return run(lambda: build(chosen), "heartbench", arguments or ["--help"], user_errors, typed)


def build(chosen: str) -> typer.Typer:
    """Return the command line with `chosen` imported and the other commands as placeholders with a line of help."""
    frame = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    frame.callback()(root)
    for name, short_help in COMMANDS.items():
        if name == chosen:
            add(frame, name, load(name), short_help)
        else:
            frame.command(name, help=short_help)(placeholder)
    return frame


def load(name: str) -> object:
    """Import a subcommand."""
    own = MODULES.get(name, name)
    return getattr(importlib.import_module(HUB if name == "hub" else f"heartbench.cli.{own}"), own)


def add(frame: typer.Typer, name: str, target: object, short_help: str) -> None:
    """Add a function or a group of commands under `name`."""
    if isinstance(target, typer.Typer):
        frame.add_typer(target, name=name, short_help=short_help, no_args_is_help=False)
    elif callable(target):
        settings = getattr(target, "context_settings", None)
        frame.command(name, short_help=short_help, context_settings=settings)(target)


def placeholder() -> None:
    """Do nothing; stands for a command that is not imported."""


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        from importlib.metadata import version

        print("heartbench", version("heartbench"))
        raise typer.Exit


def root(
    version: bool = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """How long should a hub wait before it marks a silent node stale?

    Simulates a fleet on a network like yours, measures how often each threshold
    marks live nodes stale, and recommends one.
    """


def user_errors() -> tuple[type[Exception], ...]:
    """Return the errors shown to the user in one line; packages that are not loaded cannot have raised theirs."""
    loaded = (sys.modules[module].__dict__[name] for module, name in ERRORS.items() if module in sys.modules)
    return OSError, *loaded
