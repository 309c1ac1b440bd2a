from pathlib import Path

import pytest

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.settings import chosen_suite, load
from heartbench.benchmarks.gate.verdict import Rules


def project(tmp_path: Path, table: str) -> Path:
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'x'\n[tool.heartbench.bench]\n{table}\n", "utf-8")
    return tmp_path


def test_a_project_that_says_nothing_gets_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path).rounds == 16
    assert load(project(tmp_path, "")).rules("x") == Rules()


def test_a_project_sets_what_it_likes(tmp_path: Path) -> None:
    settings = load(project(tmp_path, "rounds = 20\nbudget = '3m'\nsuite = ['perf']"))
    assert (settings.rounds, settings.budget, settings.suite) == (20, 180.0, ("perf",))


def test_what_the_command_line_says_wins(tmp_path: Path) -> None:
    assert load(project(tmp_path, "rounds = 20"), rounds=12, budget=None).rounds == 12


def test_margins_can_be_set_for_each_benchmark(tmp_path: Path) -> None:
    table = '[tool.heartbench.bench.benchmark."*::test_start*"]\nmargin = 0.02\nleast_effect = 0.05'
    settings = load(project(tmp_path, table))
    assert settings.rules("benchmarks/test_x.py::test_start[cold]") == Rules(0.02, 0.05)
    assert settings.rules("benchmarks/test_x.py::test_stop") == Rules()


def test_a_value_out_of_range_is_refused_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"^--rounds = 0: must be greater than or equal to 2$"):
        load(tmp_path, rounds=0)
    with pytest.raises(BenchmarkError, match=r"rounds = 'x': must be a valid integer$"):
        load(project(tmp_path, "rounds = 'x'"))


def test_brackets_of_a_parameter_mean_themselves(tmp_path: Path) -> None:
    table = '[tool.heartbench.bench.benchmark."t.py::test_a[150-*]"]\nleast_effect = 0.05'
    settings = load(project(tmp_path, table))
    assert settings.rules("t.py::test_a[150-deque]").least_effect == 0.05
    assert settings.rules("t.py::test_a1").least_effect == 0.02


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("round = 3", r"pyproject.toml: tool.heartbench.bench.round: unknown key; allowed: suite, "),
        ("rounds = 1", r"tool.heartbench.bench.rounds = 1: .*greater than or equal to 2"),
        ("budget = '10 parsecs'", r"budget = '10 parsecs'.*is not a duration"),
        ("margin = -0.1", r"margin = -0.1"),
        ("[tool.heartbench.bench.benchmark.x]\nleast = 1", r"benchmark.x.least"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        load(project(tmp_path, table))


def test_a_mistake_on_the_command_line_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="--rounds = 1"):
        load(tmp_path, rounds=1)


def test_a_broken_file_and_a_table_that_is_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool", "utf-8")
    with pytest.raises(BenchmarkError, match="not valid TOML"):
        load(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.heartbench]\nbench = 3", "utf-8")
    with pytest.raises(BenchmarkError, match="must be a table"):
        load(tmp_path)


def test_the_suite_is_what_was_asked_for_or_set_or_usual(tmp_path: Path) -> None:
    (tmp_path / "benchmarks" / "history").mkdir(parents=True)
    (tmp_path / "perf.py").touch()
    assert chosen_suite(tmp_path, [], load(tmp_path)) == ("benchmarks",)
    assert chosen_suite(tmp_path, ["history", "perf.py::test_a"], load(tmp_path)) == (
        "benchmarks/history",
        "perf.py::test_a",
    )
    assert chosen_suite(tmp_path, [], load(project(tmp_path, "suite = ['perf.py']"))) == ("perf.py",)


def test_no_suite_and_an_unknown_one_are_mistakes(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no suite"):
        chosen_suite(tmp_path, [], load(tmp_path))
    with pytest.raises(BenchmarkError, match="not found in"):
        chosen_suite(tmp_path, ["histroy"], load(tmp_path))
