"""What a client shows to a hub, read from files: the CA that it trusts, its certificate with key, its token.

Apart from `channel`, so that checking files does not load gRPC. A file that cannot be used is rejected here, because
gRPC reports it only as a connection that never comes up.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

TOKEN_BYTES = 4096


class CredentialsError(Exception):
    """A file of a certificate, key or token that cannot be used; the message names it and what is wrong."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The content of the files, in PEM; empty if there is none. Processes can hand it to each other."""

    ca: bytes
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)


def load_credentials(
    tls_ca: Path | None, cert: Path | None, key: Path | None, token: Path | None
) -> Credentials | None:
    """Return the credentials in the files of the options --tls-ca, --cert, --key and --token; None without any.

    CredentialsError if a file cannot be used, or if the options do not fit each other.
    """
    given = {"--cert": cert, "--key": key, "--token": token}
    if tls_ca is None:
        for option, path in given.items():
            if path is not None:
                raise CredentialsError(f"{option}: {path}: needs --tls-ca FILE, the CA of the hub's certificate")
        return None
    if (cert is None) != (key is None):
        raise CredentialsError(f"--cert and --key belong together: give both or neither, not only {cert or key}")
    pair = (b"", b"") if cert is None or key is None else load_pair(cert, key)
    return Credentials(load_ca(tls_ca), *pair, load_token(token) if token else "")


def load_ca(path: Path) -> bytes:
    """Return the CA certificates in a PEM file."""
    content = read(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError):
        raise CredentialsError(f"{path}: not a PEM file with certificates") from None
    return content


def load_pair(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """Return a certificate (chain) and its key; CredentialsError unless they are PEM, not encrypted, and a pair."""
    content = read(certificate), read(key)
    try:
        # Never asks for a password; the empty one opens nothing.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CredentialsError(f"{key}: not the key of the certificate {certificate}") from None
        raise CredentialsError(
            f"{certificate}, {key}: expected a certificate and its key without password, in PEM"
        ) from None
    if content != (read(certificate), read(key)):
        raise CredentialsError(f"{certificate}, {key}: they were replaced while they were read")
    return content


def load_token(path: Path) -> str:
    """Return the token in a file, which has nothing else in it."""
    content = read(path)
    token = content.strip()
    if not token or len(token) > TOKEN_BYTES or not all(0x21 <= byte <= 0x7E for byte in token):
        raise CredentialsError(f"{path}: not a token: expected one line of printable ASCII")
    return token.decode("ascii")


def read(path: Path) -> bytes:
    """Return the content of a file; CredentialsError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(f"{path}: cannot be read: {error.strerror}") from None
