"""The hub over HTTP, for those who watch it: `/metrics`, `/healthz`, `/readyz`.

Uvicorn runs in a thread of its own with its own event loop: its connections, slow readers and the writing of metrics
take no turn of the hub's loop. Only the figures are read there, in one short call; if the hub's loop does not answer
within ANSWER_S, `/healthz` says that it hangs. A page for people can be added as one more route.
"""

import asyncio
import socket
from collections.abc import Callable
from threading import Thread
from typing import TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from heartbench.hub.operations.calls import CallCounts
from heartbench.hub.operations.exposition import Exposition
from heartbench.hub.operations.health import Health
from heartbench.hub.stats import HubStats

T = TypeVar("T")

ANSWER_S = 5.0
"""Time within which the hub's event loop must answer, s."""

MOST_CONNECTIONS = 64
QUIET_S = 10
"""Time after which a connection without a request is closed, s."""

STOP_S = 1


class Operations:
    """Answers requests on the HTTP thread, with what it reads on the hub's event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, stats: Callable[[], HubStats], health: Health, calls: CallCounts
    ) -> None:
        self._loop = loop
        self._stats = stats
        self._health = health
        self._exposition = Exposition(calls)

    @property
    def app(self) -> Starlette:
        """The application: one route per page."""
        pages = {"/metrics": self.metrics, "/healthz": self.healthz, "/readyz": self.readyz}
        return Starlette(
            routes=[Route(path, page) for path, page in pages.items()],
            exception_handlers={TimeoutError: hanging},
        )

    async def metrics(self, request: Request) -> Response:
        """Return all metrics, in the format that the scraper asks for."""
        stats = await self._on_hub(self._stats)
        text, content_type = self._exposition.text(stats, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    async def healthz(self, _: Request) -> Response:
        """Return 200 if the hub's event loop answers: a supervisor restarts the hub otherwise."""
        await self._on_hub(lambda: None)
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """Return 200 if the hub is ready, else 503 and why not."""
        reason = await self._on_hub(self._health.why_not_ready)
        return PlainTextResponse(f"{reason or 'ok'}\n", 503 if reason else 200)

    async def _on_hub(self, read: Callable[[], T]) -> T:
        """Return what `read` returns on the hub's event loop; TimeoutError if the loop hangs."""

        async def call() -> T:
            return read()

        return await asyncio.wait_for(
            asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), self._loop)), ANSWER_S
        )


async def hanging(_: Request, __: Exception) -> Response:
    """Return the answer if the hub's event loop does not answer."""
    return PlainTextResponse(f"the hub's event loop did not answer within {ANSWER_S:g} s\n", 503)


class BoundedProtocol(H11Protocol):
    """Closes the connection that has been open longest when there are too many.

    So clients that only connect shut nobody out. Uvicorn's own limit counts requests alone.
    """

    opened = 0
    number = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, which must send a request within QUIET_S."""
        super().connection_made(transport)
        BoundedProtocol.opened += 1
        self.number = BoundedProtocol.opened
        self.timeout_keep_alive_task = self.loop.call_later(QUIET_S, self.timeout_keep_alive_handler)
        if len(self.connections) > MOST_CONNECTIONS:
            oldest = min((one for one in self.connections if isinstance(one, BoundedProtocol)), key=number_of)
            oldest.transport.abort()


def number_of(connection: BoundedProtocol) -> int:
    """Return the place of a connection in the order in which they were opened."""
    return connection.number


class HttpServer:
    """Serves an application at a bound socket, in a thread of its own."""

    def __init__(self, app: Starlette, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app, http=BoundedProtocol, ws="none", loop="asyncio", lifespan="off", log_config=None, log_level="error",
            access_log=False, server_header=False,
            timeout_keep_alive=QUIET_S, timeout_graceful_shutdown=STOP_S,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, args=([listening],), name="hub-http", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    async def stop(self) -> None:
        """End all connections, those with an unread answer after STOP_S."""
        self._server.should_exit = True
        await asyncio.to_thread(self._thread.join, 2 * STOP_S)
