"""What the hub may be told, and what it says of the rest."""

from pathlib import Path

import pytest

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.liveness.flap_rules import FlapDecay, WeightedShare
from heartbench.hub.liveness.hold_down import HoldDown


@pytest.fixture(autouse=True)
def no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for key in [key for key in os.environ if key.upper().startswith("HUB_")]:
        monkeypatch.delenv(key)


def a_file(directory: Path, text: str) -> Path:
    path = directory / "hub.env"
    path.write_text(text)
    return path


def test_the_defaults_fit_each_other() -> None:
    settings = HubSettings.load()
    assert (settings.stale_after_s, settings.flap_window_s, settings.history_chunks) == (30, 60, 150)


def test_the_window_of_flaps_follows_the_threshold_unless_it_is_set(tmp_path: Path) -> None:
    assert HubSettings.load(a_file(tmp_path, "HUB_STALE_AFTER_S=90\n")).flap_window_s == 180
    assert HubSettings.of(stale_after_s=90).flap_window_s == 180
    assert HubSettings.of(stale_after_s=10).flap_window_s == 60
    assert HubSettings.of(stale_after_s=90, flap_window_s=100).flap_window_s == 100
    there_and_back = HubSettings.for_stale_after(94, HubSettings.for_stale_after(11.5, HubSettings.for_stale_after(94)))
    assert there_and_back.flap_window_s == 188


@pytest.mark.parametrize("stale_after_s", [*range(10, 121, 5), 10.5, 29.999, 30.001, 119.9])
def test_each_threshold_that_tune_writes_is_a_file_that_loads(tmp_path: Path, stale_after_s: float) -> None:
    written = HubSettings.for_stale_after(stale_after_s)
    read = HubSettings.load(a_file(tmp_path, written.to_env()))
    assert read == written
    assert read.stale_after_s == stale_after_s


def test_a_threshold_can_be_moved_from_any_base() -> None:
    base = HubSettings.of(stale_after_s=3, flap_window_s=60, flap_threshold=20, flap_exit=10)
    moved = HubSettings.for_stale_after(90, base)
    assert moved.flap_threshold == 20
    assert moved.flap_window_s == 1800


def test_rules_are_read_with_the_values_that_are_left_out(tmp_path: Path) -> None:
    settings = HubSettings.load(a_file(tmp_path, "HUB_FLAP_RULE=Weighted  high=40%\nHUB_HOLD_DOWN=2 Heartbeats\n"))
    assert settings.flap_rule == "weighted high=40%"
    assert settings.policy.flap_rule == WeightedShare(low=20.0, high=40.0, check_s=10.0)
    assert settings.policy.hold_down == HoldDown(heartbeats=2)
    settings = HubSettings.of(flap_rule="decay suppress=1500 max=1h", hold_down="90s", stale_after_s=20)
    assert settings.policy.flap_rule == FlapDecay(500.0, 900.0, 1500.0, 750.0, 3600.0)
    assert settings.policy.hold_down == HoldDown(seconds=90.0)
    assert settings.flap_window_s == 220  # room for the same number of flaps
    assert HubSettings.for_stale_after(30.0, settings).flap_window_s == 240
    assert HubSettings.load(a_file(tmp_path, settings.to_env())) == settings


def test_an_env_file_keeps_the_meaning_beside_the_value() -> None:
    text = HubSettings.for_stale_after(45).to_env()
    assert "\nHUB_STALE_AFTER_S=45\n" in text
    assert "# Seconds without a message before a node is marked stale." in text
    assert "\n# HUB_LISTEN=127.0.0.1:50551\n" in f"\n{text}"


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_STALE_AFTER_S", "20")
    path = a_file(tmp_path, "HUB_STALE_AFTER_S=25\nHUB_HISTORY_CHUNKS=7\nOTHER=1\n")
    settings = HubSettings.load(path)
    assert (settings.stale_after_s, settings.history_chunks) == (20, 7)


def test_computing_with_settings_does_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_STALE_AFTER_S", "20")
    assert HubSettings.of().stale_after_s == 30
    assert HubSettings.for_stale_after(40).changed(flap_exit=2).stale_after_s == 40


