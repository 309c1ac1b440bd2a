"""JSON documents one after the other in a file, each on one line or on many, and what their parts must be.

A document begins with `{` at the beginning of a line, and ends before the next that does so.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.imports.sources import Source, blocks, quoted
from heartbench.analysis.imports.times import dates

Object: TypeAlias = dict[str, Any]


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


def documents(source: Source) -> Iterator[Document]:
    """Yield the documents of a file.

    Raises:
        AnalysisError: one is not a JSON object.
    """
    held: list[bytes] = []
    first = 1
    for block in blocks(source):
        for number, line in enumerate(block.text.splitlines(keepends=True), start=block.first_line):
            if line.startswith(b"{") and held:
                yield from _document(source, first, b"".join(held))
                held = []
            if not held:
                first = number
            held.append(line)
    yield from _document(source, first, b"".join(held))


def _document(source: Source, line: int, text: bytes) -> Iterator[Document]:
    if not text.strip():
        return
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise source.error(line + error.lineno - 1, f"not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise source.error(line, f"not JSON: {str(error).splitlines()[0]}") from error
    if not isinstance(value, dict):
        raise source.error(line, f"{quoted(text)}: expected a JSON object")
    yield Document(source, line, value)
