"""Detectors in the hub's settings: how they are written, and what is rejected."""

import re
from pathlib import Path

import pytest

from heartbench.hub import Bertier, Chen, FixedTimeout, HubError, HubSettings, Phi, PhiExponential, TwoWindow
from heartbench.hub.liveness import detector_text
from heartbench.hub.liveness.detector_text import DETECTORS, parse_detector, written


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("fixed", FixedTimeout(45.0)),
        ("chen margin=20s", Chen(20.0)),
        ("chen margin=0.5 window=8 interval=3s", Chen(0.5, 8, interval_s=3.0)),
        ("two-window margin=2m short=2 long=9 longest=10m", TwoWindow(120.0, 2, 9, longest_s=600.0)),
        ("bertier", Bertier()),
        ("bertier beta=2 phi=8 gamma=0.2 min_margin=1s", Bertier(2.0, 8.0, 0.2, 1.0)),
        ("phi", Phi()),
        ("phi threshold=12 window=100 min_deviation=0.5s pause=3s", Phi(12.0, 100, 0.5, 3.0)),
        ("phi-exponential threshold=4.5", PhiExponential(4.5)),
    ],
)
def test_a_detector_is_its_name_and_the_parameters_that_differ(text: str, parameters: object) -> None:
    found = HubSettings.of(stale_after_s=45.0, detector=text).policy.parameters
    assert found == parameters
    assert parse_detector(written(found), 30.0) == found


def test_the_docstring_shows_each_detector_with_its_defaults() -> None:
    shown = re.findall(r"^    (\S+)((?: \S+=\S+)*)", str(detector_text.__doc__), re.MULTILINE)
    lines = {name: f"{name}{parameters}" for name, parameters in shown if name in DETECTORS}
    assert set(lines) == set(DETECTORS)
    for name, line in lines.items():
        needed = "margin=20s" if name in (Chen.name, TwoWindow.name) else ""
        assert parse_detector(line, 30.0) == parse_detector(f"{name} {needed}", 30.0)


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("DETECTOR", "phy", ["'phy' is not a detector", "fixed, chen, two-window, bertier, phi, phi-exponential"]),
        ("DETECTOR", "", ["'' is not a detector"]),
        ("DETECTOR", "phi treshold=8", ["'treshold=8' is not a parameter of phi, which takes threshold=VALUE window="]),
        ("DETECTOR", "phi threshold", ["'threshold' is not a parameter of phi"]),
        ("DETECTOR", "phi threshold=8 threshold=9", ["threshold of phi is given twice"]),
        ("DETECTOR", "phi threshold=0", ["threshold=0 of phi must be greater than or equal to 0.1"]),
        ("DETECTOR", "phi threshold=nan", ["threshold=nan of phi must be"]),
        ("DETECTOR", "phi window=1e9", ["window=1e9 of phi must be a valid integer"]),
        ("DETECTOR", "phi min_deviation=soon", ["min_deviation=soon of phi must be a valid number"]),
        ("DETECTOR", "phi shortest=9s longest=8s", ["shortest=9s of phi is more than longest=8s"]),
        ("DETECTOR", "two-window margin=1s short=9 long=8", ["short=9 of two-window is more than long=8"]),
        ("DETECTOR", "chen", ["chen needs margin=VALUE"]),
        ("DETECTOR", "fixed stale_after=9s", ["from HUB_STALE_AFTER_S"]),
        ("DETECTOR_BY_LABEL", "site", ["'site': expected KEY=VALUE: DETECTOR"]),
        ("DETECTOR_BY_LABEL", "site=a: phi; =b: phi", ["'=b: phi': expected KEY=VALUE: DETECTOR"]),
        ("DETECTOR_BY_LABEL", "site=a: fixed stale_after=0s", ["stale_after=0.0 of fixed must be"]),
    ],
)
def test_a_mistake_is_one_line_with_file_key_value_and_what_is_allowed(
    tmp_path: Path, key: str, value: str, parts: list[str]
) -> None:
    path = tmp_path / "hub.env"
    path.write_text(f"HUB_{key}={value}\n")
    with pytest.raises(HubError) as caught:
        HubSettings.load(path)
    for part in (str(path), f"HUB_{key}={value!r}", *parts):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_are_written_as_they_are_read(tmp_path: Path) -> None:
    by_label = "site=ship:  phi threshold=12 ;tier=core: fixed stale_after=10s;"
    written = HubSettings.of(detector="phi  threshold=8", detector_by_label=by_label)
    assert written.detector_by_label == "site=ship: phi threshold=12; tier=core: fixed stale_after=10s"
    (tmp_path / "hub.env").write_text(written.to_env())
    assert HubSettings.load(tmp_path / "hub.env") == written


def test_the_first_label_that_fits_decides() -> None:
    text = "site=ship: phi; tier=core: chen margin=1s"
    policy = HubSettings.of(detector="bertier", detector_by_label=text).policy
    assert policy.parameters_of({"site": "ship", "tier": "core"}) == Phi()
    assert policy.parameters_of({"tier": "core"}) == Chen(1.0)
    assert policy.parameters_of({"site": "shore"}) == policy.parameters_of({}) == Bertier()


def test_a_fixed_timeout_is_one_whatever_the_base_has() -> None:
    base = HubSettings.of(detector="phi", detector_by_label="site=ship: phi")
    assert not base.has_one_timeout
    assert HubSettings.for_stale_after(40.0, base) == HubSettings.for_stale_after(40.0)


def test_names_are_read_in_any_case_but_labels_are_not() -> None:
    assert parse_detector("Phi Threshold=9", 30.0) == parse_detector("phi threshold=9", 30.0)
    settings = HubSettings.of(detector="PHI", detector_by_label="site=Ship: Phi threshold=9")
    assert settings.detector == "phi"
    assert settings.policy.by_label[0].value == "Ship"
