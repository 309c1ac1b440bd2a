"""The frame of the command line: statuses, one-line errors, and what it imports."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.cli import app
from heartbench.hub import program


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Puts a function or a Typer under the name `run`."""
    return lambda target: monkeypatch.setattr(app, "load", lambda _: target)


def raising(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


def counted(nodes: int = 1) -> int:
    return nodes


def test_help_lists_every_command_without_importing_it() -> None:
    script = (
        "import sys; from heartbench.cli.app import invoke; status = invoke(['--help']);"
        "print(status, [m for m in ('numpy', 'numba', 'pandas', 'grpc', 'matplotlib') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert all(f" {name} " in output and short_help in output for name, short_help in app.COMMANDS.items())
    assert output.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("arguments", [["rnu"], ["--bad"], ["run", "--bad"], ["run", "--nodes", "many"], ["run", "x"]])
def test_what_the_parser_refuses_is_one_line_and_status_2(
    arguments: list[str], command: Callable[[object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(counted)
    assert app.invoke(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--nodes many", "heartbench: Invalid value for '--nodes': 'many': must be a valid integer\n"),
        ("--nodes 0", "heartbench: Invalid value for '--nodes': '0': must be greater than or equal to 1\n"),
        ("--engine real", "heartbench: Invalid value for '--engine': 'real' is not one of 'virtual', 'live'.\n"),
    ],
)
def test_a_wrong_value_is_named_in_words_of_ours(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["run", "lan", *words.split()]) == 2
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (BenchmarkError("x.toml: nodes = 0:\n  at least 1"), 2, "heartbench: x.toml: nodes = 0: at least 1\n"),
        (FileNotFoundError(2, "No such file", "x"), 2, "heartbench: x: No such file\n"),
        (OSError(28, "No space left on device"), 2, "heartbench: No space left on device\n"),
        (ConnectionError("lost"), 2, "heartbench: lost\n"),
        (ModuleNotFoundError("No numba", name="numba"), 2, "heartbench: this command needs numba: pip install"),
        (KeyboardInterrupt(), 130, ""),
        (typer.Exit(1), 1, ""),
    ],
)
def test_what_went_wrong_becomes_a_status(
    error: BaseException,
    status: int,
    line: str,
    command: Callable[[object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(raising(error))
    assert app.invoke(["run"]) == status
    assert capsys.readouterr().err.startswith(line)


def test_a_bug_is_not_taken_for_a_mistake(command: Callable[[object], None]) -> None:
    command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        app.invoke(["run"])


def test_the_returned_number_is_the_status(command: Callable[[object], None]) -> None:
    command(counted)
    assert app.invoke(["run", "--nodes", "3"]) == 3


def test_a_group_passes_on_and_without_a_command_is_a_mistake(
    command: Callable[[object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("show")(counted)
    group.command("list")(counted)
    command(group)
    assert app.invoke(["run", "show", "--nodes", "4"]) == 4
    assert app.invoke(["run"]) == 2
    assert capsys.readouterr().out == ""


COMMAND = [sys.executable, "-c", "from heartbench.cli.app import main; main()"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["scenarios", "list"],
        ["hub", "--print-config"],
        ["scenarios", "list", "--json"],
    ],
)
def test_where_nobody_reads_its_output_a_command_ends_without_a_word(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as unread:
        done = subprocess.run([*COMMAND, *arguments], stdout=unread, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (program.UNREAD, b"") == (141, b"")


def test_another_pipe_that_breaks_is_not_taken_for_unread() -> None:
    script = (
        "import os, socket; from heartbench.cli import app\n"
        "def run():\n    ours, theirs = socket.socketpair()\n    theirs.close()\n    ours.send(b'x')\n"
        "app.load = lambda _: run\n"
        "app.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "heartbench: [Errno 32] Broken pipe\n")


def test_where_nobody_reads_its_complaints_its_status_says_enough() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as unread:
        done = subprocess.run(
            [*COMMAND, "run", "nosuch"], stdout=subprocess.PIPE, stderr=unread, check=False, timeout=60
        )
    assert (done.returncode, done.stdout) == (2, b"")


def test_without_a_standard_output_a_command_does_its_work() -> None:
    closed = [sys.executable, "-c", "import os, sys; os.close(1); os.execv(sys.executable, sys.argv[1:])"]
    command = [*closed, *COMMAND, "scenarios", "list"]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_who_ends_otherwise_is_not_taken_for_unread() -> None:
    with pytest.raises(SystemExit, match="7"):
        program.quietly(lambda: sys.exit(7))
