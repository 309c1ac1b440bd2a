"""What commands print."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from heartbench.benchmarks.cli import output


def test_json_is_one_line_of_plain_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json(
        {"a": np.float64(1.5), "b": math.nan, "c": (np.int64(2), np.array([1.0, math.inf])), "d": Path("x")}
    )
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"a": 1.5, "b": None, "c": [2, [1.0, None]], "d": "x"}


def test_a_table_in_a_pipe_keeps_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table("Costs", ["setting", "false stale"], [["30 s", 0.14], ["41 s", 0.02]])
    assert "30 s" in capsys.readouterr().out


def test_nobody_watching_sees_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("Simulating", 2) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table("[/x].toml", ["[bold]setting", "a"], [["[red]30 s", ":smile: [/]"]], "by [/nobody]")
    output.console().print("No goal [/x] for :smile:")
    printed = capsys.readouterr().out
    for text in ("[/x].toml", "[bold]setting", "[red]30 s", ":smile: [/]", "by [/nobody]", "No goal [/x] for :smile:"):
        assert text in printed
