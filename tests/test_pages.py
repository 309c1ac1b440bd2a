"""The generated pages in docs/ are as their scripts write them, and name only what exists."""

import asyncio
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.envfile import env_name
from heartbench.hub.operations.calls import CallCounts
from heartbench.hub.operations.exposition import Exposition
from heartbench.hub.operations.metrics import METRICS
from heartbench.hub.stats import AccessStats, stats_of
from heartbench.hub.work.executor import BoundedExecutor
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.schema import profile_schema, scenario_schema

ROOT = Path(__file__).resolve().parent.parent
DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"


@pytest.mark.parametrize("script", ["configuration.py", "dashboard.py", "scenarios.py"])
def test_a_generated_page_is_up_to_date(script: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr  # which says what to run


def test_an_outdated_page_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = runpy.run_path(str(ROOT / "scripts" / "configuration.py"))
    page = tmp_path / "configuration.md"
    page.write_text("old")
    main = script["main"]
    monkeypatch.setitem(main.__globals__, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["configuration.py", "--check"])
    with pytest.raises(SystemExit, match=r"configuration\.md is out of date; run: make pages"):
        main()


def test_the_page_of_settings_has_each_setting() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [name for name in HubSettings.model_fields if f"| `{env_name(name)}` |" not in text] == []


def test_the_pages_name_only_settings_that_exist() -> None:
    known = {env_name(name) for name in HubSettings.model_fields}
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        named = set(re.findall(r"\bHUB_[A-Z0-9_]*[A-Z0-9]\b", page.read_text(encoding="utf-8")))
        assert named <= known, page


def test_the_page_of_scenarios_has_each_key_once_and_an_example_that_loads(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    for table in [scenario_schema(), profile_schema(), *scenario_schema()["$defs"].values()]:
        for key in table.get("properties", {}):
            assert f"\n| `{key}` | " in text
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert len(set(headings)) == len(headings)
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mixed-fleet.toml").write_text(example)
    assert load_scenario(str(tmp_path / "mixed-fleet.toml")) == load_scenario("mixed-fleet")


def exposed() -> set[str]:
    """Return the names of all samples that a hub exposes; counters of calls appear with the first call."""

    async def read() -> str:
        hub = open_hub(HubSettings.of(), ManualClock(100.0))
        calls = CallCounts()
        calls.started["unary", "s", "m"] += 1
        calls.handled[("unary", "s", "m"), "OK"] += 1
        stats = stats_of(hub, 160.0, 0, BoundedExecutor(1, 1), AccessStats())
        return Exposition(calls).text(stats, "")[0].decode()

    families = text_string_to_metric_families(asyncio.run(read()))
    return {sample.name for family in families for sample in family.samples}


def test_the_dashboard_asks_for_metrics_that_exist_and_for_all_of_the_table() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"\b([a-z_]+)\{", query)}
    assert asked <= exposed()
    assert {metric.full_name for metric in METRICS} <= {name.removesuffix("_bucket") for name in asked}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles)
