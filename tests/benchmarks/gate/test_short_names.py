import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.benchmarks.gate.short_names import shared_start, shortened

LONG = [
    "test_append_to_full_history[deque, bytes bound, 1000 chunks]",
    "test_append_to_full_history[deque, count bound, 1000 chunks]",
    "test_append_to_full_history[spliced list, count bound, 1000 chunks]",
    "test_read",
]
NAMES = st.lists(st.text("ab_[:", min_size=1, max_size=12), min_size=1, max_size=6, unique=True)


def test_names_of_many_files_share_their_folder() -> None:
    assert shared_start(["a/b/x.py::t", "a/b/y.py::t", "a/c/z.py::t"]) == "a/"
    assert shared_start(["x.py::t", "y.py::t"]) == ""
    assert shared_start(["a/x.py::t", "a/x.py::u"]) == "a/x.py::"
    assert shared_start(["a/x.py"]) == ""


def test_what_fits_is_left_alone() -> None:
    assert shortened(LONG, 100) == LONG


def test_a_name_keeps_the_words_that_tell_it_apart() -> None:
    assert shortened(LONG, 30) == [
        "test_append_to…deque…bytes…",
        "test_append_to…deque…count…",
        "test_append_to_full…spliced…",
        "test_read",
    ]


@pytest.mark.parametrize("width", [0, 5, 20, 40])
def test_no_word_is_cut(width: int) -> None:
    for name, short in zip(LONG, shortened(LONG, width), strict=True):
        assert set(re.findall(r"[^\W_]+", short)) <= set(re.findall(r"[^\W_]+", name))


@given(NAMES, st.integers(0, 14))
def test_no_two_names_look_the_same(names: list[str], width: int) -> None:
    assert len(set(shortened(names, width))) == len(names)
