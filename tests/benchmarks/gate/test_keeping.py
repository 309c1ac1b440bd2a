from pathlib import Path

from heartbench.benchmarks.gate.keeping import kept

PLAN = {"base": "a", "suite": ("x",)}


def test_an_interrupted_measurement_goes_on_where_it_was(tmp_path: Path) -> None:
    with kept(tmp_path, "a-b", PLAN) as first:
        (first / "rounds" / "0.json").touch()
    with kept(tmp_path, "a-b", PLAN) as second:
        assert second == first
        assert (second / "rounds" / "0.json").exists()


def test_a_finished_one_is_measured_anew_beside_it(tmp_path: Path) -> None:
    with kept(tmp_path, "a-b", PLAN) as first:
        (first / "report.json").touch()
    with kept(tmp_path, "a-b", PLAN) as second:
        assert second != first


def test_another_plan_does_not_go_on_with_it(tmp_path: Path) -> None:
    with kept(tmp_path, "a-b", PLAN) as first:
        pass
    with kept(tmp_path, "a-b", {**PLAN, "seed": 1}) as second:
        assert second != first
    with kept(tmp_path, "a-b", PLAN) as third:
        assert third == first


def test_whoever_wants_to_begins_afresh(tmp_path: Path) -> None:
    with kept(tmp_path, "a-b", PLAN) as first:
        pass
    with kept(tmp_path, "a-b", PLAN, fresh=True) as second:
        assert second != first


def test_two_at_once_do_not_share_a_directory(tmp_path: Path) -> None:
    with kept(tmp_path, "a-b", PLAN) as first, kept(tmp_path, "a-b", PLAN) as second:
        assert second != first


def test_git_does_not_see_what_is_kept(tmp_path: Path) -> None:
    with kept(tmp_path, "a-b", PLAN) as directory:
        assert (directory.parent / ".gitignore").read_text() == "*\n"
