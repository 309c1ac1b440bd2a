"""The listener for HTTP, if one is set: it needs the extra `metrics`, which the hub works without."""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from heartbench.hub.envfile import split_address
from heartbench.hub.errors import HubError
from heartbench.hub.extras import how_to_install
from heartbench.hub.operations.calls import CallCounts
from heartbench.hub.operations.health import Health
from heartbench.hub.stats import HubStats

if TYPE_CHECKING:
    from heartbench.hub.operations.http import HttpServer

log = structlog.get_logger()


class HttpListener:
    """A bound address, and the server that begins there with `start`."""

    def __init__(self, server: "HttpServer", bound: socket.socket) -> None:
        host, port = bound.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.close = bound.close  # instead of `start`
        self._server = server

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()
        log.info("http is ready", address=self.address)

    async def stop(self) -> None:
        """End."""
        await self._server.stop()


def open_http(listen: str, stats: Callable[[], HubStats], health: Health, calls: CallCounts) -> HttpListener | None:
    """Bind HOST:PORT for HTTP; None if `listen` is empty. HubError if it cannot be bound or a package is missing."""
    if not listen:
        return None
    try:
        from heartbench.hub.operations.http import HttpServer, Operations
    except ModuleNotFoundError as error:
        raise HubError(f"HUB_HTTP_LISTEN={listen!r} needs {error.name}: {how_to_install('metrics')}") from None
    bound = bind(listen)
    app = Operations(asyncio.get_running_loop(), stats, health, calls).app
    return HttpListener(HttpServer(app, bound), bound)


def bind(listen: str) -> socket.socket:
    """Return a listening socket; HubError if the address cannot be used."""
    host, port = split_address(listen)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError):
        raise HubError(
            f"HUB_HTTP_LISTEN={listen!r} cannot be bound: it is in use or not an address of this machine; "
            "use a local address and a free port (0: any)"
        ) from None
