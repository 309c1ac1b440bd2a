"""Addresses of hubs. Apart from `channel`, so that checking one does not load gRPC."""


def is_address(text: str) -> bool:
    """Return whether `text` is HOST:PORT with a port from 1 to 65535."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65_536
