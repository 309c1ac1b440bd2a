"""Who calls, by all credentials that the hub asks for; it also counts those that are turned away.

A hub that has a CA for its clients asks for a certificate, one that has tokens for a token, one that has both for both,
and then both must allow the call. A hub that has neither believes every name.

The gate is asked once for each call, and for a stream when it begins: what becomes invalid later ends no stream.
"""

from collections.abc import Iterable
from typing import Self

import structlog

from heartbench.hub.clock import Clock
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError, NotAllowedError, UnauthenticatedError
from heartbench.hub.security.identity import AuthContext, Identity, certified
from heartbench.hub.security.tls import HubTls
from heartbench.hub.security.tokens import Tokens, authorization_of

LOG_EVERY_S = 10.0

log = structlog.get_logger()


class Gate:
    """Identifies callers; without `tokens` and `certificates`, as nobody in particular, who may do everything."""

    def __init__(self, clock: Clock, tokens: Tokens | None = None, certificates: bool = False) -> None:
        self.unauthenticated = 0
        self.not_allowed = 0
        self._clock = clock
        self._tokens = tokens
        self._certificates = certificates
        self._logged_s = -LOG_EVERY_S
        self._unlogged = 0

    @classmethod
    def of(cls, settings: HubSettings, clock: Clock) -> Self:
        """Return the gate that the settings demand; HubError if the tokens cannot be read."""
        tokens = Tokens(settings.tokens) if settings.tokens else None
        return cls(clock, tokens, settings.tls_client_ca is not None)

    def identities(
        self, connection: AuthContext, metadata: Iterable[tuple[str, str | bytes]] | None
    ) -> tuple[Identity, ...]:
        """Return what the caller's credentials prove, each by itself; UnauthenticatedError if one is missing."""
        found: list[Identity] = []
        if self._certificates:
            identity = certified(connection)
            if identity is None:
                raise UnauthenticatedError("the certificate names neither a node nor an operator")
            found.append(identity)
        if self._tokens is not None:
            unix_s = self._clock.unix(self._clock.monotonic())
            found.append(self._tokens.identity(authorization_of(metadata), unix_s))
        return tuple(found)

    def note(self, address: str, error: HubError) -> None:
        """Count a call that ended with `error` if it was turned away, and log the first of LOG_EVERY_S."""
        if isinstance(error, UnauthenticatedError):
            self.unauthenticated += 1
        elif isinstance(error, NotAllowedError):
            self.not_allowed += 1
        else:
            return
        self._unlogged += 1
        now = self._clock.monotonic()
        if now - self._logged_s >= LOG_EVERY_S:
            log.warning("call refused", peer=address, error=str(error), refused=self._unlogged)
            self._logged_s, self._unlogged = now, 0


def tls_of(settings: HubSettings) -> HubTls | None:
    """Return the TLS that the settings demand, if any; HubError if a file of it cannot be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return HubTls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
