"""Channels to a hub, with the options that all our clients share.

Each channel has its own TCP connection; by default, gRPC lets channels with equal options share one. A channel uses no
proxy, repeats no call, and sends no pings to estimate the bandwidth.
"""

from collections.abc import Sequence
from functools import cache

import grpc
import grpc.aio

from heartbench.mesh.credentials import Credentials

Options = Sequence[tuple[str, int]]

OPTIONS: Options = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.max_pings_without_data", 0),
)


def open_channel(address: str, credentials: Credentials | None = None, options: Options = ()) -> grpc.Channel:
    """Return a channel to the hub at HOST:PORT for synchronous calls; without credentials it is not encrypted."""
    if credentials is None:
        return grpc.insecure_channel(address, [*OPTIONS, *options])
    return grpc.secure_channel(address, grpc_credentials(credentials), [*OPTIONS, *options])


def open_aio_channel(address: str, credentials: Credentials | None = None, options: Options = ()) -> grpc.aio.Channel:
    """Return a channel for calls on the running event loop; the arguments are those of `open_channel`."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, [*OPTIONS, *options])
    return grpc.aio.secure_channel(address, grpc_credentials(credentials), [*OPTIONS, *options])


@cache
def grpc_credentials(credentials: Credentials) -> grpc.ChannelCredentials:
    """Return credentials as gRPC takes them, made once for all channels; the token goes with each call."""
    key, certificate = credentials.key or None, credentials.certificate or None
    channel = grpc.ssl_channel_credentials(credentials.ca, key, certificate)
    if not credentials.token:
        return channel
    return grpc.composite_channel_credentials(channel, grpc.access_token_call_credentials(credentials.token))
