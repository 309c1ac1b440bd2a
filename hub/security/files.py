"""Files that the hub reads again when they have changed. Looking costs a `stat` for each."""

from pathlib import Path


class WatchedFiles:
    """Some files of which one reader wants to know whether they have changed."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._seen: tuple[object, ...] = ()

    def changed(self) -> bool:
        """Return whether one of them is not as it was at the last call, nor at the first."""
        now = tuple(state_of(path) for path in self._paths)
        changed, self._seen = now != self._seen, now
        return changed


def state_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written or replaced; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
