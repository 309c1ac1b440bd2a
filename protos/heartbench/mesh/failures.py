"""Why a call to a hub failed, in plain words and with what to try; gRPC's details are for developers."""

from typing import Any

import grpc

LONGEST = 200

WORDS_OF_TLS = {
    "WRONG_VERSION_NUMBER": "it does not use TLS there: leave --tls-ca out",
    "certificate has expired": "its certificate has expired: renew it with heartbench certs issue --replace",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not of the CA in --tls-ca",
    "not in peer certificate": "its certificate is for another name: use an address whose name is in it",
    "Hostname Verification": "its certificate is for another name: use an address whose name is in it",
}
"""What a part of gRPC's details means."""

ENDED = ("Socket closed", "Connection reset by peer", "Broken pipe")
NAME_UNKNOWN = "errors resolving"


def reason_of(error: Any, *, tls: bool) -> str:
    """Return why a call of ours failed, an error of gRPC; `tls` tells whether our channel used TLS."""
    details = str(error.details() or "")[:LONGEST]
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            return f"the hub refuses our credentials: {details}; give a valid one with --token, or --cert and --key"
        case grpc.StatusCode.PERMISSION_DENIED:
            return f"the hub refuses our credentials: {details}; use an operator's (heartbench certs issue|token DIR)"
        case grpc.StatusCode.UNAVAILABLE:
            return unavailable(str(error.details()), tls=tls)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return "no hub answers there in time"
        case code:
            return details or str(code.name)


def unavailable(details: str, *, tls: bool) -> str:
    """Return why no connection came up, or what the hub says if one did."""
    _, tried, last = details.partition("last error: ")
    if not tried and not details.startswith(NAME_UNKNOWN):
        return f"the hub ends the call: {details[:LONGEST]}"
    for part, words in WORDS_OF_TLS.items():
        if part in last:
            return words
    if not last.endswith(ENDED):
        return f"no hub answers there ({(last or details)[:LONGEST]})"
    if tls:
        return "it ends our connection: it asks for a valid certificate of its CA (--cert, --key)"
    return "it ends our connection: it may ask for TLS (--tls-ca)"
