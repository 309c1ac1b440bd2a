"""The code of docs/api.md runs as it is printed, and the packages export what it imports without loading plots."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import heartbench.analysis
import heartbench.simulator
from heartbench.analysis import networks

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def test_the_code_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(networks, "SIMULATED_NODE_DAYS", 1.0)  # a test needs no exact interval
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(blocks) == 4
    assert (tmp_path / "frontier.svg").exists()
    assert "stale_after_s" in capsys.readouterr().out
    assert {"trace", "truth", "qos", "found"} <= set(names)


@pytest.mark.parametrize("package", [heartbench.simulator, heartbench.analysis])
def test_every_exported_name_exists_and_is_documented(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing  # type: ignore[attr-defined]


def test_importing_the_simulator_is_light() -> None:
    code = "import sys, heartbench.simulator; sys.exit(bool({'matplotlib', 'numba', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, heartbench.analysis; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
