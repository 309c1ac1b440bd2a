"""What a user reads when a call to a hub failed; the details are those of grpcio 1.85."""

from types import SimpleNamespace

import grpc
import pytest

from heartbench.mesh.failures import reason_of

TRIED = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: "
EXPIRED = (
    "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED: certificate has expired"
)


@pytest.mark.parametrize(
    ("code", "details", "tls", "words"),
    [
        ("UNAVAILABLE", TRIED + "Failed to connect to remote host: Connection refused", False, "no hub answers there"),
        ("UNAVAILABLE", "errors resolving nowhere:1: Domain name not found", True, "no hub answers there"),
        ("UNAVAILABLE", TRIED + "Socket closed", False, "--tls-ca"),
        ("UNAVAILABLE", TRIED + "Socket closed", True, "--cert, --key"),
        ("UNAVAILABLE", TRIED + EXPIRED, True, "its certificate has expired"),
        ("UNAVAILABLE", TRIED + "Peer name h is not in peer certificate", True, "for another name"),
        ("UNAVAILABLE", "Socket closed", True, "the hub ends the call: Socket closed"),
        ("UNAUTHENTICATED", "the token has expired", True, "the token has expired; give a valid one with --token"),
        ("PERMISSION_DENIED", "not an operator's", True, "not an operator's; use an operator's"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", True, "no hub answers there in time"),
        ("NOT_FOUND", "the hub never saw a node 'n'", True, "the hub never saw a node 'n'"),
        ("INTERNAL", "", True, "INTERNAL"),
    ],
)
def test_a_failure_says_what_to_try(code: str, details: str, tls: bool, words: str) -> None:
    error = SimpleNamespace(code=lambda: grpc.StatusCode[code], details=lambda: details)
    assert words in reason_of(error, tls=tls)
