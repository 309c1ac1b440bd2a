"""The systemd unit: what systemd says of it, and its commands run."""

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "heartbench-hub.service"
PROGRAM = "/opt/heartbench/bin/heartbench"


class Unit(configparser.ConfigParser):
    """A unit file; of a key that is repeated, the last value."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def service() -> configparser.SectionProxy:
    unit = Unit(strict=False, interpolation=None)
    unit.read(UNIT, encoding="utf-8")
    return unit["Service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here: apt-get install systemd")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name  # with a program and a user that exist on this machine
    here.write_text(UNIT.read_text("utf-8").replace(PROGRAM, sys.executable).replace("User=heartbench", "User=root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, [])


def test_its_commands_start_reload_and_stop_a_hub(tmp_path: Path) -> None:
    env = tmp_path / "hub.env"
    env.write_text("HUB_LISTEN=127.0.0.1:0\nHUB_MAX_NODES=7\n")
    program, *arguments = shlex.split(service()["ExecStart"])
    assert program == PROGRAM
    file = arguments[arguments.index("--env") + 1]
    run = [sys.executable, "-c", "from heartbench.cli.app import main; main()"]
    words = [*run, *(str(env) if word == file else word for word in arguments)]
    name, _, store = service()["Environment"].partition("=")
    assert store.startswith(f"sqlite:////var/lib/{service()['StateDirectory']}/")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HUB_")}
    with subprocess.Popen(
        words, env={**environment, name: f"sqlite:///{tmp_path}/hub.db"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as hub:  # fmt: skip
        assert hub.stdout is not None
        assert hub.stderr is not None
        assert hub.stdout.readline().startswith("127.0.0.1:")
        env.write_text("HUB_LISTEN=127.0.0.1:0\nHUB_MAX_NODES=8\n")
        subprocess.run(service()["ExecReload"].replace("$MAINPID", str(hub.pid)).split(), check=True)
        assert "HUB_MAX_NODES=8" in next(line for line in hub.stderr if "settings reloaded" in line)
        hub.send_signal(signal.SIGTERM)  # as systemd stops it
        assert hub.wait(timeout=float(service()["TimeoutStopSec"])) == 0


@pytest.mark.parametrize("key", ["NoNewPrivileges", "ProtectSystem", "MemoryDenyWriteExecute", "SystemCallFilter"])
def test_it_is_hardened(key: str) -> None:
    assert service()[key]
