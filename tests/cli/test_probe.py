"""`heartbench probe`, as a user calls it."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from heartbench.cli import app
from heartbench.cli.probe import address
from heartbench.simulator.probing.udp import PORT
from heartbench.simulator.recordings import read_recording

COMMAND = [sys.executable, "-c", "from heartbench.cli.app import main; main()", "probe"]


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("example.org", "example.org", PORT),
        ("example.org:9", "example.org", 9),
        ("192.0.2.1:65535", "192.0.2.1", 65535),
        ("2001:db8::1", "2001:db8::1", PORT),
        ("[2001:db8::1]:9", "2001:db8::1", 9),
        ("[::1]", "::1", PORT),
    ],
)
def test_a_target_is_a_host_with_or_without_a_port(target: str, host: str, port: int) -> None:
    assert address(target) == (host, port)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ([], "name the HOST"),
        (["h", "--interval", "1ms"], "between 10ms and 60s"),
        (["h", "--interval", "soon"], "--interval"),
        (["h:99999"], "must be HOST"),
        ([":7"], "must be HOST"),
        (["--serve", "h:x"], "must be HOST"),
        (["no.such.host.invalid"], "no.such.host.invalid"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(["probe", *arguments]) == 2
    printed = capsys.readouterr()
    assert wrong in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


@pytest.mark.parametrize(("host", "cause"), [("127.0.0.1", "Address already in use"), ("192.0.2.1", "Cannot assign")])
def test_where_it_cannot_listen_is_named(host: str, cause: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as used:
        used.bind(("127.0.0.1", 0))
        port = used.getsockname()[1]
        assert app.invoke(["probe", "--serve", f"{host}:{port}"]) == 2
    refused = capsys.readouterr().err
    assert refused.startswith(f"heartbench: {host} UDP port {port}: {cause}")
    assert refused.endswith("; use an address of this machine and a free port\n")


def test_an_interval_without_a_unit_is_printed_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.csv"
    app.invoke(["probe", "127.0.0.1:9", "--interval", "0.05", "--duration", "0.01", "-o", str(log)])
    assert f"probes 127.0.0.1:9 every 50ms, into {log}" in capsys.readouterr().out


@pytest.mark.parametrize(("sessions", "said"), [(0, "0 probers"), (1, "1 prober"), (2, "2 probers")])
def test_a_responder_counts_its_probers(
    sessions: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("heartbench.cli.probe.until_signal", lambda run: sessions)
    assert app.invoke(["probe", "--serve"]) == 0
    assert capsys.readouterr().out == f"answered {said}\n"


@pytest.mark.slow
def test_a_network_is_measured_until_a_signal_and_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen([*COMMAND, "--serve", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        found = re.search(r"answers probes on (\S+) UDP port (\d+)", server.stdout.readline())
        assert found
        target = f"{found[1]}:{found[2]}"
        for number, name in ((signal.SIGINT, "a.csv"), (signal.SIGTERM, "b.csv"), (signal.SIGKILL, "c.csv")):
            log = tmp_path / name
            arguments = [target, "--interval", "20ms", "-o", str(log)]
            with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as prober:
                assert prober.stdout
                assert "Ctrl-C ends it" in prober.stdout.readline()
                while log.read_text(encoding="ascii").count("\n") < 12:
                    assert prober.poll() is None
                prober.send_signal(number)
                rest = prober.stdout.read()
            assert prober.returncode == (-9 if number == signal.SIGKILL else 0)
            assert number == signal.SIGKILL or "next: heartbench profiles fit" in rest
            got = read_recording([log])
            assert got.probes >= 10
            assert got.lost == 0
            assert got.up_s is not None
        server.send_signal(signal.SIGTERM)
        assert "answered 3 probers" in server.stdout.read()


def test_a_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.csv"
    log.write_text("mine", encoding="ascii")
    assert app.invoke(["probe", "127.0.0.1", "-o", str(log)]) == 2
    assert str(log) in capsys.readouterr().err
    assert log.read_text(encoding="ascii") == "mine"
