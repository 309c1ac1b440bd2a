"""What commands print."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from heartbench.cli import output
from heartbench.cli.errors import CommandError


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


def test_a_table_that_is_too_wide_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = "keepalive off, timeout 20 s, backoff 120 s, interval 10 s"
    rows = [[f"without {name}", "phi:threshold=8,window=200", nodes, *["0.0627 to 3.82"] * 5, "1.28 MB"]
            for name in ("user-timeout", "reconnect")]  # fmt: skip
    output.print_table("Settings", ["", *("false stales\nper node-day" for _ in rows[0][1:])], rows)
    lines = capsys.readouterr().out.splitlines()
    printed = "\n".join(lines)
    assert "…" not in printed
    assert all(word in printed for word in ("without", "user-timeout", "reconnect", "keepalive", "0.0627", "1.28 MB"))
    assert max(map(len, lines)) <= output.PIPE_WIDTH


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_figure_is_on_two_lines_however_narrow_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "PIPE_WIDTH", width)
    figures = ["0.0627 to 3.82", "1,893.8 s", "94 s", "1.28 MB"]
    output.print_table("Settings", ["", *("false stales\nper node-day" for _ in figures)], [["recommended", *figures]])
    printed = capsys.readouterr().out.split()
    assert {"recommended", "0.0627", "3.82", "1,893.8", "94", "1.28"} <= set(printed)


def test_a_file_is_written_whole_and_leaves_no_other(tmp_path: Path) -> None:
    output.write_whole(tmp_path / "a", "text")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "text")]


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output.write_whole(pipe, "text")
    assert os.read(reader, 100) == b"text"
    assert pipe.is_fifo()
    os.close(reader)


def test_a_device_among_files_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output.write_together({tmp_path / "a": "1", pipe: "2"})
    assert os.read(reader, 10) == b"2"
    os.close(reader)
    assert pipe.is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "pipe"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(CommandError, match=rf"^{folder / 'a'}: cannot be written: No such file or directory$"):
        output.write_whole(folder / "a", "text")


def test_a_file_in_a_folder_that_may_not_be_written_is_refused_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)  # root may write everywhere
    with pytest.raises(CommandError, match=rf"^--out: {tmp_path / 'a'}: cannot be written: Permission denied$"):
        output.check_output(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    output.check_output(tmp_path / "pipe")


def test_outputs_are_files_apart_from_inputs_and_from_each_other(tmp_path: Path) -> None:
    log, link, other = (tmp_path / name for name in ("log", "link", "other"))
    link.symlink_to(log)
    output.check_distinct({"--out": other, "--plot": tmp_path / "plot"}, [log])
    with pytest.raises(CommandError, match=rf"^--out: {link}: is an input too; choose another name$"):
        output.check_distinct({"--out": link}, [log])
    with pytest.raises(CommandError, match=rf"^--plot: {link}: is the file of --out too; choose another name$"):
        output.check_distinct({"--out": log, "--plot": link})


@pytest.mark.parametrize("name", ["file", "file/inside"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=rf"^--plots: {tmp_path / name}: must be a folder"):
        output.check_folder(tmp_path / name, "--plots")
    output.check_folder(tmp_path, "--plots")
    output.check_folder(tmp_path / "new/one", "--plots")


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
