"""The addresses that the hub serves: one for nodes and one for operators, or the same for both.

Each address is a gRPC server of its own, since gRPC offers every service of a server on all of its ports.
"""

import asyncio
import errno
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from heartbench.hub.config import HubSettings
from heartbench.hub.envfile import env_name, split_address
from heartbench.hub.errors import HubError
from heartbench.hub.security.tls import HubTls


class Listeners:
    """The servers of a hub. Services are added to `nodes` and `operators` before the start."""

    def __init__(
        self,
        settings: HubSettings,
        options: Sequence[tuple[str, int]],
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        tls: HubTls | None,
    ) -> None:
        self.nodes = grpc.aio.server(options=options, interceptors=interceptors)
        self.operators = self.nodes
        if settings.admin_address:
            self.operators = grpc.aio.server(options=options, interceptors=interceptors)
        self.address = self.admin_address = ""
        self._settings = settings
        self._tls = tls

    def bind(self) -> None:
        """Bind all addresses; HubError if one cannot be bound."""
        self.address = self._listen_on(self.nodes, "listen", self._settings.listen)
        self.admin_address = self.address
        if self.operators is not self.nodes:
            self.admin_address = self._listen_on(self.operators, "admin_listen", self._settings.admin_address)

    async def start(self) -> None:
        """Begin to serve."""
        for server in {self.nodes, self.operators}:
            await server.start()

    async def stop(self, grace_s: float | None) -> None:
        """Accept no more calls, and end those that are left after `grace_s`."""
        await asyncio.gather(*(server.stop(grace_s) for server in {self.nodes, self.operators}))

    def _listen_on(self, server: grpc.aio.Server, setting: str, listen: str) -> str:
        """Bind a server to HOST:PORT; return the address with the port that it got."""
        host, port = split_address(listen)
        shown = f"[{host}]" if ":" in host else host
        address = f"{shown}:{port}"
        # Tried first, because gRPC logs a line of its own when it cannot bind an address.
        if has_free_address(host, port):
            with suppress(RuntimeError):
                if self._tls is None:
                    return f"{shown}:{server.add_insecure_port(address)}"
                return f"{shown}:{server.add_secure_port(address, self._tls.credentials())}"
        raise HubError(
            f"{env_name(setting)}={listen!r} cannot be bound: it is in use or not an address of this machine; "
            "use a local address and a free port (0: any)"
        )


def has_free_address(host: str, port: int) -> bool:
    """Return whether this process can bind any address of `host`, as gRPC binds it."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return any(is_free(family, address) for family, _, _, _, address in found)


def is_free(family: int, address: Any) -> bool:
    """Return whether a socket can be bound to `address`; True also for IPv6 on a machine without it."""
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return error.errno == errno.EAFNOSUPPORT
    return True
