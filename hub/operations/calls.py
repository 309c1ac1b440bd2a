"""Counts of gRPC calls by method and status code, under the names of gRPC's other Prometheus libraries.

A call is counted when it begins and when it ends; a message is not, so a heartbeat costs nothing more. Only methods
that the hub serves are counted: a client cannot make new labels.
"""

import inspect
from asyncio import CancelledError
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import grpc
import grpc.aio

Method = tuple[str, str, str]
"""Type (such as `bidi_stream`), service and method."""

KINDS = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}
BEHAVIOURS = {
    (False, False): "unary_unary",
    (True, False): "stream_unary",
    (False, True): "unary_stream",
    (True, True): "stream_stream",
}


class CallCounts(grpc.aio.ServerInterceptor):
    """An interceptor that counts the calls of a server; the first of its interceptors, so that it sees them all."""

    def __init__(self) -> None:
        self.started: Counter[Method] = Counter()
        self.handled: Counter[tuple[Method, str]] = Counter()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of a call, with its begin and its end counted."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        shape = (handler.request_streaming, handler.response_streaming)
        _, service, name = handler_call_details.method.split("/", 2)
        behaviour = self._counted((KINDS[shape], service, name), getattr(handler, BEHAVIOURS[shape]))
        return handler._replace(**{BEHAVIOURS[shape]: behaviour})

    def _counted(self, method: Method, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        async def generator(request: Any, context: Any) -> AsyncIterator[Any]:
            with self._count(method, context):
                async with aclosing(behaviour(request, context)) as responses:
                    async for response in responses:
                        yield response

        async def coroutine(request: Any, context: Any) -> Any:
            with self._count(method, context):
                return await behaviour(request, context)

        return generator if inspect.isasyncgenfunction(behaviour) else coroutine

    @contextmanager
    def _count(self, method: Method, context: Any) -> Iterator[None]:
        self.started[method] += 1
        code = "UNKNOWN"
        try:
            yield
            code = "OK"
        except grpc.aio.AbortError:
            code = context.code().name
            raise
        except (CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        finally:
            self.handled[method, code] += 1
