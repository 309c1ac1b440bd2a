"""The hub's side of TLS: its certificate, its key and the CA of its clients, read again when the files change.

gRPC asks before each handshake, in threads of its own, so a replaced certificate holds for the connections that come
after it and no open one is dropped. Files that cannot be used, or of which only one is replaced so far, change nothing.
"""

from pathlib import Path
from threading import Lock

import grpc
import structlog

from heartbench.hub.errors import HubError
from heartbench.hub.security.files import WatchedFiles
from heartbench.mesh.credentials import CredentialsError, load_ca, load_pair

log = structlog.get_logger()


class HubTls:
    """TLS with a certificate and, if there is a `client_ca`, only for clients with a certificate of it."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Read the files; HubError if they cannot be used."""
        self.handshakes = 0
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._files = WatchedFiles(certificate, key, *([client_ca] if client_ca else []))
        self._lock = Lock()
        self._files.changed()
        try:
            self._newest = self._read()
        except CredentialsError as error:
            raise HubError(f"HUB_TLS_*: {error}") from None

    def credentials(self) -> grpc.ServerCredentials:
        """Return the credentials for a port; each port learns by itself that there are newer files."""
        used = self._newest

        def begin_handshake() -> grpc.ServerCertificateConfiguration | None:
            nonlocal used
            with self._lock:
                self.handshakes += 1
                self._read_again()
                if used is self._newest:
                    return None  # any other answer makes gRPC build everything anew
                used = self._newest
                return used

        # The stubs do not know that None stands for no change.
        return grpc.dynamic_ssl_server_credentials(used, begin_handshake, self._client_ca is not None)  # type: ignore[arg-type]

    def _read_again(self) -> None:
        if not self._files.changed():
            return
        try:
            self._newest = self._read()
        except CredentialsError as error:
            log.warning("certificates were not read again", error=str(error))
        else:
            log.info("certificates were read again", certificate=str(self._certificate))

    def _read(self) -> grpc.ServerCertificateConfiguration:
        certificate, key = load_pair(self._certificate, self._key)
        client_ca = load_ca(self._client_ca) if self._client_ca else None
        return grpc.ssl_server_certificate_configuration([(key, certificate)], client_ca)
