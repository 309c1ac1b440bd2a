"""Text from outside, made safe to show on a line."""


def printable(text: str) -> str:
    r"""Return text with each character that is not printable as an escape such as `\u001b`.

    So no name can forge a second line (CR, U+2028), hide text (bidirectional controls) or drive a terminal (ESC).
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else escape(ord(char)) for char in text)


def escape(code: int) -> str:
    r"""Return a character as JSON and Python write it: `\u2028`."""
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
