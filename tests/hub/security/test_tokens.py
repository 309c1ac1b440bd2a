"""The file of tokens: who is accepted, what is rejected, and what happens when it changes."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from heartbench.hub.errors import HubError, UnauthenticatedError
from heartbench.hub.security.identity import Grant, Identity, Role
from heartbench.hub.security.tokens import Tokens, authorization_of, new_token

EDGE = Grant(Role.NODE, "edge 7#é")
DAY = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def write(path: Path, text: str) -> None:
    """Replace the file at once, as an editor does."""
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def test_a_token_grants_what_its_line_says_until_it_expires(path: Path) -> None:
    token, line = new_token(EDGE, DAY)
    assert token not in line
    write(path, f"# tokens\n\n  {line}  # one\n")
    tokens = Tokens(path)
    assert tokens.identity(f"Bearer {token}", DAY.timestamp() - 1) == Identity((EDGE,))
    with pytest.raises(UnauthenticatedError, match="the token of node edge 7#é has expired"):
        tokens.identity(f"Bearer {token}", DAY.timestamp())


@pytest.mark.parametrize(
    ("authorization", "message"),
    [("", "this hub needs a token"), ("Bearer", "this hub needs a token"), ("Basic x", "this hub needs a token"),
     ("Bearer ", "is not known"), ("Bearer x", "is not known"), ("Bearer \udce9", "is not known")],
)  # fmt: skip
def test_any_other_authorization_proves_nothing(path: Path, authorization: str, message: str) -> None:
    write(path, new_token(EDGE, None)[1])
    with pytest.raises(UnauthenticatedError, match=message):
        Tokens(path).identity(authorization, 0.0)


def test_a_changed_file_is_read_again_and_a_wrong_one_changes_nothing(path: Path) -> None:
    (old, old_line), (new, new_line) = new_token(EDGE, None), new_token(EDGE, None)
    write(path, old_line)
    tokens = Tokens(path)
    write(path, "node edge-7\n")
    assert tokens.identity(f"Bearer {old}", 0.0)
    path.unlink()
    assert tokens.identity(f"Bearer {old}", 0.0)
    write(path, new_line)
    assert tokens.identity(f"Bearer {new}", 0.0)
    with pytest.raises(UnauthenticatedError):
        tokens.identity(f"Bearer {old}", 0.0)


HASH = "0" * 64


@pytest.mark.parametrize(
    "line",
    ["node edge-7", f"admin alice {HASH}", f"node edge-7 {HASH[1:]}", f"node edge-7 {HASH[2:]}",
     f"node edge-7 {HASH} soon", f"node edge-7 {HASH} 2030-01-01 x", f"node %ff {HASH}"],
)  # fmt: skip
def test_a_wrong_line_is_named(path: Path, line: str) -> None:
    write(path, f"node edge-6 {HASH}\n{line}\n")
    with pytest.raises(HubError, match=r"tokens: line 2: expected ROLE NAME SHA256 \[EXPIRES\]"):
        Tokens(path)


def test_a_file_that_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(HubError, match="tokens: cannot be read as a file of tokens: No such file"):
        Tokens(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(HubError, match="it is not text"):
        Tokens(path)


def test_an_empty_file_stops_a_start_but_revokes_all_tokens_of_a_running_hub(path: Path) -> None:
    token, line = new_token(EDGE, None)
    write(path, line)
    tokens = Tokens(path)
    write(path, "# none left\n")
    with pytest.raises(UnauthenticatedError):
        tokens.identity(f"Bearer {token}", 0.0)
    with pytest.raises(HubError, match=r"HUB_TOKENS: .*tokens: no token in it"):
        Tokens(path)


def test_the_token_of_a_call_is_in_its_metadata() -> None:
    assert authorization_of([("user-agent", "x"), ("authorization", "Bearer y")]) == "Bearer y"
    assert authorization_of(None) == ""
