import sqlite3
import sys
from pathlib import Path

import pytest

from heartbench.hub.errors import HubError
from heartbench.hub.store.url import open_store


def test_memory_needs_nothing_and_its_epoch_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = []
    for unix_s in (1_700_000_000.0, 1_700_000_000.5):
        monkeypatch.setattr("time.time", lambda now=unix_s: now)
        epochs.append(open_store("memory:").epoch)
    assert epochs[0] < epochs[1]


def test_a_relative_path_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///hub.db").close()
    assert (tmp_path / "hub.db").is_file()


@pytest.mark.parametrize(
    "url",
    ["", "memory", "memory:x", "mysql://localhost/x", "sqlite:", "sqlite://hub.db", "hub.db", "redis", "redis:6379"],
)
def test_a_url_of_no_store_is_refused_and_says_what_is_allowed(url: str) -> None:
    with pytest.raises(HubError, match=r"HUB_STORE_URL: .*allowed: memory: \| sqlite:///relative.db .* \| redis://"):
        open_store(url)


@pytest.mark.parametrize(
    "url", ["redis://", "redis://:6379", "redis://localhost:x/0", "redis://localhost:99999/0", "redis://[::1/0",
            "redis://localhost/db", "redis://localhost/0/1", "redis://localhost:0/0"]
)  # fmt: skip
def test_a_malformed_redis_url_is_refused(url: str) -> None:
    with pytest.raises(HubError, match=r"HUB_STORE_URL: .*redis://\[user:password@\]host"):
        open_store(url)


def test_redis_out_of_reach_is_said_without_its_password() -> None:
    with pytest.raises(HubError, match=r"no Redis to use at redis://127.0.0.1:1/0: ") as caught:
        open_store("redis://user:secret@127.0.0.1:1/0")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["redi://user:secret@host/0", "memory:secret@host", "redis:/:secret@host"])
def test_a_url_that_is_wrong_is_shown_without_its_password(url: str) -> None:
    with pytest.raises(HubError) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_a_password_that_was_masked_is_not_taken_for_one() -> None:
    with pytest.raises(
        HubError, match=r"^HUB_STORE_URL: 'redis://\*\*\*@host/0' is masked: put the password in place of"
    ):
        open_store("redis://***@host/0")


def test_without_redis_py_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "heartbench.hub.store.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(HubError, match=r"redis-py: pip install .*\[redis\]"):
        open_store("redis://127.0.0.1:1/0")


@pytest.mark.parametrize("path", ["", "/", "{tmp}", "{tmp}/missing/hub.db", "{tmp}/text", "{tmp}/theirs.db"])
def test_a_path_that_is_no_store_is_refused_in_one_line_and_left_alone(path: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    theirs = sqlite3.connect(tmp_path / "theirs.db")
    theirs.execute("CREATE TABLE recipe (name TEXT)")
    theirs.close()
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(HubError, match=r"^HUB_STORE_URL: [^\n]*$"):
        open_store("sqlite:///" + path.format(tmp=tmp_path))
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
