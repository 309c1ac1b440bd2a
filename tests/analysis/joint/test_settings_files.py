"""The lines of `node.toml`, which a scenario accepts and a reader can copy into his program."""

import tomllib

import pytest

from heartbench.analysis.joint.knobs import NodeSetting
from heartbench.analysis.joint.settings_files import node_lines


@pytest.mark.parametrize(
    ("keepalive_s", "user_timeout_s", "keys"),
    [
        (30.0, 20.0, {"keepalive_time": "30s", "keepalive_timeout": "20s", "user_timeout": "20s"}),
        (0.0, 20.0, {"keepalive_time": "24h", "keepalive_timeout": "20s", "user_timeout": "20s"}),
        (None, 20.0, {"keepalive_timeout": "20s", "user_timeout": "20s"}),
        (30.0, 0.0, {"keepalive_time": "30s", "user_timeout": "0s"}),
        (30.0, None, {"keepalive_time": "30s"}),
        (0.0, 0.0, {"keepalive_time": "0s", "user_timeout": "0s"}),
        (None, 0.0, {"user_timeout": "0s"}),
        (None, None, {}),
    ],
)
def test_each_setting_that_is_known_has_its_line(
    keepalive_s: float | None, user_timeout_s: float | None, keys: dict[str, str]
) -> None:
    lines = list(node_lines(NodeSetting(None, keepalive_s, user_timeout_s, None)))
    assert tomllib.loads("\n".join(lines)) == keys
    assert not any("imeout: 0" in line or "imeout(0" in line for line in lines)


def test_parts_of_a_second_are_written_as_each_language_takes_them() -> None:
    text = "\n".join(node_lines(NodeSetting(None, 0.0, 0.5, 1.5)))
    assert "Timeout: 500 * time.Millisecond" in text
    assert "MaxDelay: 1500 * time.Millisecond" in text
    assert "keepAliveTime(86400, SECONDS).keepAliveTimeout(500, MILLISECONDS)" in text
    assert '("grpc.keepalive_timeout_ms", 500)' in text
