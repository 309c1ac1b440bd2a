"""`heartbench hub` as a process."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from heartbench.cli import app
from heartbench.mesh.channel import open_channel
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

HUB = [sys.executable, "-c", "from heartbench.cli.app import main; main()", "hub"]


def environment(**settings: str) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith(("HUB_", "GRPC_"))}
    return {**others, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": "memory:", **settings}


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


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
        assert (ready["admin_address"], ready["http_address"]) == (ready["address"], "")
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


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Prints the configuration with some arguments in some environment; returns output and errors."""

    def print_config(*arguments: str, **settings: str) -> tuple[str, str]:
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", environment(**settings))
            assert app.invoke(["hub", "--print-config", *arguments]) == 0
        return capsys.readouterr()

    return print_config


def settings_of(output: str) -> dict[str, dict[str, str]]:
    report = json.loads(output)
    assert report["schema"] == "heartbench.hub-config/1"
    return {row["name"]: row for row in report["settings"]}


def test_the_configuration_is_shown_with_value_source_and_meaning(
    tmp_path: Path, printed: Callable[..., tuple[str, str]]
) -> None:
    path = tmp_path / "hub.env"
    path.write_text("HUB_LISTEN=0.0.0.0:1\nHUB_STALE_AFTER_S=12\n")
    shown = settings_of(printed("--json", "--env", str(path))[0])
    assert (shown["HUB_STALE_AFTER_S"]["value"], shown["HUB_STALE_AFTER_S"]["source"]) == ("12", str(path))
    assert (shown["HUB_LISTEN"]["value"], shown["HUB_LISTEN"]["source"]) == ("127.0.0.1:0", "environment")
    assert (shown["HUB_DRAIN_S"]["value"], shown["HUB_DRAIN_S"]["source"]) == ("2", "default")
    assert all(row["meaning"] for row in shown.values())


def test_the_configuration_for_people_is_an_env_file(tmp_path: Path, printed: Callable[..., tuple[str, str]]) -> None:
    output, _ = printed(HUB_STALE_AFTER_S="17")
    assert "[environment]\nHUB_STALE_AFTER_S=17\n" in output
    path = tmp_path / "hub.env"
    path.write_text(output)
    assert settings_of(printed("--json", "--env", str(path))[0])["HUB_STALE_AFTER_S"]["value"] == "17"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"HUB_STALE_AFTER_S": "10 parsecs"}, "HUB_STALE_AFTER_S='10 parsecs': must be a valid number"),
        ({"HUB_LISTEN": "0.0.0.0:0"}, "HUB_LISTEN='0.0.0.0:0' is not a loopback address"),
        ({"HUB_LISTEN": "127.0.0.1:1", "HUB_OBSERVE_FILE": "/"}, "HUB_OBSERVE_FILE='/' cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(settings: dict[str, str], complaint: str) -> None:
    done = subprocess.run(HUB, env=environment(**settings), capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert complaint in done.stderr


def test_what_the_environment_says_in_vain_is_told(printed: Callable[..., tuple[str, str]]) -> None:
    _, errors = printed(HUB_STALE_AFTER="40", HUB_SERVICE_HOST="10.0.0.1")
    assert errors.splitlines() == [
        "heartbench: HUB_SERVICE_HOST in the environment is not a setting, and ignored",
        "heartbench: HUB_STALE_AFTER in the environment is not a setting, and ignored; did you mean HUB_STALE_AFTER_S?",
    ]


def started(stack: ExitStack, command: list[str], **settings: str) -> "tuple[subprocess.Popen[str], str]":
    """A hub that is ready, and its address; it is killed when the stack is left, however that is."""
    hub = stack.enter_context(
        subprocess.Popen(
            command, env=environment(**settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    )
    stack.callback(hub.kill)
    assert hub.stdout is not None
    return hub, hub.stdout.readline().strip()


def test_it_takes_more_connections_than_the_soft_limit_of_open_files() -> None:
    limited = ["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *HUB]
    with ExitStack() as stack:
        hub, address = started(stack, limited)
        channels = [open_channel(address) for _ in range(100)]
        answers = [HubAdminStub(channel).GetStats.future(pb.GetStatsRequest(), timeout=20) for channel in channels]
        assert all(answer.result().epoch for answer in answers)
        for channel in channels:
            channel.close()
        hub.terminate()
        _, errors = hub.communicate(timeout=20)
    assert len(errors.splitlines()) == 2  # that it is ready, and has stopped


def test_that_no_more_files_can_be_open_is_said() -> None:
    limited = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *HUB]
    with ExitStack() as stack:
        hub, address = started(stack, limited)
        assert hub.stderr is not None
        host, port = address.split(":")
        assert 'event="hub is ready"' in hub.stderr.readline()
        for _ in range(100):
            stack.enter_context(socket.create_connection((host, int(port)), 20))
        readable, _, _ = select.select([hub.stderr], [], [], 20)
        assert readable
        assert "event=" not in hub.stderr.readline()  # gRPC's own word for it


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "a..b:1"])
def test_an_address_that_is_not_ours_is_one_line_of_ours_alone(listen: str) -> None:
    settings = environment(HUB_LISTEN=listen, HUB_INSECURE="1")
    done = subprocess.run(HUB, env=settings, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"heartbench: HUB_LISTEN='{listen}' cannot be bound: it is in use or not an address")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("listen", "shown"), [("[::1]", "[::1]"), ("::1", "[::1]"), ("localhost", "localhost")])
def test_it_listens_where_it_is_told_to(listen: str, shown: str) -> None:
    if ":" in listen and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with ExitStack() as stack:
        hub, address = started(stack, HUB, HUB_LISTEN=f"{listen}:0")
        with open_channel(address) as channel:
            assert HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=20).epoch
        hub.terminate()
    assert address.rpartition(":")[0] == shown


def test_an_address_that_is_taken_is_one_line_of_ours_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            HUB, env=environment(HUB_LISTEN=address), capture_output=True, text=True, check=False, timeout=20
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"heartbench: HUB_LISTEN='{address}' cannot be bound: it is in use")
    assert done.stderr.count("\n") == 1
