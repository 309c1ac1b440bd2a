"""What a user may say about a log that the log does not say itself."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.imports.times import UNITS

UNIX_BEGINS_S = 1e8
"""1973: a larger number is Unix time, a smaller one counts from the start of the log."""
OF_SOME_FORMATS = {
    "time": "--time",
    "node": "--node-column",
    "sent": "--sent",
    "sequence": "--sequence",
    "boot": "--boot",
    "kind": "--kind",
    "time_unit": "--time-unit",
    "marked_after_s": "--marked-after",
}
"""Options that not every format has a use for, by their field."""
_NUMBER = re.compile(r"\d+(\.\d*)?([eE]\+?\d+)?")


class Moment(NamedTuple):
    """A time as the user wrote it: Unix s, or s since the first second of the log.

    If the times of the log are no dates, it is one of those. A date without a zone is taken for UTC, as in a log.
    """

    at_s: float
    is_unix: bool
    lacks_zone: bool = False

    @classmethod
    def parse(cls, text: str, option: str) -> Self:
        """Return the time in a text: ISO 8601, Unix s, or s since the start of the log.

        Raises:
            AnalysisError: it is none of them.
        """
        plain = text.strip()
        if _NUMBER.fullmatch(plain):
            at_s = float(plain)
            if at_s < 1e11:
                return cls(at_s, at_s > UNIX_BEGINS_S)
        else:
            try:
                when = datetime.fromisoformat(plain)
            except ValueError:
                when = None
            if when is not None:
                lacks_zone = when.tzinfo is None
                return cls((when.replace(tzinfo=UTC) if lacks_zone else when).timestamp(), True, lacks_zone)
        raise AnalysisError(
            f"{option}: {text!r} is not a time; expected ISO 8601 (2026-03-01T12:00:00Z), Unix time in s, or s "
            "since the start of the log"
        )

    def since(self, origin_unix_s: float) -> float:
        """Return it in s since `origin_unix_s`, as all times of an import are."""
        return self.at_s - origin_unix_s if self.is_unix else self.at_s


class NodeMoment(NamedTuple):
    """A node, and when something happened to it; None: at its last sign of life."""

    node: str
    at: Moment | None

    @classmethod
    def parse(cls, text: str, option: str) -> Self:
        """Return the parts of `NAME` or `NAME@TIME`.

        Raises:
            AnalysisError: the name is empty or the time is none.
        """
        name, at, time = text.rpartition("@")
        if not at:
            name, time = text, ""
        if not name or (at and not time):
            raise AnalysisError(f"{option}: {text!r}; expected NAME or NAME@TIME")
        return cls(name, Moment.parse(time, option) if at else None)


def parse_span(text: str, option: str) -> tuple[Moment, Moment]:
    """Return the two times of `FROM..TO`.

    Raises:
        AnalysisError: it is none.
    """
    begin, dots, end = text.partition("..")
    if not dots:
        raise AnalysisError(f"{option}: {text!r}; expected FROM..TO")
    span = Moment.parse(begin, option), Moment.parse(end, option)
    if span[0].is_unix != span[1].is_unix or span[0].at_s >= span[1].at_s:
        raise AnalysisError(
            f"{option}: {text!r}; expected FROM..TO with FROM before TO, both dates or both since the start"
        )
    return span


def parse_unit(text: str | None, option: str) -> str | None:
    """Return the name of a unit of time.

    Raises:
        AnalysisError: it is none.
    """
    if text is None or text in UNITS:
        return text
    raise AnalysisError(f"{option}: {text!r} is not a unit; allowed: {', '.join(UNITS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What a user says about a log; None: as the log shows.

    Attributes:
        format: name of the log's format.
        time: column with the time of arrival.
        node: column with the node's name.
        sent: column with the sender's time.
        sequence: column with the number of the message.
        boot: column that changes when the node restarts.
        kind: column with the kind of message (hello, heartbeat, chunk, goodbye, or 0 to 3).
        time_unit: unit of times that are numbers: s, ms, us or ns.
        interval_s: usual heartbeat interval, s.
        marked_after_s: timeout of the detector whose changes of status the log holds, s.
        hub_down: when the hub was down.
        dead: nodes that are gone, and since when.
        restarted: nodes that began again, and when.
    """

    format: str | None = None
    time: str | None = None
    node: str | None = None
    sent: str | None = None
    sequence: str | None = None
    boot: str | None = None
    kind: str | None = None
    time_unit: str | None = None
    interval_s: float | None = None
    marked_after_s: float | None = None
    hub_down: tuple[tuple[Moment, Moment], ...] = ()
    dead: tuple[NodeMoment, ...] = ()
    restarted: tuple[NodeMoment, ...] = ()

    @property
    def lacks_zone(self) -> bool:
        """Whether a time in them has no zone."""
        named = [each.at for each in (*self.dead, *self.restarted) if each.at is not None]
        return any(each.lacks_zone for each in (*sum(self.hub_down, ()), *named))
