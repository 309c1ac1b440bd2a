"""The tokens that a hub accepts: a file with one line for each, which holds a token's SHA-256 and not the token.

    # role    name      SHA-256 of the token                                               expires
    node      edge-7    1f8e2cbb...                                                        2027-03-01T00:00:00+00:00
    operator  alice     9b74c989...

The name is percent-encoded if it holds a space or `#`; `expires` may be missing. A plain SHA-256 is enough because a
token is 256 random bits: nobody finds it by trying, so nothing is gained by a slow hash, which protects passwords that
people choose and would cost the hub CPU for each stream. The look-up is by the hash, so its time tells nothing of a
token.

The file is read again when it changes. If it then cannot be used, the tokens from before stay valid; if it is empty,
all have been revoked.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import inf
from pathlib import Path
from urllib.parse import quote, unquote

import structlog

from heartbench.hub.errors import HubError, UnauthenticatedError
from heartbench.hub.security.files import WatchedFiles
from heartbench.hub.security.identity import Grant, Identity, Role

SCHEME = "Bearer "
FORM = "expected ROLE NAME SHA256 [EXPIRES] with ROLE node or operator and a date such as 2027-03-01T00:00:00+00:00"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a token grants, and until when (s since the epoch)."""

    grant: Grant
    expires_unix_s: float = inf


class Tokens:
    """The tokens in a file."""

    def __init__(self, path: Path) -> None:
        """Read the file; HubError if it cannot be used or has no token, so that nobody could call the hub."""
        self._path = path
        self._file = WatchedFiles(path)
        self._file.changed()
        self._entries = read_tokens(path)
        if not self._entries:
            raise HubError(f"HUB_TOKENS: {path}: no token in it; `heartbench certs token` adds some")

    def identity(self, authorization: str, unix_s: float) -> Identity:
        """Return the identity that the metadata `authorization` proves; UnauthenticatedError if it proves none."""
        self._read_again()
        if not authorization.startswith(SCHEME):
            raise UnauthenticatedError("this hub needs a token: metadata `authorization: Bearer TOKEN`")
        entry = self._entries.get(hashed(authorization.removeprefix(SCHEME)))
        if entry is None:
            raise UnauthenticatedError("the token is not known")
        if entry.expires_unix_s <= unix_s:
            raise UnauthenticatedError(f"the token of {entry.grant} has expired")
        return Identity((entry.grant,))

    def _read_again(self) -> None:
        if not self._file.changed():
            return
        try:
            self._entries = read_tokens(self._path)
        except HubError as error:
            log.warning("tokens were not read again", error=str(error))
        else:
            log.info("tokens were read again", file=str(self._path), tokens=len(self._entries))


def read_tokens(path: Path) -> dict[str, Entry]:
    """Return the tokens in a file by their hash; HubError names the line that cannot be used."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise HubError(f"HUB_TOKENS: {path}: cannot be read as a file of tokens: {reason}") from None
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        fields = line.partition("#")[0].split()
        if fields:
            try:
                digest, entry = entry_of(*fields)
            except (TypeError, ValueError):
                raise HubError(f"HUB_TOKENS: {path}: line {number}: {FORM}") from None
            entries[digest] = entry
    return entries


def entry_of(role: str, name: str, digest: str, expires: str = "") -> tuple[str, Entry]:
    """Return the hash of a line and what it grants; ValueError for a field that is wrong."""
    if len(bytes.fromhex(digest)) != sha256().digest_size:
        raise ValueError
    grant = Grant(Role(role), unquote(name, errors="strict"))
    if not expires:
        return digest.lower(), Entry(grant)
    until = datetime.fromisoformat(expires)
    return digest.lower(), Entry(grant, (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp())


def new_token(grant: Grant, expires: datetime | None) -> tuple[str, str]:
    """Return a new token, and the line that makes a hub accept it."""
    token = secrets.token_urlsafe(32)
    fields = [grant.role, quote(grant.name, safe="*"), hashed(token)]
    return token, " ".join([*fields, *([expires.isoformat(timespec="seconds")] if expires else [])])


def hashed(token: str) -> str:
    """Return the SHA-256 of a token, in hex."""
    return sha256(token.encode("utf-8", "replace")).hexdigest()


def authorization_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Return the value of `authorization` in a call's metadata, or an empty string."""
    return str(next((value for key, value in metadata or () if key == "authorization"), ""))
