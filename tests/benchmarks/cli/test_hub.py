"""`heartbench hub` as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HUB = [sys.executable, "-c", "from heartbench.benchmarks.cli.app import main; main()", "hub"]


def environment(**settings: str) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith(("HUB_", "GRPC_"))}
    return {**others, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": "memory:", **settings}


def loaded_libraries(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def resident_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_when_ready_is_light_and_ends_on_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen([*HUB, "--json"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as hub:
        assert hub.stdout is not None
        ready = json.loads(hub.stdout.readline())
        assert (ready["schema"], ready["pid"]) == ("heartbench.hub/1", hub.pid)
        assert ready["address"].startswith("127.0.0.1:")
        assert not [name for name in ("numba", "numpy", "pandas", "matplotlib") if name in loaded_libraries(hub.pid)]
        assert resident_mib(hub.pid) < 90
        hub.send_signal(number)
        output, errors = hub.communicate(timeout=5)
    assert (hub.returncode, output) == (0, b"")
    assert b'event="hub has stopped"' in errors


def test_a_file_gives_settings_and_the_environment_goes_before_it(tmp_path: Path) -> None:
    path = tmp_path / "hub.env"
    path.write_text("HUB_LISTEN=0.0.0.0:1\nHUB_STALE_AFTER_S=12\n")
    with subprocess.Popen(
        [*HUB, "--env", str(path)], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as hub:
        assert hub.stdout is not None
        assert hub.stdout.readline().startswith("127.0.0.1:")
        hub.terminate()
        _, errors = hub.communicate(timeout=5)
    assert 'event="hub is ready"' in errors


def config_of(*arguments: str, **settings: str) -> dict[str, dict[str, str]]:
    command = [*HUB, "--print-config", "--json", *arguments]
    done = subprocess.run(command, env=environment(**settings), capture_output=True, text=True, check=True, timeout=20)
    report = json.loads(done.stdout)
    assert report["schema"] == "heartbench.hub-config/1"
    return {row["name"]: row for row in report["settings"]}


def test_the_configuration_is_shown_with_value_source_and_meaning(tmp_path: Path) -> None:
    path = tmp_path / "hub.env"
    path.write_text("HUB_LISTEN=0.0.0.0:1\nHUB_STALE_AFTER_S=12\n")
    shown = config_of("--env", str(path))
    assert (shown["HUB_STALE_AFTER_S"]["value"], shown["HUB_STALE_AFTER_S"]["source"]) == ("12", str(path))
    assert (shown["HUB_LISTEN"]["value"], shown["HUB_LISTEN"]["source"]) == ("127.0.0.1:0", "environment")
    assert (shown["HUB_DRAIN_S"]["value"], shown["HUB_DRAIN_S"]["source"]) == ("2", "default")
    assert all(row["meaning"] for row in shown.values())


def test_the_configuration_for_people_is_an_env_file(tmp_path: Path) -> None:
    command = [*HUB, "--print-config"]
    done = subprocess.run(command, env=environment(HUB_STALE_AFTER_S="17"), capture_output=True, text=True, check=True)
    assert "[environment]\nHUB_STALE_AFTER_S=17\n" in done.stdout
    path = tmp_path / "hub.env"
    path.write_text(done.stdout)
    assert config_of("--env", str(path))["HUB_STALE_AFTER_S"]["value"] == "17"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"HUB_STALE_AFTER_S": "10 parsecs"}, "HUB_STALE_AFTER_S='10 parsecs': allowed is a valid number"),
        ({"HUB_LISTEN": "0.0.0.0:0"}, "HUB_LISTEN='0.0.0.0:0' is no loopback address"),
        ({"HUB_LISTEN": "127.0.0.1:1", "HUB_OBSERVE_FILE": "/"}, "HUB_OBSERVE_FILE='/' cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(settings: dict[str, str], complaint: str) -> None:
    done = subprocess.run(HUB, env=environment(**settings), capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert complaint in done.stderr


def test_an_address_that_is_taken_is_one_line_of_ours_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            HUB, env=environment(HUB_LISTEN=address), capture_output=True, text=True, check=False, timeout=20
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"heartbench: HUB_LISTEN='{address}' cannot be bound: it is in use")
    assert done.stderr.count("\n") == 1