def test_a_name_that_the_environment_uses_otherwise_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_PORT", "tcp://10.0.0.1:80")
    assert HubSettings.load().listen == "127.0.0.1:50551"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("HUB_STALE_AFTER=30", ["HUB_STALE_AFTER='30'", "no such setting", "HUB_STALE_AFTER_S"]),
        ("HUB_STALE_AFTER_S=soon", ["HUB_STALE_AFTER_S='soon'", "must be a valid number"]),
        ("HUB_LISTEN=[::1:5", ["HUB_LISTEN='[::1:5'", "expected HOST:PORT"]),
        ("HUB_STALE_AFTER_S=-1", ["HUB_STALE_AFTER_S='-1'", "must be greater than or equal to 0.1"]),
        ("HUB_STALE_AFTER_S=nan", ["HUB_STALE_AFTER_S='nan'", "must be a finite number"]),
        ("HUB_STALE_AFTER_S", ["HUB_STALE_AFTER_S", "a value is missing"]),
        ("HUB_FLAP_THRESHOLD=5", ["HUB_FLAP_THRESHOLD=5 cannot be reached", "at most 4 flaps", "use 2 to 4"]),
        ("HUB_FLAP_THRESHOLD=9", ["HUB_FLAP_THRESHOLD=9 cannot be reached", "at least 30 s apart", "longer window"]),
        ("HUB_FLAP_EXIT=3", ["HUB_FLAP_EXIT=3 must be less than HUB_FLAP_THRESHOLD=3", "use 1 to 2"]),
        ("HUB_FLAP_RULE=nagios", ["HUB_FLAP_RULE='nagios'", "expected one of window, weighted, decay"]),
        ("HUB_FLAP_RULE=weighted low=3% low=4%", ["low of weighted is given twice"]),
        ("HUB_FLAP_RULE=window low=3%", ["'low=3%' is not a parameter of window, which takes no parameters"]),
        ("HUB_FLAP_RULE=weighted low=20", ["expected low in percent, as in low=20%, not '20'"]),
        ("HUB_FLAP_RULE=weighted low=40%", ["0% < low <= high <= 100%"]),
        ("HUB_FLAP_RULE=weighted check=1s", ["high=30% cannot be reached", "a check longer than 1s"]),
        ("HUB_FLAP_RULE=decay half_life=soon", ["expected half_life to be a time from 0.1s to 7d", "not 'soon'"]),
        ("HUB_FLAP_RULE=decay max=15m", ["reuse < suppress < the greatest penalty", "= 1500"]),
        ("HUB_FLAP_RULE=decay half_life=20s max=10m", ["suppress=2000 cannot be reached", "two flaps each 30 s"]),
        ("HUB_HOLD_DOWN=1 heartbeats", ["HUB_HOLD_DOWN='1 heartbeats'", "from 2 to 1000", "as in '10s'"]),
        ("HUB_HOLD_DOWN=10", ["HUB_HOLD_DOWN='10'", "expected off"]),
        ("HUB_LISTEN=0.0.0.0:1", ["HUB_LISTEN='0.0.0.0:1' is not a loopback", "HUB_TLS_CERT", "HUB_INSECURE=1"]),
        ("HUB_LISTEN=0.0.0.0:1\nHUB_TOKENS=t", ["HUB_LISTEN='0.0.0.0:1' is not a loopback"]),
        ("HUB_LISTEN=0.0.0.0:1\nHUB_TLS_CERT=c\nHUB_TLS_KEY=k", ["HUB_LISTEN='0.0.0.0:1' is not a loopback"]),
        ("HUB_ADMIN_LISTEN=[::]:1", ["HUB_ADMIN_LISTEN='[::]:1' is not a loopback"]),
        ("HUB_ADMIN_LISTEN=here", ["HUB_ADMIN_LISTEN='here': expected HOST:PORT"]),
        ("HUB_LISTEN=\nHUB_INSECURE=1", ["HUB_LISTEN='': expected HOST:PORT"]),
        ("HUB_ADMIN_LISTEN=here\nHUB_INSECURE=1", ["HUB_ADMIN_LISTEN='here': expected HOST:PORT"]),
        ("HUB_HTTP_LISTEN=here\nHUB_INSECURE=1", ["HUB_HTTP_LISTEN='here': expected HOST:PORT"]),
        ("HUB_LISTEN=a\nHUB_TLS_CERT=c\nHUB_TLS_KEY=k\nHUB_TOKENS=t", ["HUB_LISTEN='a': expected HOST:PORT"]),
        ("HUB_TLS_CERT=c", ["HUB_TLS_CERT and HUB_TLS_KEY belong together"]),
        ("HUB_TLS_CLIENT_CA=ca.pem", ["HUB_TLS_CLIENT_CA='ca.pem' needs TLS"]),
        ("HUB_LISTEN=localhost", ["HUB_LISTEN='localhost'", "expected HOST:PORT"]),
        ("HUB_LISTEN=localhost:99999", ["HUB_LISTEN='localhost:99999'", "0 to 65535"]),
        ("HUB_LOG_LEVEL=loud", ["HUB_LOG_LEVEL='loud'", "'debug', 'info', 'warning' or 'error'"]),
        ("HUB_HISTORY_CHUNKS=1.5", ["HUB_HISTORY_CHUNKS='1.5'", "must be a valid integer"]),
        ("HUB_INSECURE=perhaps", ["HUB_INSECURE='perhaps'", "must be a valid boolean"]),
    ],
)
def test_a_mistake_is_one_line_with_file_key_value_and_what_is_allowed(
    tmp_path: Path, line: str, parts: list[str]
) -> None:
    path = a_file(tmp_path, line + "\n")
    with pytest.raises(HubError) as caught:
        HubSettings.load(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in [str(path), *parts]:
        assert part in message


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:1", "[::1]:1", "127.8.8.8:1"])
def test_loopback_needs_no_permission(listen: str) -> None:
    assert HubSettings.of(listen=listen).listen == listen


def test_another_address_is_allowed_when_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_LISTEN", "0.0.0.0:50551")
    monkeypatch.setenv("HUB_INSECURE", "1")
    assert HubSettings.load().address == ("0.0.0.0", 50551)


@pytest.mark.parametrize("credentials", [{"tls_client_ca": "ca"}, {"tokens": "t"}])
def test_another_address_needs_no_permission_with_tls_and_credentials(credentials: dict[str, str]) -> None:
    settings = HubSettings.of(listen="0.0.0.0:1", tls_cert="c", tls_key="k", **credentials)
    assert settings.open_addresses == {}
    assert settings.changed(admin_listen="10.0.0.1:2").open_addresses == {}


def test_operators_get_an_address_of_their_own_unless_nodes_are_on_loopback_too() -> None:
    assert HubSettings.of().admin_address == ""
    assert HubSettings.of(listen="0.0.0.0:1", insecure=True).admin_address == "127.0.0.1:50552"
    shown = HubSettings.of(listen="0.0.0.0:1", admin_listen="10.0.0.1:2", insecure=True)
    assert shown.open_addresses == {"listen": "0.0.0.0:1", "admin_listen": "10.0.0.1:2"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\x01", b"HUB_LISTEN=\x00"])
def test_what_is_no_env_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "hub.env"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HubError, match="cannot be read as an env file"):
        HubSettings.load(path)
    with pytest.raises(HubError, match="cannot be read as an env file"):
        HubSettings.load(tmp_path)


def test_a_path_of_another_type_is_refused_in_plain_words() -> None:
    with pytest.raises(HubError, match=r"^HUB_FILES_DIR=3: must be a path$"):
        HubSettings.of(files_dir=3)


def test_what_is_allowed_is_all_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_STALE_AFTER_S", "soon")
    with pytest.raises(HubError, match=r"^HUB_STALE_AFTER_S='soon': must be a valid number$"):
        HubSettings.load()


def test_a_mistake_in_the_environment_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_FLAP_EXIT", "many")
    with pytest.raises(HubError, match=r"^HUB_FLAP_EXIT='many': must be a valid integer"):
        HubSettings.load(a_file(tmp_path, "HUB_FLAP_EXIT=1\n"))


SECRET = "redis://user:s3cret@host:6379/0"


def test_the_password_of_the_store_is_kept_and_not_shown(tmp_path: Path) -> None:
    settings = HubSettings.of(store_url=SECRET)
    assert settings.changed(listen="127.0.0.1:0").store_url == SECRET
    shown = [repr(settings), str(settings), settings.model_dump_json(), settings.to_env()]
    shown.append(str(settings.model_dump(mode="json")))
    assert [text for text in shown if "s3cret" in text] == []
    assert "HUB_STORE_URL=redis://***@host:6379/0" in settings.to_env()


def test_a_key_that_is_mistyped_does_not_show_a_password(tmp_path: Path) -> None:
    (tmp_path / "hub.env").write_text(f"HUB_STORE_URI={SECRET}\n")
    with pytest.raises(HubError, match=r"HUB_STORE_URI='redis://\*\*\*@host:6379/0': no such setting"):
        HubSettings.load(tmp_path / "hub.env")
    with pytest.raises(HubError, match=r"store_uri='redis://\*\*\*@host:6379/0': no such setting"):
        HubSettings.of(store_uri=SECRET)
