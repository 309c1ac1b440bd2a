"""The page of `heartbench report` on a phone, as a real browser lays it out."""

from pathlib import Path

import pytest
from tests.analysis.report.browser import PROGRAM, ask

from heartbench.cli.app import invoke

PHONE = 420

# Every cell of every table: what stands above or before it, its text and where it is, in CSS pixels.
CELLS = """(page, view) => [...page.querySelectorAll("tbody tr")].map(row => [...row.cells].map(cell => {
  const heading = row.closest("table").tHead.rows[0].cells[cell.cellIndex];
  const box = cell.getBoundingClientRect(), style = view.getComputedStyle(cell);
  const before = view.getComputedStyle(cell, "::before");
  return {
    label: before.content.startsWith('"') && before.display != "none" ? JSON.parse(before.content) : "",
    heading: heading.textContent.trim(),
    heading_shown: heading.getClientRects().length > 0,
    text: cell.textContent.trim(),
    left: box.left, right: box.right, height: box.height, overflows: cell.scrollWidth > cell.clientWidth,
    size: parseFloat(style.fontSize),
  };
}))"""
WIDTH = """(page, view) => ({
  page: page.documentElement.scrollWidth,
  scrolled: [...page.querySelectorAll("table")].some(table => table.parentElement.scrollWidth > view.innerWidth),
})"""

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no browser here: apt-get install chromium")


@pytest.fixture
def page(run_path: Path) -> str:
    assert invoke(["report"]) == 0
    return (run_path / "report.html").read_text(encoding="utf-8")


def test_on_a_phone_each_figure_is_within_the_screen_beside_its_name(page: str, tmp_path: Path) -> None:
    rows = ask(page, PHONE, CELLS, tmp_path)
    assert rows
    for cell in (cell for row in rows for cell in row):
        assert cell["left"] >= 0, cell
        assert cell["right"] <= PHONE, cell
        assert not cell["overflows"], cell
        assert cell["size"] >= 12, cell
        assert cell["text"], cell
        assert cell["label"] == cell["heading"], cell


def test_on_a_phone_nothing_must_be_moved_sideways(page: str, tmp_path: Path) -> None:
    assert ask(page, PHONE, WIDTH, tmp_path) == {"page": PHONE, "scrolled": False}


def test_on_a_wide_screen_the_table_has_its_headings_once(page: str, tmp_path: Path) -> None:
    for cell in (cell for row in ask(page, 1200, CELLS, tmp_path) for cell in row):
        assert cell["heading_shown"], cell
        assert not cell["label"], cell
