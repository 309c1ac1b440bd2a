"""Why a call of HubAdmin failed, in plain words."""

from typing import Any

import grpc

LONGEST = 200


def reason_of(error: Any, option: str) -> str:
    """Return why a call failed, from its grpc.RpcError; `option` names the address of operators on our command line."""
    details = str(error.details()).rpartition("last error: ")[2][:LONGEST]  # without the addresses that it tried
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return f"the hub refuses our credentials: {details}"
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"the hub serves operators elsewhere (HUB_ADMIN_LISTEN); name that address with {option}"
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED as code:
            return f"no hub answers there ({code.name.lower()}: {details})"
        case _:
            return details
