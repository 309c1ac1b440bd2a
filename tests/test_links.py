"""Links between the documents lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("", "docs", "notebooks", "results", "results/reference/**")
PAGES = sorted({page for folder in FOLDERS for page in (ROOT / folder).glob("*.md")})
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


def links(page: Path) -> list[str]:
    """The relative links of a page, without those in code."""
    found = LINK.findall(CODE.sub("", page.read_text("utf-8")))
    return [link for link in found if "://" not in link and not link.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """What can be linked to within a page: its headings, written as GitHub writes them in an address."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_hub_s_page_leads_to_the_wire_contract() -> None:
    assert any(link.endswith(".proto") for link in links(ROOT / "docs/hub.md"))
