"""`--old-way` puts the parts that a review found faulty back into the hub: every test here must fail then.

The tests know nothing of it. They speak to the hub's own parts, or to the whole hub, which takes its parts from where
`old_way.PARTS` says.
"""

from collections.abc import Callable

import pytest
from tests.review.old_way import PARTS

FIGURES = pytest.StashKey[dict[str, str]]()
Measured = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--old-way", action="store_true", help="try the hub as the review found it: tests/review must fail"
    )


@pytest.fixture(autouse=True)
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own parts, or the old ones."""
    if request.config.getoption("--old-way", default=False):  # unknown where pytest began elsewhere
        for place, part in PARTS.items():
            monkeypatch.setattr(place, part)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Notes a figure, to be printed when all is done."""
    return request.config.stash.setdefault(FIGURES, {}).__setitem__


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(FIGURES, {})
    if figures:
        terminalreporter.section("measured for docs/review.md")
    for what, figure in figures.items():
        terminalreporter.write_line(f"{what}: {figure}")
