"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], others: str = "---:") -> str:
    """Return a table; the first column is left-aligned, `others` aligns the others: to the right, or `---`: left."""
    lines = [columns, ["---"] + [others] * (len(columns) - 1), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
