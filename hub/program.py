"""The edge of each command-line program: errors in one line, and silence if the output is closed (SIGPIPE)."""

import os
import select
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

import typer

from heartbench.hub.printable import printable

Mistakes = Callable[[], tuple[type[Exception], ...]]

UNREAD = 141
"""Exit status of a program that a closed pipe ends: 128 and the number of SIGPIPE."""

ROOM_S = 1.0


def allow_many_connections() -> None:
    """Raise the limit of open files to what the system allows, for this process and its children: a node needs one."""
    with suppress(ImportError, ValueError, OSError):  # some systems have no limit, or report one that they do not grant
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def quietly(command: Callable[[], int]) -> int:
    """Run a command and return its status; if its output is closed before the end, return UNREAD without a message."""
    output = os.dup(sys.stdout.fileno())  # Rich replaces it
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError as error:
        broken = error
    except SystemExit as error:  # Typer and Rich turn the error into this
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        broken = error.__context__
    else:
        return status
    if is_read(output):
        if not is_read(sys.stderr.fileno()):  # closed too: Python must not write to it either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        return complain(str(broken))
    # Python flushes once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNREAD


def is_read(output: int) -> bool:
    """Return whether the other end of this file is still open: another pipe may be the broken one."""
    poll = select.poll()
    poll.register(output, select.POLLOUT)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def complain(message: str) -> int:
    """Print a message as one line on standard error, and return the status of a user's mistake."""
    warn(message)
    return 2


def without_number(error: OSError) -> str:
    """Return the file of an error, if it has one, and its reason."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def run(
    command: Callable[[], typer.Typer], name: str, arguments: Sequence[str], mistakes: Mistakes, typed: str = ""
) -> int:
    """Run one command line and return its exit status.

    `command` builds the parser, and may import a module that is missing. `mistakes` returns the errors that a user can
    fix, OSError among them; they are shown in one line. `typed`, the whole command line, is for the command's context.
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
    """Return the option, its value and what is allowed, without the words of the validation library."""
    from pydantic import ValidationError

    message = error.format_message()
    if not isinstance(error.__cause__, ValidationError):
        return message
    first = error.__cause__.errors(include_url=False)[0]
    problem = first["msg"].partition(", unable to parse")[0].removeprefix("Value error, ")
    return message.replace(first["msg"], problem).replace("Input should", f"{first['input']!r}: must")


def what_is_allowed(error: typer.TyperException) -> str:
    """Return the commands of a group if one of them is missing, else nothing."""
    group = getattr(getattr(error, "ctx", None), "command", None)
    names = getattr(group, "commands", ()) if "Missing command" in error.format_message() else ()
    return f" Allowed: {', '.join(names)}" if names else ""


def warn(*messages: str) -> None:
    """Print each message as one line on standard error, unless its disk is full or its reader has gone or stalls."""
    for message in messages:
        with suppress(OSError):
            if has_room(sys.stderr):
                print("heartbench:", printable(" ".join(message.split())), file=sys.stderr, flush=True)


def has_room(output: TextIO) -> bool:
    """Return whether a line can be written without waiting for longer than ROOM_S."""
    try:
        descriptor = output.fileno()
    except OSError:  # not a file: a program that calls this one replaced it
        return True
    return bool(select.select([], [descriptor], [], ROOM_S)[1])
