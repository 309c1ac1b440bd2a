"""Counts the connections of a server that a test started."""

import psutil


def accepted_connections(port: int) -> int:
    """Return how many connections this process and its children have accepted at a port.

    Their own sockets are counted, not the kernel's table: in that, another process may have the port for its own.
    """
    us = psutil.Process()
    sockets = [socket for each in (us, *us.children(recursive=True)) for socket in each.net_connections("tcp")]
    return sum(1 for each in sockets if each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED)
