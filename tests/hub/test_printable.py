import pytest

from heartbench.hub.printable import printable, shown, without_password


@pytest.mark.parametrize("text", ["", "edge-1", "Köln 日本", "a = b"])
def test_text_that_can_be_seen_is_unchanged(text: str) -> None:
    assert printable(text) == text


def test_text_that_cannot_be_seen_is_escaped() -> None:
    assert printable("a\x1b\r\n\t\u2028\u202e\U000e0001b") == "a\\u001b\\u000d\\u000a\\u0009\\u2028\\u202e\\U000e0001b"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:6379/0", "redis://***@host:6379/0"),
        ("rediss://user:secret@host/0", "rediss://***@host/0"),
        ("redis://:se/cr@et@host/0", "redis://***@host/0"),
        ("redis://host/0?password=secret", "redis://host/0?***"),
        ("redi://:secret@host", "redi://***@host"),
        ("redis:/:secret@host", "redis:/***@host"),
        (":secret@host", "***@host"),
        ("secret@host", "***@host"),
        ("user:secret@host", "user:***@host"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("sqlite:////a/b@c?.db", "sqlite:////a/b@c?.db"),
        ("memory:", "memory:"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_value_from_outside_is_shown_on_one_line_and_cut() -> None:
    assert shown("edge-1") == "'edge-1'"
    assert shown("two\nlines\u2028\x1b[2J") == "'two\\nlines\\u2028\\x1b[2J'"
    assert shown("x" * 65) == f"'{'x' * 63}…"
    assert len(shown("\x1b" * 60)) == 65
