"""From `HUB_STORE_URL` to an open store. A kind of store is added by one file and one entry in `OPENERS`."""

import time
from collections.abc import Callable
from pathlib import Path

from heartbench.hub.errors import HubError
from heartbench.hub.extras import how_to_install
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.protocol import Durability, Store

ALLOWED = "memory: | sqlite:///path.db | redis://host:port/db"


def open_store(url: str, durability: Durability = Durability.COMMITTED, ttl_s: float = 0.0) -> Store:
    """Open the store that a URL names, and begin an epoch in it; blocks until it answers.

    `ttl_s` is how long Redis keeps a node that is not written to, s; 0: for good. The others keep it until it is
    forgotten.

    Raises:
        HubError: The URL names no store, or one that cannot be opened.
    """
    for scheme, opener in OPENERS.items():
        if url.startswith(scheme):
            return opener(url, durability, ttl_s)
    raise HubError(f"HUB_STORE_URL: {url!r} names no store; allowed: {ALLOWED}")


def _open_memory(url: str, _durability: Durability, _ttl_s: float) -> Store:
    if url != "memory:":
        raise HubError(f"HUB_STORE_URL: {url!r} has more than `memory:`; allowed: {ALLOWED}")
    return MemoryStore(time.time())


def _open_sqlite(url: str, durability: Durability, _ttl_s: float) -> Store:
    from heartbench.hub.store.sqlite import SqliteStore

    path = Path(url.removeprefix("sqlite:///"))
    if not path.name or path.is_dir():
        raise HubError(f"HUB_STORE_URL: {url!r} names no file; allowed: sqlite:///relative.db, sqlite:////absolute.db")
    if not path.parent.is_dir():
        raise HubError(f"HUB_STORE_URL: {url!r}: there is no directory {path.parent}")
    return SqliteStore(path, durability)


def _open_redis(url: str, _durability: Durability, ttl_s: float) -> Store:
    try:
        from heartbench.hub.store.redis import RedisStore
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise HubError(f"HUB_STORE_URL: redis:// needs redis-py: {how_to_install('redis')}") from error
    return RedisStore(url, ttl_s)


OPENERS: dict[str, Callable[[str, Durability, float], Store]] = {
    "memory:": _open_memory,
    "sqlite:///": _open_sqlite,
    "redis://": _open_redis,
    "rediss://": _open_redis,
}
