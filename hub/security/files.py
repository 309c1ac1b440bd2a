"""Files that the hub reads again when they have changed. Looking costs a `stat` for each."""

from pathlib import Path

FileState = tuple[int, int, int] | None


class WatchedFiles:
    """Some files of which one reader wants to know whether they have changed."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._seen: tuple[FileState, ...] = ()

    def changed(self) -> bool:
        """Return whether one of them is not as it was at the last call, nor at the first."""
        now = tuple(state_of(path) for path in self._paths)
        changed, self._seen = now != self._seen, now
        return changed


def state_of(path: Path) -> FileState:
    """Return what changes when a file is written, replaced or given to another user; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    # Not the time of its content, which a copy may keep, and which stays when the file becomes readable.
    return found.st_ino, found.st_ctime_ns, found.st_size
