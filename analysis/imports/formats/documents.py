"""JSON documents one after the other in a file, each on one line or on many, and what their parts must be.

A document begins with `{` at the beginning of a line, and ends before the next that does so. The last one of a file
that is still being written, or whose writer was stopped, may be cut.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import ascii_letters, digits
from typing import Any, TypeAlias

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.imports.sources import Source, blocks, quoted
from heartbench.analysis.imports.times import dates

Object: TypeAlias = dict[str, Any]
OF_A_WORD = ascii_letters + digits + "+-.\\"
"""What a number, `true` or an escape is made of; JSON that ends within one is refused from its beginning on."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document: the line in which it begins, and its value."""

    source: Source
    line: int
    value: Object

    def error(self, wrong: str) -> AnalysisError:
        """Return the error that something in it is wrong."""
        return self.source.error(self.line, wrong)

    def text(self, part: object, key: str) -> str:
        """Return the text at a key of one of its parts, `a.b` for nested ones.

        Raises:
            AnalysisError: there is none.
        """
        return str(self._of(part, key, str, "a text"))

    def number(self, part: object, key: str) -> float:
        """Return the number at a key of one of its parts.

        Raises:
            AnalysisError: there is none, or it is not finite.
        """
        value = self._of(part, key, (int, float), "a number")
        if isinstance(value, bool) or abs(value) > 1e18 or not math.isfinite(value):
            raise self.error(f"{key}: {quoted(str(value))}: expected a finite number")
        return float(value)

    def items(self, part: object, key: str) -> list[Any]:
        """Return the list at a key of one of its parts; empty if it is null or missing.

        Raises:
            AnalysisError: it is something else.
        """
        return list(self._of(part, key, list, "a list")) if at(part, key) is not None else []

    def date(self, part: object, key: str) -> float:
        """Return the date at a key of one of its parts, s since 1970.

        Raises:
            AnalysisError: there is none.
        """
        text = self.text(part, key)
        when = float(dates([text])[0])
        if math.isnan(when):
            raise self.error(f"{key}: {quoted(text)}: not a date in ISO 8601")
        return when

    def _of(self, part: object, key: str, kind: type | tuple[type, ...], what: str) -> Any:
        value = at(part, key)
        if not isinstance(value, kind):
            raise self.error(f"{key}: {quoted(json.dumps(value))}: expected {what}")
        return value


def at(part: object, key: str) -> Any:
    """Return what a part of a document has at a key, `a.b` for nested ones; None if it has nothing there."""
    for name in key.split("."):
        part = part.get(name) if isinstance(part, dict) else None
    return part


def documents(source: Source, left_out: Callable[[str], None] | None = None) -> Iterator[Document]:
    """Yield the documents of a file.

    If the last of several is cut, it is left out, and `left_out` is called with a sentence for the user. Without
    `left_out` it is an error.

    Raises:
        AnalysisError: one is not a JSON object.
    """
    held: list[bytes] = []
    first = 1
    found = 0
    for block in blocks(source):
        for number, line in enumerate(block.text.splitlines(keepends=True), start=block.first_line):
            if line.startswith(b"{") and held:
                yield from _document(source, first, b"".join(held))
                found += 1
                held = []
            if not held:
                first = number
            held.append(line)
    last = b"".join(held).rstrip()
    if left_out and found and is_cut(last):
        left_out(f"{source.name}:{first}: the file ends within the document that begins here: it was left out")
    else:
        yield from _document(source, first, last)


def why_not_json(error: ValueError | RecursionError) -> str:
    """Return why `json` refused a text, without the place."""
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg.removesuffix(' at').removesuffix(' starting')}"
    return f"not JSON: {str(error).splitlines()[0]}"


def _document(source: Source, line: int, text: bytes) -> Iterator[Document]:
    if not text.strip():
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        within = error.lineno - 1 if isinstance(error, json.JSONDecodeError) else 0
        raise source.error(line + within, why_not_json(error)) from error
    if not isinstance(value, dict):
        raise source.error(line, f"{quoted(text)}: expected a JSON object")
    yield Document(source, line, value)


def is_cut(text: bytes) -> bool:
    """Return whether a text is the beginning of a JSON object and not all of it."""
    if not text.startswith(b"{"):
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        at_the_end = error.pos >= len(error.doc.rstrip(OF_A_WORD)) or error.msg.startswith("Unterminated string")
        return at_the_end and error.msg != "Extra data"
    except UnicodeDecodeError as error:
        return error.end == len(text)
    except (ValueError, RecursionError):
        return False
    return False
