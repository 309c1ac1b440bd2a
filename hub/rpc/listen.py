"""The address on which the hub listens."""

import errno
import socket
from contextlib import suppress
from typing import Any

import grpc.aio

from heartbench.hub.errors import HubError


def listen_on(server: grpc.aio.Server, listen: str) -> str:
    """Bind the server to HOST:PORT; return the address with the port that it got."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    # Tried first, because gRPC logs a line of its own when it cannot bind an address.
    if has_free_address(host, int(port)):
        with suppress(RuntimeError):
            return f"{shown}:{server.add_insecure_port(f'{shown}:{port}')}"
    raise HubError(
        f"HUB_LISTEN={listen!r} cannot be bound: it is in use or not an address of this machine; "
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
