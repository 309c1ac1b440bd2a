"""What each of our programs does at its edge: errors in one line, and quiet where nobody reads the output."""

import os
import select
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import typer

Mistakes = Callable[[], tuple[type[Exception], ...]]

UNREAD = 141
"""Status of a program that a closed pipe ends: 128 and the number of SIGPIPE."""


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


def complain(message: str) -> int:
    """One line on standard error, whatever the message looked like."""
    print("heartbench:", " ".join(message.split()), file=sys.stderr)
    return 2


def without_number(error: OSError) -> str:
    """What the system refuses: the file, if it is one's, and why."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def run(
    command: Callable[[], typer.Typer], name: str, arguments: Sequence[str], mistakes: Mistakes, typed: str = ""
) -> int:
    """Run one command line and return its exit status.

    Args:
        command: builds the parser; what it imports may be missing.
        name: of the program.
        arguments: what was typed behind it.
        mistakes: asked afterwards: the errors that a user can fix, shown in one line; OSError among them.
        typed: the whole command line, for the command's own context.
    """
    try:
        program = typer.main.get_command(command())
        status = program.main(arguments, name, standalone_mode=False, obj=typed)
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


def what_is_allowed(error: typer.TyperException) -> str:
    """The commands of a group, where one of them is missing."""
    group = getattr(getattr(error, "ctx", None), "command", None)
    names = getattr(group, "commands", ()) if "Missing command" in error.format_message() else ()
    return f" Allowed: {', '.join(names)}" if names else ""


def warn(*lines: str) -> None:
    """A line each on standard error."""
    for line in lines:
        print("heartbench:", line, file=sys.stderr)
