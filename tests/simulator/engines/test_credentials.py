"""The nodes of the simulator at a hub that asks for credentials."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.hub.security.pki import Pki

from heartbench.cli.app import invoke
from heartbench.hub.envfile import env_name
from heartbench.mesh.channel import open_channel
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

HUB = [sys.executable, "-P", "-m", "heartbench.hub", "--json"]
MAIN = [sys.executable, "-P", "-c", "from heartbench.cli.app import main; main()"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def hub(pki: Pki, **settings: str) -> Iterator[Any]:
    """A hub that asks for certificates and tokens; yields what it prints when it is ready."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("HUB_")}
    ours = {env_name(name): str(path) for name, path in pki.settings(tokens=True).items()}
    env = {**others, **ours, "HUB_LISTEN": "localhost:0", "HUB_STORE_URL": "memory:", **settings}
    with subprocess.Popen(HUB, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def test_live_nodes_and_the_engine_show_the_same_credentials(pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "lan", "--engine", "live", "--workers", "1", "--nodes", "3", "--duration", "3s", "--json"]
    with hub(pki, HUB_ADMIN_LISTEN="localhost:0") as ready:
        at = ["--hub", ready["address"], "--hub-admin", ready["admin_address"]]
        assert invoke([*arguments, *at, *pki.options("operator-operator")]) == 0
        assert json.loads(capsys.readouterr().out)["heartbeats"] > 0
        assert invoke([*arguments, *at, *pki.options("node-a")]) == 2
        assert "the hub refuses our credentials: the credential of node a" in capsys.readouterr().err
        assert invoke([*arguments, *at[:2], *pki.options("operator-operator")]) == 2
        assert "name that address with --hub-admin" in capsys.readouterr().err


@pytest.mark.slow
def test_locusts_nodes_show_the_credentials_that_they_are_given(pki: Pki) -> None:
    with hub(pki) as ready:
        command = [*MAIN, "load", "--headless", "--json", "-u", "3", "-r", "3", "-t", "3s", "--host", ready["address"]]
        credentials = pki.options("operator-operator")
        done = subprocess.run([*command, *credentials], capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, json.loads(done.stdout)["failures"]) == (0, []), done.stderr
        with open_channel(ready["address"], pki.both("operator-operator")) as channel:
            listed = HubAdminStub(channel).ListNodes(pb.ListNodesRequest(), timeout=10)
        assert len(listed.nodes) == 3
        done = subprocess.run([*command, "--token", "x"], capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "--token: x: needs --tls-ca FILE" in done.stderr
