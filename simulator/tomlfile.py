"""TOML files that become frozen models, and errors of one line with file, key, value and what is expected.

Profiles and scenarios are such files. Keys are the model's field names without the unit (`base_delay` is the field
`base_delay_s`), because in a file the value carries it: `base_delay = "30ms"`. Unknown keys are rejected.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.units import DURATION_PATTERN, LONGEST_S, format_duration, parse_duration

SHORTEST_S = 0.001  # between repeated events


def _duration(value: Any) -> float:
    if not isinstance(value, str | int | float):
        raise ValueError("must be a duration such as 85ms, 90s or 24h")
    try:
        seconds = parse_duration(value)
    except SimulatorError as error:
        raise ValueError(str(error)) from error
    if seconds > LONGEST_S:
        raise ValueError(f"{value}: must be at most {LONGEST_S:.0f}s")
    return seconds


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be longer than 0")
    return value


def _not_too_often(value: float) -> float:
    if 0 < value < SHORTEST_S:
        raise ValueError(f"{format_duration(value)}: must be at least {format_duration(SHORTEST_S)}")
    return value


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, str, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "pattern": DURATION_PATTERN, "minimum": 0, "maximum": LONGEST_S}),
]
"""Seconds, written in a file as a duration such as 85ms or 24h."""
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Interval = Annotated[Duration, AfterValidator(_not_too_often)]
"""Duration between repeated events; a run with more than a thousand per second would not end."""
PositiveInterval = Annotated[PositiveDuration, AfterValidator(_not_too_often)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Table(BaseModel):
    """A table of a TOML file: frozen, without unknown keys."""

    model_config = ConfigDict(
        frozen=True, alias_generator=lambda name: name.removesuffix("_s"), allow_inf_nan=False, extra="forbid"
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in data:
                if key not in known:
                    raise ValueError(f"unknown key {key}{guess(key, known)}; allowed: {', '.join(known)}")
        return data

    def to_data(self) -> dict[str, Any]:
        """Return the data of the file: durations as text, keys without units, nothing that is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


Model = TypeVar("Model", bound=Table)


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """Return the data of a TOML text; errors name `source`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SimulatorError(f"{source}: is not TOML: {error}") from error
    except RecursionError:
        raise SimulatorError(f"{source}: is not TOML: nested too deeply") from None


def read_text(path: Path) -> str:
    """Return the text of the file at `path`.

    Raises:
        SimulatorError: the file is missing, is a directory, or is not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise SimulatorError(f"{path}: is not a text file (UTF-8); expected a TOML file") from error
    except IsADirectoryError as error:
        raise SimulatorError(f"{path}: is a directory; expected a TOML file") from error
    except (OSError, ValueError) as error:
        raise SimulatorError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from error


