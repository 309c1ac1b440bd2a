"""The hub as a process: what it prints, and its exit status."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from heartbench.hub.store.url import open_store

HUB = [sys.executable, "-m", "heartbench.hub", "--json"]


def environment(store_url: str, **settings: str) -> dict[str, str]:
    return {**os.environ, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": store_url, **settings}


def test_a_damaged_store_is_one_line_and_status_2(tmp_path: Path) -> None:
    open_store(url := f"sqlite:///{tmp_path}/hub.db").close()
    with closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as somebody:
        somebody.execute("INSERT INTO node VALUES ('edge', '{}')")
    ended = subprocess.run(HUB, check=False, env=environment(url), capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"heartbench: HUB_STORE_URL: {tmp_path}/hub.db is damaged: node 'edge': its record: ")
