"""How to install what is missing: a command that pip takes, and not a name that no index has."""

from typing import Any

import pytest

from heartbench.hub.extras import command_for, how_to_install

COMMIT = {"vcs": "git", "commit_id": "0" * 40}


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'heartbench[all]'"),
        ({"url": "file:///a%20b/hb", "dir_info": {"editable": True}}, "pip install -e '/a b/hb[all]'"),
        ({"url": "file:///a/hb", "dir_info": {}}, "pip install 'heartbench[all] @ file:///a/hb'"),
        ({"url": "https://example.org/hb.zip", "archive_info": {}}, "… @ https://example.org/hb.zip'"),
        ({"url": "file:///a/hb", "vcs_info": COMMIT}, "… @ git+file://localhost/a/hb'"),
        ({"url": "https://example.org/hb", "vcs_info": COMMIT}, "… @ git+https://example.org/hb'"),
        ({"url": "ssh://git@example.org/hb", "vcs_info": {**COMMIT, "requested_revision": "v1"}}, "…hb@v1'"),
    ],
)
def test_an_extra_comes_from_where_the_rest_came_from(origin: dict[str, Any] | None, command: str) -> None:
    made = command_for("all", origin)
    assert made.startswith("pip install ")
    assert "[all]" in made
    assert made.endswith(command.removeprefix("…"))


def test_this_copy_knows_where_it_came_from() -> None:
    assert "[redis]" in how_to_install("redis")
    assert how_to_install("redis") != "pip install 'heartbench[redis]'"
