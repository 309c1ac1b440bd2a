"""The flap rule and the hold-down as text: the values of HUB_FLAP_RULE and HUB_HOLD_DOWN.

    window                                          flap_window_s, flap_threshold and flap_exit are its parameters
    weighted low=20% high=30% check=10s             Nagios' share; a check is a third of stale_after_s unless given
    decay penalty=500 half_life=15m suppress=2000 reuse=750 max=60m         RFC 2439

    off        3 heartbeats        10s

Parameters may be left out and stand in any order. These are their defaults: of `weighted` those of Nagios Core
(DEFAULT_LOW_HOST_FLAP_THRESHOLD and _HIGH_), of `decay` those of Cisco's `bgp dampening`, where a withdrawal has a
penalty of 1000: it is two flaps here, stale and online again. Every mistake is a ValueError of one line.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AfterValidator

from heartbench.hub.envfile import parse_seconds
from heartbench.hub.liveness.flap_rules import FlapDecay, FlapRule, FlapWindow, WeightedShare
from heartbench.hub.liveness.hold_down import HoldDown

LONGEST_S = 604_800.0
MOST_HEARTBEATS = 1000
CHECKS_A_SILENCE = 3
"""Checks in the silence after which a node is stale: the usual threshold is three missed heartbeats."""

DEFAULTS = {
    FlapWindow.name: {},
    WeightedShare.name: {"low": "20%", "high": "30%", "check": ""},
    FlapDecay.name: {"penalty": "500", "half_life": "15m", "suppress": "2000", "reuse": "750", "max": "60m"},
}


def parse_flap_rule(text: str, window: FlapWindow, stale_after_s: float) -> FlapRule:
    """Return the rule that a text names; `window` is the one with the parameters of the other settings."""
    name, *words = text.lower().split() or [""]
    if name not in DEFAULTS:
        raise ValueError(f"expected one of {', '.join(DEFAULTS)}, and its parameters")
    values = parameters_of(name, words)
    if name == WeightedShare.name:
        check_s = seconds_of("check", values["check"]) if values["check"] else stale_after_s / CHECKS_A_SILENCE
        weighted = WeightedShare(percent_of("low", values["low"]), percent_of("high", values["high"]), check_s)
        if not 0 < weighted.low <= weighted.high <= 100:
            raise ValueError("expected 0% < low <= high <= 100%")
        return weighted
    if name == FlapDecay.name:
        numbers = {key: number_of(key, values[key]) for key in ("penalty", "suppress", "reuse")}
        decay = FlapDecay(
            half_life_s=seconds_of("half_life", values["half_life"]), max_s=seconds_of("max", values["max"]), **numbers
        )
        if decay.max_s > 100 * decay.half_life_s:
            raise ValueError("expected max to be at most 100 times half_life")
        if not decay.reuse < decay.suppress < decay.ceiling:
            raise ValueError(
                f"expected reuse < suppress < the greatest penalty, which is reuse * 2^(max / half_life) = "
                f"{decay.ceiling:.6g}"
            )
        return decay
    return window


def parse_hold_down(text: str) -> HoldDown:
    """Return the hold-down that a text names."""
    if text.lower() == "off":
        return HoldDown()
    beats = re.fullmatch(r"(\d{1,9}) *heartbeats", text.lower())
    if beats and 2 <= int(beats[1]) <= MOST_HEARTBEATS:
        return HoldDown(heartbeats=int(beats[1]))
    seconds = parse_seconds(text.lower()) if re.fullmatch(r"[0-9.]+[smhdw]", text.lower()) else None
    if isinstance(seconds, float) and 0 < seconds <= LONGEST_S:
        return HoldDown(seconds=seconds)
    raise ValueError(f"expected off, a number of heartbeats from 2 to {MOST_HEARTBEATS}, as in '3 heartbeats', or a "
                     "time of at most 7d, as in '10s'")  # fmt: skip


def parameters_of(name: str, words: list[str]) -> Mapping[str, str]:
    """Return the parameters of a rule by name, with its defaults."""
    allowed = DEFAULTS[name]
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value or key not in allowed:
            takes = " ".join(f"{each}=VALUE" for each in allowed) or "no parameters"
            raise ValueError(f"{word!r} is not a parameter of {name}, which takes {takes}")
        if key in values:
            raise ValueError(f"{key} of {name} is given twice")
        values[key] = value
    return {**allowed, **values}


def number_of(key: str, text: str) -> float:
    """Return a positive number."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) and 0 < float(text) <= 1e9:
        return float(text)
    raise ValueError(f"expected {key} to be a number above 0, not {text!r}")


def percent_of(key: str, text: str) -> float:
    """Return a percentage."""
    if text.endswith("%"):
        return number_of(key, text[:-1])
    raise ValueError(f"expected {key} in percent, as in {key}=20%, not {text!r}")


def seconds_of(key: str, text: str) -> float:
    """Return a time, s."""
    seconds = parse_seconds(text) if re.fullmatch(r"[0-9.]+[smhdw]", text) else None
    if isinstance(seconds, float) and 0.1 <= seconds <= LONGEST_S:
        return seconds
    raise ValueError(f"expected {key} to be a time from 0.1s to 7d, as in {key}=10s, not {text!r}")


def spelled(check: Callable[[str], object]) -> AfterValidator:
    """Return a validator that writes a text with single spaces and in lower case, if `check` accepts it."""

    def validate(text: str) -> str:
        text = " ".join(text.lower().split())
        check(text)
        return text

    return AfterValidator(validate)


FlapRuleText = Annotated[str, spelled(lambda text: parse_flap_rule(text, FlapWindow(60.0, 3, 1), 30.0))]
HoldDownText = Annotated[str, spelled(parse_hold_down)]