def validate(model: type[Model], data: Mapping[str, Any], source: str) -> Model:
    """Return `data` as a `model`.

    Raises:
        SimulatorError: in one line, the first problem and the number of others.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # A default that could not follow from a wrong key is no second problem.
        problems = [each for each in error.errors(include_url=False) if each["type"] != "default_factory_not_called"]
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        key = dotted(data, first["loc"])
        where = f"{source}: {key}" if key else source
        raise SimulatorError(f"{where}: {_explain(first['type'], first['msg'], first.get('input'))}{more}") from None


_PLAIN_WORDS = {"missing": "is missing", "dict_type": "must be a table", "model_type": "must be a table"}


def _explain(kind: str, message: str, value: Any) -> str:
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "missing":
        return _PLAIN_WORDS[kind]
    plain = _PLAIN_WORDS.get(kind, f"{message[0].lower()}{message[1:]}".partition(", unable to parse")[0])
    return f"{value!r}: {plain}".replace("input should be a valid tuple", "must be a list").replace(
        "input should", "must"
    )


def dotted(data: Any, location: Iterable[str | int]) -> str:
    """Return a location in `data` in the form of `--set`: a table in a list by its name."""
    words = []
    for step in location:
        if str(step).startswith("("):  # which of several models, not a key
            continue
        data = data[step] if _has(data, step) else None
        name = data.get("name") if isinstance(step, int) and isinstance(data, Mapping) else None
        words.append(name if isinstance(name, str) else str(step))
    return ".".join(words)


def _has(data: Any, step: str | int) -> bool:
    if isinstance(data, Mapping):
        return step in data
    return isinstance(data, list | tuple) and isinstance(step, int) and step < len(data)


def guess(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean …?` if a similar word is known, else an empty string."""
    near = difflib.get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f", did you mean {' or '.join(near)}?" if near else ""


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` updated with the values of `above`, table by table."""
    result = dict(deepcopy(below))
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        result[key] = merged(under, value) if both else deepcopy(value)  # type: ignore[arg-type]
    return result


def difference(above: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """Return the smallest data with which `merged(below, …)` equals `above`."""
    result: dict[str, Any] = {}
    for key, value in above.items():
        under = below.get(key)
        if value != under:
            both = isinstance(value, Mapping) and isinstance(under, Mapping)
            result[key] = difference(value, under) if both else value  # type: ignore[arg-type]
    return result


class Catalog:
    """The files shipped in one folder of a package, by name."""

    def __init__(self, kind: str, package: str = "heartbench.simulator") -> None:
        self.kind = kind
        self._folder: Traversable = resources.files(package).joinpath(f"{kind}s")

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(file.name.removesuffix(".toml") for file in self._folder.iterdir() if file.name.endswith(".toml"))

    def text(self, name: str) -> str:
        """Return the text of a shipped file."""
        return self._folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")

    def find(self, name_or_path: str, folder: Path = Path()) -> tuple[str, str, str]:
        """Return (name, source, text) of a shipped file or of one at a path, which is relative to `folder`.

        Errors name the source: the path of a file, else the kind and the name.

        Raises:
            SimulatorError: neither exists, or the path is not a text file.
        """
        if name_or_path in self.names():
            return name_or_path, f"{self.kind} {name_or_path}", self.text(name_or_path)
        try:
            path = folder / Path(name_or_path).expanduser()
        except RuntimeError as error:  # ~ of an unknown user
            raise SimulatorError(f"{name_or_path}: cannot be read: {error}") from error
        if path.suffix == ".toml" or "/" in name_or_path or os.path.exists(path):
            return path.stem, str(path), read_text(path)
        names = self.names()
        raise SimulatorError(
            f"{self.kind}: {name_or_path!r} is not known{guess(name_or_path, names)}; "
            f"allowed: {', '.join(names)}, or the path of a TOML file"
        )


def set_key(data: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Set `key` (dotted; a table in a list by its name, its number or `*`) of `data` in place.

    Raises:
        SimulatorError: the key does not exist; the message names `source`.
    """
    *path, last = key.split(".")
    places: list[Any] = [data]
    for depth, step in enumerate(path):
        so_far = ".".join(path[:depth])
        places = [inner for place in places for inner in _inside(place, step, so_far, source)]
    for place in places:
        if isinstance(place, list):
            names = ", ".join(_names(place))
            raise SimulatorError(
                f"{source}: {path[-1]} is a list; expected {path[-1]}.NAME.{last} with NAME one of {names} or *"
            )
        place[last] = deepcopy(value)


def _inside(place: Any, step: str, where: str, source: str) -> Sequence[Any]:
    if isinstance(place, dict):
        inner = place.setdefault(step, {})
        if isinstance(inner, dict | list):
            return [inner]
        raise SimulatorError(f"{source}: {step} is not a table")
    names = _names(place)
    chosen = [table for number, table in enumerate(place) if step in ("*", str(number), names[number])]
    if chosen and all(isinstance(table, dict) for table in chosen):
        return chosen
    allowed = ", ".join([*names, "*"])
    raise SimulatorError(f"{source}: there is no {where} {step!r}{guess(step, names)}; allowed: {allowed}")


def _names(tables: Sequence[Any]) -> list[str]:
    return [str(table.get("name", n)) if isinstance(table, dict) else str(n) for n, table in enumerate(tables)]
