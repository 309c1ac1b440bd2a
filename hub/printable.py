"""Text from outside, made safe to show on a line."""

import re

MASK = "***"

LONGEST_SHOWN = 64
"""Characters of a value that a message shows: gRPC sends it in a header, and the log keeps it."""

USER_AND_PASSWORD = re.compile(r"^(?!sqlite:)((?:\w+:)?/*).*@", re.DOTALL)
QUERY = re.compile(r"^(?!sqlite:)([^?]*\?).+", re.DOTALL)


def printable(text: str) -> str:
    r"""Return text with each character that is not printable as an escape such as `\u001b`.

    So no name can forge a second line (CR, U+2028), hide text (bidirectional controls) or drive a terminal (ESC).
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else escape(ord(char)) for char in text)


def escape(code: int) -> str:
    r"""Return a character as JSON and Python write it: `\u2028`."""
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(value: object) -> str:
    """Return a value from outside as messages show it: as in Python's source, on one line, and cut if it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def without_password(url: str) -> str:
    """Return the URL of a store with user, password and query masked; also one that is mistyped."""
    return QUERY.sub(rf"\1{MASK}", USER_AND_PASSWORD.sub(rf"\1{MASK}@", url))
