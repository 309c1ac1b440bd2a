"""The files of a client's credentials."""

import pickle
from pathlib import Path

import pytest
from tests.hub.security.pki import Pki

from heartbench.mesh.credentials import Credentials, CredentialsError, load_credentials


def test_all_files_are_optional_but_the_ca_comes_first(pki: Pki) -> None:
    ca, pair, token = pki.file("ca.pem"), (pki.file("node-a.pem"), pki.file("node-a.key")), pki.file("node-a.token")
    assert load_credentials(None, None, None, None) is None
    assert load_credentials(ca, None, None, None) == Credentials(ca.read_bytes())
    full = load_credentials(ca, *pair, token)
    assert full is not None
    assert full.token == token.read_text().strip()
    assert pickle.loads(pickle.dumps(full)) == full


def test_no_secret_is_shown(pki: Pki) -> None:
    shown = repr(load_credentials(pki.file("ca.pem"), pki.file("node-a.pem"), pki.file("node-a.key"), None))
    assert "PRIVATE" not in shown
    assert "secret" not in repr(Credentials(b"", token="secret"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((None, "node-a.pem", "node-a.key", None), r"^--cert: .*node-a.pem: needs --tls-ca FILE"),
        ((None, None, None, "node-a.token"), r"^--token: .*node-a.token: needs --tls-ca FILE"),
        (("ca.pem", "node-a.pem", None, None), "^--cert and --key belong together"),
        (("missing", None, None, None), "missing: cannot be read: No such file or directory"),
        (("ca.key", None, None, None), "ca.key: not a PEM file with certificates"),
        (("ca.pem", "node-a.pem", "node-b.key", None), r"node-b.key: not the key of the certificate .*node-a.pem"),
        (("ca.pem", "node-a.key", "node-a.pem", None), "expected a certificate and its key without password, in PEM"),
        (("ca.pem", "node-a.pem", "node-a.token", None), "expected a certificate and its key without password, in PEM"),
        (("ca.pem", None, None, "ca.pem"), r"ca.pem: not a token"),
        (("ca.pem", None, None, "empty"), r"empty: not a token"),
    ],
)
def test_a_wrong_file_is_named(pki: Pki, files: tuple[str | None, ...], message: str) -> None:
    pki.file("empty").touch()
    paths: list[Path | None] = [pki.file(name) if name else None for name in files]
    with pytest.raises(CredentialsError, match=message) as caught:
        load_credentials(*paths)
    assert "\n" not in str(caught.value)
