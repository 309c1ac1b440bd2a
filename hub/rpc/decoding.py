"""Requests that are no messages of the contract: INVALID_ARGUMENT, as other mistakes of a client.

gRPC takes bytes that cannot be decoded for an error of the server: UNKNOWN, with a traceback in its log. For a stream
the error is raised where the service reads it, and refused here if it leaves the service; a single request is decoded
before its service is called, and is refused here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from inspect import isasyncgenfunction
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from heartbench.hub.errors import BadMessageError


class RefuseGarbage(grpc.aio.ServerInterceptor):
    """Refuses requests that cannot be decoded, before a service sees them."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of a call, or None if there is none, which gRPC answers with UNIMPLEMENTED."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        if handler.request_streaming:
            handler = handler._replace(request_deserializer=raising(handler.request_deserializer))
            if isasyncgenfunction(handler.stream_stream):  # reflection; our own refuse it themselves
                handler = handler._replace(stream_stream=refusing(handler.stream_stream))
            return handler
        decoded = returning(handler.request_deserializer)
        if handler.response_streaming:
            return handler._replace(request_deserializer=decoded, unary_stream=stream(handler.unary_stream))
        return handler._replace(request_deserializer=decoded, unary_unary=unary(handler.unary_unary))


def raising(decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Return a decoder that raises BadMessageError for what cannot be decoded."""

    def decoded(data: bytes) -> object:
        try:
            return decode(data)
        except DecodeError as error:
            raise BadMessageError(str(error)) from None

    return decoded


def returning(decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Return a decoder that returns a BadMessageError for what cannot be decoded."""

    def decoded(data: bytes) -> object:
        try:
            return raising(decode)(data)
        except BadMessageError as error:
            return error

    return decoded


def unary(call: Callable[[Any, Any], Awaitable[object]]) -> Callable[[Any, Any], Awaitable[object]]:
    """Return a call with one response that refuses what was not decoded."""

    async def checked(request: object, context: Any) -> object:
        if isinstance(request, BadMessageError):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(request))
        return await call(request, context)

    return checked


def stream(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], AsyncIterator[object]]:
    """Return a call with many responses that refuses what was not decoded."""

    async def checked(request: object, context: Any) -> AsyncIterator[object]:
        if isinstance(request, BadMessageError):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(request))
        async with aclosing(call(request, context)) as responses:
            async for response in responses:
                yield response

    return checked


def refusing(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], AsyncIterator[object]]:
    """Return a call with many requests and responses that is refused when a request cannot be decoded."""

    async def checked(requests: object, context: Any) -> AsyncIterator[object]:
        try:
            async with aclosing(call(requests, context)) as responses:
                async for response in responses:
                    yield response
        except BadMessageError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    return checked
