"""Detectors as text: the values of HUB_DETECTOR and HUB_DETECTOR_BY_LABEL.

    fixed                                             its timeout is stale_after_s
    chen margin=20s window=32
    two-window margin=20s short=1 long=1000
    bertier beta=1 phi=4 gamma=0.1 min_margin=0.1s window=1000
    phi threshold=8 window=200 min_deviation=0.1s pause=0s
    phi-exponential threshold=8 window=1000

    site=ship: phi threshold=12; tier=core: fixed stale_after=10s       by label, the first that fits

Parameters may stand in any order, and be left out if they have a default. All but `fixed` also take `interval`,
`shortest` and `longest` (`adaptive.py`). Every mistake is a ValueError of one line.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, ValidationError

from heartbench.hub.envfile import parse_seconds
from heartbench.hub.liveness.adaptive import Adaptive
from heartbench.hub.liveness.bertier import Bertier
from heartbench.hub.liveness.chen import Chen
from heartbench.hub.liveness.detector import DetectorParameters
from heartbench.hub.liveness.fixed_timeout import FixedTimeout
from heartbench.hub.liveness.phi import Phi, PhiExponential
from heartbench.hub.liveness.policy import LabelDetector
from heartbench.hub.liveness.two_window import TwoWindow

DETECTORS: dict[str, type[DetectorParameters]] = {
    each.name: each for each in (FixedTimeout, Chen, TwoWindow, Bertier, Phi, PhiExponential)
}
FIXED = FixedTimeout.name
EXAMPLE = "KEY=VALUE: DETECTOR, as in site=ship: phi threshold=12"


def parse_detector(text: str, stale_after_s: float) -> DetectorParameters:
    """Return the detector that a text names; `stale_after_s` is the fixed timeout unless the text sets one."""
    name, *words = text.lower().split() or [""]
    if name not in DETECTORS:
        raise ValueError(f"{name!r} is not a detector; expected one of {', '.join(DETECTORS)}, and its parameters")
    fields_of_keys = _keys(name)
    values: dict[str, object] = {"stale_after_s": stale_after_s} if name == FIXED else {}
    named = set[str]()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value or key not in fields_of_keys:
            takes = " ".join(f"{each}=VALUE" for each in fields_of_keys)
            raise ValueError(f"{word!r} is not a parameter of {name}, which takes {takes}")
        field = fields_of_keys[key]
        if field in named:
            raise ValueError(f"{key} of {name} is given twice")
        named.add(field)
        values[field] = parse_seconds(value) if field.endswith("_s") else value
    return _checked(name, values)


def written(parameters: DetectorParameters) -> str:
    """Return the text that names a detector, without the parameters that have their defaults."""
    detector: Any = DETECTORS[parameters.name]
    defaults = {field.name: field.default for field in fields(detector)}
    words = [parameters.name]
    for key, name in _keys(parameters.name).items():
        value = getattr(parameters, name)
        if value != defaults[name]:
            words.append(f"{key}={value:.10g}{'s' if name.endswith('_s') else ''}")
    return " ".join(words)


def parse_by_label(text: str, stale_after_s: float) -> tuple[LabelDetector, ...]:
    """Return the detectors of nodes by label, in the order of the text."""
    found = []
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        label, colon, detector = entry.partition(":")
        key, equals, value = label.strip().partition("=")
        if not (colon and equals and key and value):
            raise ValueError(f"{entry!r}: expected {EXAMPLE}")
        found.append(LabelDetector(key, value, parse_detector(detector, stale_after_s)))
    return tuple(found)


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(DETECTORS[name])


def _keys(name: str) -> Mapping[str, str]:
    """Return the fields of a detector's parameters by what they are called in a text: `margin` for `margin_s`."""
    detector: Any = DETECTORS[name]
    own_first = sorted(fields(detector), key=lambda field: field.kw_only is True)
    return {field.name.removesuffix("_s"): field.name for field in own_first}


def _checked(name: str, values: Mapping[str, object]) -> DetectorParameters:
    """Return the parameters; raise ValueError for the first that is missing or out of bounds."""
    detector: Any = DETECTORS[name]
    for field in fields(detector):
        if field.name not in values and field.default is MISSING:
            key = field.name.removesuffix("_s")
            raise ValueError(f"{name} needs {key}=VALUE, which has no default")
    try:
        found: DetectorParameters = _adapter(name).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, message = str(first["loc"][0]).removesuffix("_s"), first["msg"].replace("Input should be ", "must be ")
        raise ValueError(f"{key}={first['input']} of {name} {message.partition(', unable to ')[0]}") from None
    if isinstance(found, Adaptive) and found.shortest_s > found.longest_s:
        raise ValueError(f"shortest={found.shortest_s:g}s of {name} is more than longest={found.longest_s:g}s")
    if isinstance(found, TwoWindow) and found.short > found.long:
        raise ValueError(f"short={found.short} of {name} is more than long={found.long}")
    return found


def _spelled_detector(text: str) -> str:
    text = " ".join(text.lower().split())
    parse_detector(text, 30.0)
    if text.startswith(f"{FIXED} "):
        raise ValueError(f"{FIXED} takes its timeout from HUB_STALE_AFTER_S; leave its parameters out")
    return text


def _spelled_by_label(text: str) -> str:
    parse_by_label(text, 30.0)
    return "; ".join(filter(None, (" ".join(part.split()) for part in text.split(";"))))


DetectorText = Annotated[str, AfterValidator(_spelled_detector)]
LabelDetectorsText = Annotated[str, AfterValidator(_spelled_by_label)]
