from pathlib import Path

from heartbench.benchmarks.gate.checkpoint import checkpoint

PLAN = "what is measured"


def test_an_interrupted_measurement_resumes(tmp_path: Path) -> None:
    with checkpoint(tmp_path, "a-b", PLAN) as first:
        (first / "rounds" / "0.json").touch()
    with checkpoint(tmp_path, "a-b", PLAN) as second:
        assert second == first
        assert (second / "rounds" / "0.json").exists()


def test_a_finished_measurement_is_not_reused(tmp_path: Path) -> None:
    with checkpoint(tmp_path, "a-b", PLAN) as first:
        (first / "report.json").touch()
    with checkpoint(tmp_path, "a-b", PLAN) as second:
        assert second != first


def test_another_plan_does_not_resume_it(tmp_path: Path) -> None:
    with checkpoint(tmp_path, "a-b", PLAN) as first:
        pass
    with checkpoint(tmp_path, "a-b", "something else") as second:
        assert second != first
    with checkpoint(tmp_path, "a-b", PLAN) as third:
        assert third == first


def test_fresh_starts_over(tmp_path: Path) -> None:
    with checkpoint(tmp_path, "a-b", PLAN) as first:
        pass
    with checkpoint(tmp_path, "a-b", PLAN, fresh=True) as second:
        assert second != first


def test_two_at_once_do_not_share_a_directory(tmp_path: Path) -> None:
    with checkpoint(tmp_path, "a-b", PLAN) as first, checkpoint(tmp_path, "a-b", PLAN) as second:
        assert second != first


def test_git_ignores_the_checkpoints(tmp_path: Path) -> None:
    with checkpoint(tmp_path, "a-b", PLAN) as directory:
        assert (directory.parent / ".gitignore").read_text() == "*\n"
