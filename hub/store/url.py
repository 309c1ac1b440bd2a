"""From `HUB_STORE_URL` to an open store. A kind of store is added by one module and one entry in `KINDS`."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from heartbench.hub.errors import HubError
from heartbench.hub.extras import how_to_install
from heartbench.hub.printable import MASK, without_password
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.protocol import Durability, Store


def open_store(url: str, durability: Durability = Durability.COMMITTED, ttl_s: float = 0.0) -> Store:
    """Open the store that a URL names, and begin an epoch in it; blocks until it answers, HubError if it does not.

    `ttl_s` is how long Redis keeps a node after its last write, s; 0: for good, as the others do.
    """
    for scheme, kind in KINDS.items():
        if url.startswith(scheme):
            return kind.open(url, durability, ttl_s)
    raise HubError(f"HUB_STORE_URL: {without_password(url)!r} is not the URL of a store; allowed: {FORMS}")


def _open_memory(url: str, _durability: Durability, _ttl_s: float) -> Store:
    if url != "memory:":
        raise HubError(f"HUB_STORE_URL: {without_password(url)!r} has more than `memory:`; allowed: {FORMS}")
    return MemoryStore(time.time())


def _open_sqlite(url: str, durability: Durability, _ttl_s: float) -> Store:
    from heartbench.hub.store.sqlite import SqliteStore

    path = Path(url.removeprefix("sqlite:///"))
    if not path.name or path.is_dir():
        raise HubError(f"HUB_STORE_URL: {url!r} is not the path of a file; allowed: {KINDS['sqlite:///'].form}")
    if not path.parent.is_dir():
        raise HubError(f"HUB_STORE_URL: {url!r}: the directory {path.parent} does not exist")
    return SqliteStore(path, durability)


def _open_redis(url: str, _durability: Durability, ttl_s: float) -> Store:
    if f"{MASK}@" in url:
        raise HubError(f"HUB_STORE_URL: {without_password(url)!r} is masked: put the password in place of {MASK}")
    try:
        from heartbench.hub.store.redis import RedisStore
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise HubError(f"HUB_STORE_URL: redis:// needs redis-py: {how_to_install('redis')}") from error
    return RedisStore(url, ttl_s)


class StoreKind(NamedTuple):
    """A kind of store: how its URL is written, and what opens it."""

    form: str
    open: Callable[[str, Durability, float], Store]


KINDS = {
    "memory:": StoreKind("memory:", _open_memory),
    "sqlite:///": StoreKind("sqlite:///relative.db (sqlite:////absolute.db)", _open_sqlite),
    "redis://": StoreKind("redis://host:port/db", _open_redis),
    "rediss://": StoreKind("rediss://host:port/db", _open_redis),
}
"""Each kind by the beginning of its URL."""

FORMS = " | ".join(kind.form for kind in KINDS.values())
