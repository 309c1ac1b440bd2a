"""A small certificate authority for one hub: its CA, and certificates for the hub, nodes and operators.

Keys are ECDSA P-256. The hub's certificate serves a server alone and the others a client alone, so that none stands in
for another. All needs the package cryptography; a running hub does not.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from heartbench.hub.errors import HubError
from heartbench.hub.security.identity import Grant

CA_DAYS = 3650
SKEW = timedelta(hours=1)
"""Certificates hold from an hour ago: a node's clock may be behind."""
DNS_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
LONGEST_COMMON_NAME = 64  # RFC 5280, ub-common-name; in bytes for the package cryptography
SAME_MACHINE = ("localhost", "127.0.0.1", "::1")
"""Names under which the hub's own machine reaches it, for operators."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A CA with its key; it issues certificates that hold from `now`."""

    def __init__(self, certificate: x509.Certificate, key: EllipticCurvePrivateKey, now: datetime) -> None:
        self._certificate, self._key, self._now = certificate, key, now

    @classmethod
    def new(cls, name: str, now: datetime) -> Self:
        """Return a new CA."""
        key = generate_private_key(SECP256R1())
        subject = named(name)
        builder = (
            lasting(now, CA_DAYS)
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(builder.sign(key, hashes.SHA256()), key, now)

    @classmethod
    def read(cls, pair: Pair, now: datetime) -> Self:
        """Return the CA in a pair; HubError if it is not one that this module wrote."""
        try:
            key = load_pem_private_key(pair.key, None)
            certificate = x509.load_pem_x509_certificate(pair.certificate)
        except (ValueError, TypeError):
            raise HubError("the CA's certificate or key is not PEM, or has a password") from None
        if not isinstance(key, EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            raise HubError("the CA's key is not the key of its certificate")
        return cls(certificate, key, now)

    @property
    def pair(self) -> Pair:
        """Its certificate and its key."""
        return Pair(pem(self._certificate), pem_of_key(self._key))

    def hub(self, names: Iterable[str], days: float) -> Pair:
        """Return the certificate of a hub that is reached under these DNS names or IP addresses, and locally."""
        names = list(dict.fromkeys([*names, *SAME_MACHINE]))
        return self._issue(names[0], [host(name) for name in names], ExtendedKeyUsageOID.SERVER_AUTH, days)

    def client(self, grant: Grant, days: float) -> Pair:
        """Return the certificate of a node or an operator."""
        uri = x509.UniformResourceIdentifier(grant.uri)
        return self._issue(grant.name, [uri], ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def _issue(self, name: str, names: Iterable[x509.GeneralName], purpose: x509.ObjectIdentifier, days: float) -> Pair:
        key = generate_private_key(SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            lasting(self._now, days)
            .subject_name(named(name))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(issuer, critical=False)
        )
        return Pair(pem(builder.sign(self._key, hashes.SHA256())), pem_of_key(key))


def lasting(now: datetime, days: float) -> x509.CertificateBuilder:
    """Return a certificate with a serial number and a time from which and until which it holds."""
    builder = x509.CertificateBuilder().serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - SKEW).not_valid_after(now + timedelta(days=days))


def named(name: str) -> x509.Name:
    """Return a subject with a common name, which is only for people to read and may be cut."""
    cut = name.encode()[:LONGEST_COMMON_NAME].decode(errors="ignore")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cut)])


def host(name: str) -> x509.GeneralName:
    """Return a DNS name or an IP address; HubError if it is neither."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        ascii_name = name.encode("idna").decode("ascii")
    except UnicodeError:
        ascii_name = ""
    if not DNS_NAME.fullmatch(ascii_name):
        raise HubError(f"--hub: {name!r}: expected a DNS name or an IP address, without a port")
    return x509.DNSName(ascii_name)


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return what a key is for: to sign certificates, or a handshake."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def pem_of_key(key: EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
