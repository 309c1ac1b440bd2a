"""The picture of an answer as a file: an image, or a page of HTML with the picture and the story in words."""

from html import escape
from pathlib import Path

from matplotlib.axes import Axes

from heartbench.analysis.explain.answer import Answer
from heartbench.analysis.explain.picture import plot_story, plot_sum
from heartbench.analysis.explain.words import headline, mended, read_as, story_rows
from heartbench.analysis.report.style import INK, LINE, save, svg

STYLE = (
    f"body{{font:15px/1.5 system-ui,sans-serif;color:{INK};max-width:72rem;margin:2rem auto;padding:0 1rem}}"
    f"svg{{max-width:100%;height:auto}}table{{border-collapse:collapse}}"
    f"td,th{{border-bottom:1px solid {LINE};padding:.2rem .8rem;text-align:left;vertical-align:top}}"
)


def write_picture(found: Answer, out: Path) -> None:
    """Write the picture of the story, or of all false stales by cause, in the format of the file's suffix."""
    ax = plot_sum(found.total) if found.story is None else plot_story(found.story)
    if out.suffix.lower() == ".html":
        out.write_text(page(found, ax), encoding="utf-8")
    else:
        save(ax, out)


def page(found: Answer, ax: Axes) -> str:
    """Return a page that stands alone."""
    finding = " ".join([headline(found), *read_as(found.evidence)])
    parts = [f"<p>{escape(finding)}</p>", svg(ax)]
    if found.story is not None:
        parts += [f"<p>{escape(text)}</p>" for text in mended(found)]
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in story_rows(found.story)
        )
        parts.append(f"<table><tr><th>s<th>lane<th>what</tr>{rows}</table>")
    title = escape(f"Heartbench: {found.evidence.source}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en">{head}\n' + "\n".join(parts) + "</html>\n"
