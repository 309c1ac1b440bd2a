"""Settings that change while the hub runs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from structlog.testing import capture_logs

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError, NoRoomError
from heartbench.hub.liveness.node import Hello
from heartbench.hub.operations import reload
from heartbench.hub.operations.reload import Reloader, merged
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_channel
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

NODES = 20
LIVE_NODES = Path(__file__).parent.parent / "live_nodes.py"


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HUB_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / "hub.env"
    path.write_text("HUB_STALE_AFTER_S=30\n")
    return path


def reloaded(env: Path, text: str, running: HubSettings | None = None) -> tuple[list[HubSettings], dict[str, str]]:
    """Return what the hub got, and the line in the log, after a file was written."""
    adopted: list[HubSettings] = []

    async def scene() -> None:
        await Reloader(env, running or HubSettings.load(env), adopted.append).reload(asked=True)

    env.write_text(text)
    with capture_logs() as lines:
        asyncio.run(scene())
    (line,) = lines
    return adopted, dict(line)


def test_what_can_change_changes_and_the_log_says_what_cannot(env: Path) -> None:
    running = HubSettings.load(env)
    text = "HUB_STALE_AFTER_S=20\nHUB_DETECTOR=phi threshold=9\nHUB_LOG_LEVEL=debug\nHUB_STORE_URL=redis://:secret@127.0.0.1/0\n"
    (adopted,), line = reloaded(env, text, running)
    assert (adopted.stale_after_s, adopted.log_level, adopted.store_url) == (20, "debug", running.store_url)
    assert line["changed"] == "HUB_STALE_AFTER_S=20 HUB_DETECTOR=phi threshold=9 HUB_LOG_LEVEL=debug"
    assert line["need_restart"] == "HUB_STORE_URL"
    assert "secret" not in str(line)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("HUB_STALE_AFTER_S=never\n", "HUB_STALE_AFTER_S='never'"),
        ("HUB_STAEL_AFTER_S=1\n", "no such setting"),
        ("HUB_STALE_AFTER_S=20\nHUB_FLAP_EXIT=9\n", "HUB_FLAP_EXIT=9 must be less"),
        ("HUB_STALE_AFTER_S\n", "a value is missing"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(env: Path, text: str, words: str) -> None:
    adopted, line = reloaded(env, text, HubSettings.load(env))
    assert adopted == []
    assert line["log_level"] == "error"
    assert words in line["error"]
    assert "\n" not in line["error"]


def test_values_that_contradict_what_stays_change_nothing() -> None:
    running = HubSettings.of(stale_after_s=30, observe_file="x.jsonl", forget_after=60)
    with pytest.raises(HubError, match="HUB_FORGET_AFTER=20 forgets nodes"):
        merged(running, running.changed(stale_after_s=10, forget_after=20))


def test_an_observer_keeps_its_policy() -> None:
    running = HubSettings.of(observe_file="x.jsonl")
    settings, live, pending = merged(running, running.changed(stale_after_s=10, max_nodes=5))
    assert (settings.stale_after_s, settings.max_nodes) == (30, 5)
    assert (live, pending) == (["max_nodes"], ["stale_after_s"])


def test_a_changed_file_is_used_once_it_has_settled(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "LOOK_S", 0.01)
    adopted: asyncio.Queue[HubSettings] = asyncio.Queue()

    async def scene(write: Callable[[str], object], remove: Callable[[], None]) -> None:
        watching = asyncio.create_task(Reloader(env, HubSettings.load(env), adopted.put_nowait).run())
        write("HUB_MAX_NODES=7\n")
        assert (await adopted.get()).max_nodes == 7
        await asyncio.sleep(0.05)
        assert adopted.empty()  # the same file is not read again
        write("HUB_MAX_NODES=800\n")
        assert (await adopted.get()).max_nodes == 800
        remove()
        await asyncio.sleep(0.05)
        assert not watching.done()
        watching.cancel()
        await asyncio.wait([watching])

    asyncio.run(asyncio.wait_for(scene(env.write_text, env.unlink), 10))


@pytest.fixture
def hub(env: Path) -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": "memory:"}
    command = [sys.executable, "-m", "heartbench.hub", "--env", str(env)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def line_with(words: str, stream: IO[str] | None) -> str:
    """Return the next line of a log that contains these words."""
    assert stream is not None
    return next(line for line in stream if words in line)


@pytest.fixture
def nodes(hub: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """NODES nodes that are connected and send a heartbeat every 50 ms."""
    assert hub.stdout is not None
    command = [sys.executable, str(LIVE_NODES), hub.stdout.readline().strip(), str(NODES), "0.05"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_sighup_under_load_drops_no_stream(
    hub: "subprocess.Popen[str]", nodes: "subprocess.Popen[str]", env: Path
) -> None:
    for threshold in ("20", "25"):
        env.write_text(f"HUB_STALE_AFTER_S={threshold}\nHUB_EVENT_QUEUE=5\n")
        hub.send_signal(signal.SIGHUP)
        line = line_with("settings reloaded", hub.stderr)
        assert f"HUB_STALE_AFTER_S={threshold}" in line
        assert "need_restart=HUB_EVENT_QUEUE" in line
    nodes.terminate()
    assert nodes.communicate(timeout=10)[0] == f"{NODES}\n"  # streams opened: one per node
    hub.terminate()
    assert hub.wait(timeout=10) == 0


def test_the_level_of_the_log_changes(hub: "subprocess.Popen[str]", env: Path) -> None:
    assert hub.stdout is not None
    hub.stdout.readline()
    env.write_text("HUB_LOG_LEVEL=error\n")
    hub.send_signal(signal.SIGHUP)
    assert line_with("settings reloaded", hub.stderr)
    env.write_text("HUB_LOG_LEVEL=never\n")
    hub.send_signal(signal.SIGHUP)
    assert "HUB_LOG_LEVEL='never'" in line_with("settings not reloaded", hub.stderr)
    hub.terminate()
    assert hub.communicate(timeout=10)[1] == ""  # no "hub has stopped"


def test_without_a_file_sighup_stops_the_hub() -> None:
    environment = {**os.environ, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": "memory:"}
    command = [sys.executable, "-m", "heartbench.hub"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as hub:
        assert hub.stdout is not None
        hub.stdout.readline()
        hub.send_signal(signal.SIGHUP)
        assert line_with("hub has stopped", hub.stderr)
        assert hub.wait(timeout=10) == 0


def test_a_file_that_changed_while_the_hub_started_is_used(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "LOOK_S", 0.01)

    async def scene(write: Callable[[str], object]) -> None:
        running = HubSettings.load(env)
        write("HUB_MAX_NODES=7\n")
        adopted: asyncio.Queue[HubSettings] = asyncio.Queue()
        watching = asyncio.create_task(Reloader(env, running, adopted.put_nowait).run())
        assert (await adopted.get()).max_nodes == 7
        watching.cancel()
        await asyncio.wait([watching])

    asyncio.run(asyncio.wait_for(scene(env.write_text), 10))


def test_a_file_with_the_same_settings_is_not_in_the_log(env: Path) -> None:
    async def scene(running: HubSettings) -> None:
        await Reloader(env, running).reload(asked=False)

    with capture_logs() as lines:
        asyncio.run(scene(HubSettings.load(env)))
    assert lines == []


def test_nohup_keeps_a_hub_from_sighup() -> None:
    environment = {**os.environ, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": "memory:"}
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-m", "heartbench.hub"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as hub:
        assert hub.stdout is not None
        address = hub.stdout.readline().strip()
        hub.send_signal(signal.SIGHUP)
        for _ in range(3):
            with open_channel(address) as channel:
                assert HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=10).epoch
        hub.terminate()
        assert line_with("hub has stopped", hub.stderr)
        assert hub.wait(timeout=10) == 0


def test_what_a_running_hub_adopts_is_used() -> None:
    async def scene() -> None:
        running = HubSettings.of(listen="127.0.0.1:0", store_url="memory:", max_nodes=1, admit_per_s=1)
        async with HubServer(running) as server:
            hub, now = server.hub, time.monotonic()
            hub.hello(Hello("a", 1, 0), now)
            with pytest.raises(NoRoomError):
                hub.hello(Hello("b", 1, 0), now)
            wanted = running.changed(
                max_nodes=4, admit_per_s=0, stale_after_s=7, hello_within_s=3, uploads_per_node=1, forget_after=60
            )
            settings, _, pending = merged(running, wanted)
            assert pending == []
            server.adopt(settings)
            session, _ = hub.hello(Hello("b", 1, 0), now)
            assert session is not None
            assert session.node.threshold_s == 7
            assert hub.settings is server.settings is settings

    asyncio.run(scene())


def test_a_shorter_interval_of_summaries_does_not_wait_for_the_end_of_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene() -> None:
        summarised = asyncio.Event()

        def summary(*_: object) -> dict[str, object]:
            summarised.set()
            return {}

        monkeypatch.setattr("heartbench.hub.rpc.server.summary", summary)
        running = HubSettings.of(listen="127.0.0.1:0", store_url="memory:", summary_interval_s=86_400)
        async with HubServer(running) as server:
            await asyncio.sleep(0)  # the wait begins
            server.adopt(running.changed(summary_interval_s=0.1))
            await summarised.wait()

    asyncio.run(asyncio.wait_for(scene(), 10))
