"""Certificates and tokens as `heartbench certs` makes them, with some that are wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from heartbench.cli.app import invoke
from heartbench.hub.security.authority import Authority, Pair
from heartbench.hub.security.identity import Grant, Role
from heartbench.hub.security.tokens import new_token
from heartbench.mesh.credentials import Credentials, load_credentials, load_token


class Pki:
    """The CA of one hub, and a stranger's.

    Certificates: the nodes `a`, `b` and `n*`, and `operator`. Tokens: the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.stranger = folder / "ours", folder / "stranger"
        for where in self.folder, self.stranger:
            self.certs("init", str(where), "--hub", "localhost", "--node", "a", "b", "n*")
        self.certs("token", str(self.folder), "--node", "a", "b", "n*", "--operator", "operator")

    def certs(self, *arguments: str) -> None:
        """Run `heartbench certs`."""
        assert invoke(["certs", *arguments, "--json"]) == 0

    def file(self, name: str) -> Path:
        """Return a file of ours."""
        return self.folder / name

    def settings(self, *, client_ca: bool = True, tokens: bool = False) -> dict[str, Any]:
        """Return settings of a hub with our certificate that asks for certificates, tokens, or both."""
        return {
            "tls_cert": self.file("hub.pem"),
            "tls_key": self.file("hub.key"),
            "tls_client_ca": self.file("ca.pem") if client_ca else None,
            "tokens": self.file("tokens") if tokens else None,
        }

    def certificate(self, stem: str, folder: Path | None = None) -> Credentials:
        """Return a client with a certificate such as `node-a`; it trusts our hub whoever issued its own."""
        folder = folder or self.folder
        found = load_credentials(self.file("ca.pem"), folder / f"{stem}.pem", folder / f"{stem}.key", None)
        assert found is not None
        return found

    def token(self, text: str) -> Credentials:
        """Return a client with this token and no certificate."""
        return Credentials(self.file("ca.pem").read_bytes(), token=text)

    def token_of(self, stem: str) -> Credentials:
        """Return a client with a token such as that of `node-a`, and no certificate."""
        return self.token(load_token(self.file(f"{stem}.token")))

    def both(self, certificate: str, token: str = "") -> Credentials:
        """Return a client with a certificate such as `node-a`, and a token of the same name or of another."""
        return replace(self.certificate(certificate), token=self.token_of(token or certificate).token)

    def options(self, certificate: str, token: str = "") -> list[str]:
        """Return the same as options of a command."""
        files = {"--tls-ca": "ca.pem", "--cert": f"{certificate}.pem", "--key": f"{certificate}.key"}
        files["--token"] = f"{token or certificate}.token"
        return [word for option, name in files.items() for word in (option, str(self.file(name)))]

    def expired_certificate(self, name: str) -> Credentials:
        """Return a node whose certificate of our CA has expired."""
        ca = Pair(self.file("ca.pem").read_bytes(), self.file("ca.key").read_bytes())
        pair = Authority.read(ca, datetime.now(UTC) - timedelta(days=30)).client(Grant(Role.NODE, name), days=1)
        return Credentials(ca.certificate, pair.certificate, pair.key)

    def expired_token(self, name: str) -> Credentials:
        """Return a node whose token is in our file and has expired."""
        token, line = new_token(Grant(Role.NODE, name), datetime.now(UTC) - timedelta(days=1))
        with self.file("tokens").open("a") as file:
            file.write(f"{line}\n")
        return self.token(token)
