"""Histories in Redis or a compatible server: a list and a hash per node, one script for every write.

Plain push-and-trim appends twice when the hub dies between the write and the acknowledgement, and lets a hub that was
stopped continue beside the one that replaced it. So `write.lua` runs in the server: it compares the stored position and
the epoch, appends, trims, and renews the time to live in one step. Nothing here retries: `writer.py` does.

Keys: `heartbench:epoch`, `heartbench:nodes` (set of ids), `heartbench:node:ID` (hash), `heartbench:chunks:ID` (list of
`boot_id seq sent_unix_s`, a line end, and the data). `committed` means that Redis replied: whether that survives the
end of Redis depends on its `appendfsync`. Redis Cluster is not supported: the script's keys are on different slots.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import islice
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from heartbench.hub.errors import HubError
from heartbench.hub.printable import shown
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.loading import chunk_in, damaged, named, record_in
from heartbench.hub.store.protocol import FencedError, NodeWrite, StoredNode, StoreLostError, StoreUnavailableError

SCRIPT = files("heartbench.hub.store").joinpath("write.lua").read_text("utf-8")
EPOCH = "heartbench:epoch"
NODES = "heartbench:nodes"
NODE = "heartbench:node:"
CHUNKS = "heartbench:chunks:"
NODES_PER_READ = 200

NO_NODE = NodeWrite("")
"""A write that changes no node: names are not empty."""


class RedisStore:
    """A Redis database that one hub at a time writes; a second one that opens it takes over."""

    def __init__(self, url: str, ttl_s: float = 0.0, timeout_s: float = 1.5) -> None:
        """Connect, check all that is stored, and then begin an epoch.

        In this order a hub that uses the store is not disturbed by one that cannot start. HubError if no server answers
        at the URL within `timeout_s`, StoreDamagedError if the store is damaged.
        """
        self._address = _checked(url)
        self._ttl_ms = round(ttl_s * 1000)
        try:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
            )
            self._sha = str(self._redis.script_load(SCRIPT))
            self._verify()
            # A new store begins at the current time: its hubs are newer than those of a store that was deleted.
            self._redis.set(EPOCH, round(time.time() * 1000), nx=True)
            self.epoch = int(self._redis.incr(EPOCH))
        except (RedisError, TypeError, ValueError) as error:
            raise self._unusable(error) from error

    def _verify(self) -> None:
        epoch = self._redis.get(EPOCH)
        if epoch is not None and not _text(epoch).isdecimal():
            raise damaged(self._address, f"{EPOCH}={shown(epoch)} is not a number")
        for _ in self._nodes():
            pass

    def load(self) -> Iterator[StoredNode]:
        """Yield every node that is not past its time to live, in no order; StoreDamagedError if one is not ours."""
        for node_id, node in self._nodes():
            if node is not None:
                yield node
            else:
                self._redis.srem(NODES, node_id)

    def _nodes(self) -> Iterator[tuple[str, StoredNode | None]]:
        """Yield the name of each known node, and the node unless it is past its time to live."""
        try:
            ids = iter(sorted(_text(node_id) for node_id in self._redis.smembers(NODES)))
            while part := list(islice(ids, NODES_PER_READ)):
                with self._redis.pipeline(transaction=False) as pipe:
                    for node_id in part:
                        pipe.hgetall(NODE + node_id)
                        pipe.lrange(CHUNKS + node_id, 0, -1)
                    replies = pipe.execute()
                for node_id, node, chunks in zip(part, replies[::2], replies[1::2], strict=True):
                    yield node_id, _stored_node(node_id, node, chunks) if node else None
        except UnicodeDecodeError:
            raise damaged(self._address, f"{NODES}: a name is not UTF-8") from None
        except (ResponseError, ValueError) as error:
            raise damaged(self._address, str(error)) from error
        except RedisError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> HubError:
        return HubError(f"HUB_STORE_URL: no Redis to use at {self._address}: {error}")

    def write(self, batch: Sequence[NodeWrite]) -> None:
        """Send the batch in one go; it is durable when every reply is there."""
        try:
            replies = self._run(batch)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                self._redis.script_load(SCRIPT)
                replies = self._run(batch)
        except RedisError as error:
            raise StoreUnavailableError(f"{self._address}: {error}") from error
        for reply in replies:
            if isinstance(reply, Exception):
                raise self._meaning(reply)

    def check(self) -> None:
        """Compare the epochs; one that was lost is set again, because all nodes will be written."""
        try:
            self.write([NO_NODE])
        except StoreLostError:
            self.write([replace(NO_NODE, anew=True)])
            raise

    def _run(self, batch: Sequence[NodeWrite]) -> list[object]:
        with self._redis.pipeline(transaction=False) as pipe:
            for write in batch:
                keys = [EPOCH, NODES, NODE + write.node_id, CHUNKS + write.node_id]
                pipe.evalsha(self._sha, len(keys), *keys, *self._arguments(write))
            return list(pipe.execute(raise_on_error=False))

    def _arguments(self, write: NodeWrite) -> list[str | int | bytes]:
        arguments: list[str | int | bytes] = [self.epoch, write.node_id, self._ttl_ms, int(write.anew)]
        arguments += [*write.after, *write.newest, *write.oldest]
        arguments.append(write.record.to_json() if write.record else "")
        for chunk in write.chunks:
            arguments += [chunk.boot_id, chunk.seq, _item(chunk)]
        return arguments

    def _meaning(self, error: Exception) -> Exception:
        kind, _, detail = str(error).partition(" ")
        if kind == "FENCED":
            return FencedError(
                f"{self._address}: a hub with epoch {detail} has taken the store; this one had {self.epoch}"
            )
        if kind == "LOST":
            return StoreLostError(f"{self._address} has lost what it had confirmed: {detail}")
        return StoreUnavailableError(f"{self._address}: {error}")

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _checked(url: str) -> str:
    """Return the URL without user and password, so that it can be shown."""
    try:
        parts = urlsplit(url)
        well_formed = parts.hostname and parts.port != 0 and re.fullmatch(r"/?|/\d+", parts.path)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise HubError("HUB_STORE_URL: a redis URL is redis://[user:password@]host[:port][/number of the database]")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _item(chunk: StoredChunk) -> bytes:
    return f"{chunk.boot_id} {chunk.seq} {chunk.sent_unix_s!r}\n".encode() + chunk.data


def _chunk(node_id: str, item: bytes) -> StoredChunk:
    head, _, data = item.partition(b"\n")
    try:
        boot_id, seq, sent_unix_s = head.split(b" ")
        values = int(boot_id), int(seq), float(sent_unix_s)
    except ValueError:
        raise ValueError(f"{named(node_id)}: a chunk that begins with {shown(head)} is not one") from None
    return chunk_in(node_id, *values, data)


def _stored_node(node_id: str, node: dict[bytes, bytes], items: Sequence[bytes]) -> StoredNode:
    record = record_in(node[b"record"], node_id) if b"record" in node else None
    boot_id, seq = node.get(b"boot_id", b"0"), node.get(b"seq", b"0")
    if not (boot_id.isdigit() and seq.isdigit()):
        raise ValueError(f"{named(node_id)}: boot_id and seq must be numbers: {shown(boot_id)}, {shown(seq)}")
    return StoredNode(node_id, record, [_chunk(node_id, item) for item in items], (int(boot_id), int(seq)))
