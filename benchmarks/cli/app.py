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
import select
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import typer


class Command(NamedTuple):
    """Where a command lives (`module:attribute`, a function or a Typer), and its line in `heartbench --help`."""

    target: str
    help: str


COMMANDS = {
    "run": Command("heartbench.benchmarks.cli.run:run", "Simulate a fleet of nodes, and record what the hub hears."),
    "tune": Command("heartbench.benchmarks.cli.tune:tune", "Find the cheapest stale threshold that meets a goal."),
    "report": Command("heartbench.benchmarks.cli.report:report", "Make a page with plots of what a run showed."),
    "hub": Command("heartbench.benchmarks.cli.hub:hub", "Start the reference hub."),
    "ladder": Command("heartbench.benchmarks.cli.ladder:ladder", "Show the gap that an outage of some length makes."),
    "load": Command("heartbench.benchmarks.cli.load:load", "Load a running hub with nodes from Locust."),
    "bench": Command("heartbench.benchmarks.cli.bench:bench", "Measure the building blocks, and compare revisions."),
    "scenarios": Command("heartbench.benchmarks.cli.scenarios:scenarios", "List the scenarios, or show one."),
    "profiles": Command("heartbench.benchmarks.cli.profiles:profiles", "List the link profiles, or show one."),
}

ERRORS = {
    "heartbench.hub.errors": "HubError",
    "heartbench.simulator.errors": "SimulatorError",
    "heartbench.benchmarks.errors": "BenchmarkError",
}


UNREAD = 141
"""Status of a program that a closed pipe ends: 128 and the number of SIGPIPE."""


def main() -> None:
    """Entry point of the `heartbench` command."""
    if sys.stdout is None:  # as `>&-` leaves it
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    allow_many_connections()
    sys.exit(quietly(lambda: invoke(sys.argv[1:])))


def allow_many_connections() -> None:
    """Raise the limit of open files to what the system allows, one a node, for this process and those it starts."""
    with suppress(ImportError, ValueError, OSError):  # some systems have no limit, or name one that they do not give
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def quietly(command: Callable[[], int]) -> int:
    """Run it and return its status; where its output is not read to the end, say nothing and return UNREAD."""
    output = os.dup(sys.stdout.fileno())  # Rich puts another file in its place
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError as error:
        broken = error
    except SystemExit as error:  # what Typer and Rich make of it
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        broken = error.__context__
    else:
        return status
    if is_read(output):
        if not is_read(sys.stderr.fileno()):  # nobody reads our complaint, nor what Python flushes in the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        return complain(str(broken))
    # Python flushes once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNREAD


def is_read(output: int) -> bool:
    """Whether somebody can still read what is written to this file: another pipe may be the broken one."""
    poll = select.poll()
    poll.register(output, select.POLLOUT)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        frame = build(next((word for word in arguments if not word.startswith("-")), ""))
        typed = shlex.join(["heartbench", *arguments])  # a command finds it in its context
        program = typer.main.get_command(frame)
        status = program.main(arguments or ["--help"], "heartbench", standalone_mode=False, obj=typed)
    except typer.TyperException as error:
        return complain(in_plain_words(error) + what_is_allowed(error))
    except ModuleNotFoundError as error:
        if (error.name or "heartbench").startswith("heartbench"):
            raise
        from heartbench.hub.extras import how_to_install

        return complain(f"this command needs {error.name}: {how_to_install('all')}")
    except mistakes() as error:
        return complain(without_number(error) if isinstance(error, OSError) else str(error))
    except KeyboardInterrupt:
        return 130
    return status if isinstance(status, int) else 0


def in_plain_words(error: typer.TyperException) -> str:
    """What the parser refuses: the option, the value and what is allowed; the checking library's words are left out."""
    from pydantic import ValidationError

    said = error.format_message()
    if not isinstance(error.__cause__, ValidationError):
        return said
    first = error.__cause__.errors(include_url=False)[0]
    problem = first["msg"].partition(", unable to parse")[0].removeprefix("Value error, ")
    return said.replace(first["msg"], problem).replace("Input should", f"{first['input']!r}: must")


def without_number(error: OSError) -> str:
    """What the system refuses: the file, if it is one's, and why."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def what_is_allowed(error: typer.TyperException) -> str:
    """The commands of a group, where one of them is missing."""
    group = getattr(getattr(error, "ctx", None), "command", None)
    names = getattr(group, "commands", ()) if "Missing command" in error.format_message() else ()
    return f" Allowed: {', '.join(names)}" if names else ""


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


def complain(message: str) -> int:
    """One line on standard error, whatever the message looked like."""
    print("heartbench:", " ".join(message.split()), file=sys.stderr)
    return 2
