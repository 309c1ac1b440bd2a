"""Where the hub listens, and which credentials it asks for: the first of its settings.

An address that other machines can reach needs TLS, and certificates or tokens of all that call: without them, whoever
connects is believed to be the node that he says, and to be an operator.
"""

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from heartbench.hub.envfile import OptionalPath, env_name, is_loopback, split_address

ADMIN_LISTEN = "127.0.0.1:50552"


class ListeningSettings(BaseModel):
    """The settings of a hub's addresses and credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    listen: str = "127.0.0.1:50551"
    """HOST:PORT to listen on; port 0 takes any free one."""
    admin_listen: str = ""
    """HOST:PORT on which operators call HubAdmin, which nodes then cannot reach; empty: the nodes' address if that is
    loopback, else 127.0.0.1:50552."""
    tls_cert: OptionalPath = None
    """PEM file with the hub's certificate and its chain; with tls_key, all connections are TLS. Read again when it
    changes, as are the other three files."""
    tls_key: OptionalPath = None
    """PEM file with the key of that certificate, without password."""
    tls_client_ca: OptionalPath = None
    """PEM file with the CA of the clients' certificates. Clients without such a certificate cannot connect; its name
    decides which node a client may be, or whether it is an operator."""
    tokens: OptionalPath = None
    """File with the hashes of the tokens of nodes and operators (`heartbench certs token`). Each call needs one."""
    http_listen: str = ""
    """HOST:PORT for `/metrics`, `/healthz` and `/readyz`; port 0 takes any free one; empty: none. Anyone who reaches
    it can read them: an address other than loopback needs insecure=1, or put a proxy before it."""
    insecure: bool = False
    """1 allows addresses other than loopback without TLS and credentials: whoever connects is believed."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return split_address(self.listen)

    @property
    def admin_address(self) -> str:
        """HOST:PORT for operators alone; empty if they share the nodes' address."""
        return self.admin_listen or ("" if is_loopback(self.address[0]) else ADMIN_LISTEN)

    @property
    def open_addresses(self) -> dict[str, str]:
        """The addresses, by setting, that other machines can reach and at which everyone is believed."""
        if self.tls_cert and (self.tls_client_ca or self.tokens):
            return {}
        addresses = {"listen": self.listen} | ({"admin_listen": self.admin_address} if self.admin_address else {})
        return {name: each for name, each in addresses.items() if not is_loopback(split_address(each)[0])}

    @field_validator("listen", "admin_listen", "http_listen")
    @classmethod
    def reject_malformed_address(cls, listen: str, info: ValidationInfo) -> str:
        """Reject what is not HOST:PORT; only `listen` must be there."""
        if listen or info.field_name == "listen":
            split_address(listen)
        return listen

    @model_validator(mode="after")
    def reject_open_address(self) -> Self:
        """Reject an address that other machines can reach and where everyone is believed, unless that is allowed."""
        for name, listen in {} if self.insecure else self.open_addresses.items():
            raise ValueError(
                f"{env_name(name)}={listen!r} is not a loopback address, and whoever connects is believed: "
                "use 127.0.0.1 or ::1, or HUB_TLS_CERT and HUB_TLS_KEY with HUB_TLS_CLIENT_CA or HUB_TOKENS, or "
                "HUB_INSECURE=1"
            )
        return self

    @model_validator(mode="after")
    def reject_open_http(self) -> Self:
        """Reject an address for HTTP that other machines can reach, unless it is allowed: HTTP is never encrypted."""
        if not self.http_listen or self.insecure or is_loopback(split_address(self.http_listen)[0]):
            return self
        raise ValueError(
            f"HUB_HTTP_LISTEN={self.http_listen!r} is not a loopback address, and HTTP is not encrypted: "
            "use 127.0.0.1 or ::1, or set HUB_INSECURE=1"
        )

    @model_validator(mode="after")
    def reject_half_of_tls(self) -> Self:
        """Reject a certificate without key or the reverse, and a CA of clients without both."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("HUB_TLS_CERT and HUB_TLS_KEY belong together: set both or neither")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError(
                f"HUB_TLS_CLIENT_CA='{self.tls_client_ca}' needs TLS: set HUB_TLS_CERT and HUB_TLS_KEY too"
            )
        return self
