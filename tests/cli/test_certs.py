"""`heartbench certs`."""

import json
import ssl
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from heartbench.cli.app import invoke
from heartbench.hub.config import HubSettings
from heartbench.hub.security.identity import Grant, Role
from heartbench.hub.security.tokens import read_tokens


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HUB_LISTEN", "HUB_STORE_URL"):
        monkeypatch.delenv(name, raising=False)


def result_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert invoke(["certs", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def complaint_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert invoke(["certs", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err.removeprefix("heartbench: ").strip()


def test_init_names_the_files_that_it_writes(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(
        capsys, "init", "pki", "--hub", "hub.example.com", "10.0.0.5", "--node", "a/b", "c", "--node", "d*"
    )
    assert result == {
        "schema": "heartbench.certs/1",
        "ca": {"cert": "pki/ca.pem", "key": "pki/ca.key"},
        "hub": {"cert": "pki/hub.pem", "key": "pki/hub.key"},
        "nodes": {
            "a/b": {"cert": "pki/node-a%2Fb.pem", "key": "pki/node-a%2Fb.key"},
            "c": {"cert": "pki/node-c.pem", "key": "pki/node-c.key"},
            "d*": {"cert": "pki/node-d%2A.pem", "key": "pki/node-d%2A.key"},
        },
        "operators": {"operator": {"cert": "pki/operator-operator.pem", "key": "pki/operator-operator.key"}},
        "hub_env": "pki/hub.env",
    }
    files = sorted(Path("pki").iterdir())
    assert len(files) == 2 * 6 + 1
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(Path("pki").stat().st_mode) == 0o700


def test_the_hubs_certificate_has_the_names_at_which_nodes_and_operators_reach_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result_of(capsys, "init", "pki", "--hub", "hub.example.com", "--hub", "10.0.0.5", "2001:db8::1")
    context = ssl.create_default_context(cafile="pki/ca.pem")
    assert [ca["subject"] for ca in context.get_ca_certs()] != []
    decode: Any = ssl._ssl._test_decode_cert  # type: ignore[attr-defined]
    names = {value for _, value in decode("pki/hub.pem")["subjectAltName"]}
    assert names == {"hub.example.com", "10.0.0.5", "2001:DB8:0:0:0:0:0:1", "localhost", "127.0.0.1", "0:0:0:0:0:0:0:1"}


def test_hub_env_is_what_a_hub_starts_with(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = "my 'own' pki # \\'"
    result_of(capsys, "init", folder)
    settings = HubSettings.load(Path(folder, "hub.env"))
    assert settings.tls_cert == tmp_path / folder / "hub.pem"
    assert settings.changed(listen="0.0.0.0:1").open_addresses == {}


def test_nothing_is_overwritten_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    result_of(capsys, "init", "pki", "--node", "a")
    before = {file: file.read_bytes() for file in Path("pki").iterdir()}
    assert complaint_of(capsys, "init", "pki") == "pki/ca.pem: exists; nothing was written"
    assert complaint_of(capsys, "issue", "pki", "--node", "b", "a") == "pki/node-a.pem: exists; nothing was written"
    assert {file: file.read_bytes() for file in Path("pki").iterdir()} == before
    result_of(capsys, "issue", "pki", "--hub", "localhost", "--node", "b", "--replace")
    changed = {file.name for file in Path("pki").iterdir() if before.get(file) != file.read_bytes()}
    assert changed == {"hub.pem", "hub.key", "node-b.pem", "node-b.key"}


def test_tokens_are_added_to_the_file_that_the_hub_reads(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, "token", "pki", "--node", "a b", "--operator", "alice")
    assert result["nodes"] == {"a b": {"token": "pki/node-a%20b.token"}}
    result_of(capsys, "token", "pki", "--node", "c*")
    grants = [entry.grant for entry in read_tokens(Path(result["tokens"])).values()]
    assert grants == [Grant(Role.NODE, "a b"), Grant(Role.OPERATOR, "alice"), Grant(Role.NODE, "c*")]
    assert complaint_of(capsys, "token", "pki", "--node", "c*") == "pki/node-c%2A.token: exists; nothing was written"
    assert {stat.S_IMODE(file.stat().st_mode) for file in Path("pki").iterdir()} == {0o600}


def test_a_token_is_added_to_a_file_that_was_edited_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    result_of(capsys, "token", "pki", "--node", "a")
    tokens = Path("pki/tokens")
    tokens.write_text(tokens.read_text().rstrip("\n"))
    tokens.chmod(0o640)  # for the group of the hub
    result_of(capsys, "token", "pki", "--node", "b")
    assert [entry.grant.name for entry in read_tokens(tokens).values()] == ["a", "b"]
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o640


def test_a_key_is_not_written_through_what_stands_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    Path("pki").mkdir()
    Path("elsewhere").touch(mode=0o644)
    Path("pki/ca.key.unfinished").symlink_to("../elsewhere")
    result_of(capsys, "init", "pki")
    assert Path("elsewhere").read_bytes() == b""
    assert stat.S_IMODE(Path("pki/ca.key").stat().st_mode) == 0o600


def test_a_long_name_that_is_not_ascii_is_cut_only_where_people_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    name = "ü" * 38
    result_of(capsys, "init", "pki", "--node", name)
    decode: Any = ssl._ssl._test_decode_cert  # type: ignore[attr-defined]
    found = decode(f"pki/node-{quote(name)}.pem")
    assert found["subject"] == ((("commonName", "ü" * 32),),)
    assert found["subjectAltName"] == (("URI", Grant(Role.NODE, name).uri),)


def test_a_table_shows_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["certs", "init", "pki", "--node", "a"]) == 0
    assert "pki/node-a.pem pki/node-a.key" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["init", "pki", "--hub", "hub:50551"], "--hub: 'hub:50551': expected a DNS name or an IP address"),
        (["init", "pki", "--node", ""], "--node, --operator: a name must not be empty"),
        (["init", "pki", "--node", "\udcff"], "--node: '\\udcff': expected a name in UTF-8"),
        (["init", "pki", "--node", "a" * 250], "node-aaa"),
        (["issue", "pki", "--node", "a"], "pki/ca.pem: No such file or directory"),
        (["issue", "pki"], "pki/ca.pem: No such file or directory"),
        (["token", "pki"], "certs token: name whom it is for: --node or --operator"),
        (["init", "file/pki"], "file/pki: Not a directory"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    Path("file").touch()
    assert complaint_of(capsys, *arguments).startswith(complaint)


def test_a_ca_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    result_of(capsys, "init", "pki")
    Path("pki/ca.key").write_bytes(Path("pki/hub.key").read_bytes())
    assert "not the key of its certificate" in complaint_of(capsys, "issue", "pki", "--node", "a")
    Path("pki/ca.key").write_text("nothing")
    assert "is not PEM" in complaint_of(capsys, "issue", "pki", "--node", "a")


def test_without_the_package_the_command_says_how_to_install_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartbench.cli.certs.find_spec", lambda name: None)
    assert complaint_of(capsys, "init", "pki").startswith(
        "certs: the package cryptography is not installed: pip install"
    )
