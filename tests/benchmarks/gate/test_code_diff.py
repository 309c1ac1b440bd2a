import pytest

from heartbench.benchmarks.gate.code_diff import code_differs, part_differs

BASE = """import tiny
from perf import helper

SIZE = 100


def numbers():
    return list(range(SIZE))


def other():
    return 1


def test_it(benchmark):
    benchmark(tiny.total, numbers())


def test_other(benchmark):
    benchmark(helper.work, other())
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tiny.total, numbers()", "tiny.total, numbers() * 2"),
        ("SIZE = 100", "SIZE = 124"),
        ("range(SIZE)", "range(2 * SIZE)"),
        ("import tiny", "import slow as tiny"),
        ("import tiny", "from perf import *\nimport tiny"),
        ("def other", "@pytest.fixture(autouse=True)\ndef fresh():\n    sleep(1)\n\n\ndef other"),
        ("def test_it", "def numbers():\n    return range(1000)\n\n\ndef test_it"),
        ("def test_it", "numbers = slow(numbers)\n\n\ndef test_it"),
        ("def test_it", "from slow import SIZE\n\n\ndef test_it"),
        ("SIZE = 100", "this is no Python"),
    ],
    ids=lambda text: text.partition("\n")[0],
)
def test_what_a_test_runs_differs(old: str, new: str) -> None:
    assert old in BASE
    assert part_differs(BASE, BASE.replace(old, new), "test_it")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("helper.work, other()", "helper.work, other() * 2"),
        ("return 1", "return 2"),
        ("from perf import helper", "from perf import faster as helper"),
        ("SIZE = 100", "SIZE  =  100  # enough"),
        ("import tiny", "import json\nimport tiny"),
        ("def other", "def new():\n    pass\n\n\ndef other"),
    ],
    ids=lambda text: text.partition("\n")[0],
)
def test_what_it_does_not_run_may_change(old: str, new: str) -> None:
    assert old in BASE
    assert not part_differs(BASE, BASE.replace(old, new), "test_it")


def test_a_new_test_with_all_that_it_brings_hides_nothing() -> None:
    more = "\n\ndef work():\n    return json.dumps(numbers())\n\n\ndef test_new(benchmark):\n    benchmark(work)\n"
    head = f"import json\n{BASE}{more}"
    assert not part_differs(BASE, head, "test_new")
    assert part_differs(BASE, head.replace("range(SIZE)", "range(2 * SIZE)"), "test_new")


def test_a_fixture_that_is_named_in_a_string_is_run() -> None:
    base = (
        "import pytest\n\n\ndef slow():\n    return 1\n\n\n@pytest.mark.usefixtures('slow')\ndef test_it():\n    pass\n"
    )
    assert part_differs(base, base.replace("return 1", "return 2"), "test_it")


def test_code_differs_by_statements_not_by_comments() -> None:
    assert not code_differs("a = 1", "a = (1)  # one")
    assert code_differs("a = 1", "a = 2")
    assert code_differs("a = 1", "a =")
