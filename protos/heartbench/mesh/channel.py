"""Channels to a hub."""


def is_address(text: str) -> bool:
    """Whether it is HOST:PORT, the address of a hub."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65_536
