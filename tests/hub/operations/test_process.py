"""The count of open files, by the folder's size or by its list."""

import os
import socket

import pytest

from heartbench.hub.operations import process
from heartbench.hub.operations.process import open_files


class NoSize:
    """The folder of a kernel before 6.2."""

    st_size = 0


@pytest.mark.parametrize("kernel_counts", [True, False])
def test_open_files_are_counted(monkeypatch: pytest.MonkeyPatch, kernel_counts: bool) -> None:
    if not kernel_counts:
        monkeypatch.setattr(type(process.FILES), "stat", lambda *_, **__: NoSize())
    before = open_files()
    with socket.socket(), socket.socket():
        assert open_files() == before + 2
    assert before <= len(os.listdir("/proc/self/fd"))
