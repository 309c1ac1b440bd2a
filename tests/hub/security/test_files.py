"""When the hub reads a file again."""

import os
from pathlib import Path

from heartbench.hub.security.files import WatchedFiles


def test_a_file_is_read_again_when_it_is_written_replaced_removed_or_made_readable(tmp_path: Path) -> None:
    path, newer = tmp_path / "key", tmp_path / "key.new"
    path.write_text("old")
    watched = WatchedFiles(path)
    assert watched.changed()
    assert not watched.changed()
    newer.write_text("new")
    os.utime(newer, ns=(0, path.stat().st_mtime_ns))  # as copies keep it
    newer.replace(path)
    assert watched.changed()
    kept = path.stat().st_mtime_ns
    path.write_text("odd")
    os.utime(path, ns=(0, kept))
    assert watched.changed()
    path.chmod(0o640)
    assert watched.changed()
    path.unlink()
    assert watched.changed()
    assert not watched.changed()
