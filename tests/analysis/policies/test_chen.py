"""Chen's detector and the two-window detector by hand."""

from heartbench.hub import Chen, TwoWindow
from heartbench.mesh.kinds import Kind

INTERVAL_S = 10.0


def test_the_next_heartbeat_is_expected_from_the_mean_of_the_last() -> None:
    detector = Chen(margin_s=3.0, interval_s=INTERVAL_S, window=2).detector(0.0)
    assert detector.observe(100.0, 0, Kind.HELLO) == 113.0
    assert detector.observe(105.0, 1, Kind.HEARTBEAT) == 118.0  # 95 + 2 · 10 + 3
    assert detector.observe(117.0, 2, Kind.HEARTBEAT) == 129.0  # (95 + 97) / 2 + 3 · 10 + 3
    assert detector.observe(119.0, 1, Kind.HEARTBEAT) == 129.0  # overtaken
    assert detector.observe(120.0, 0, Kind.CHUNK) == 129.0
    assert detector.observe(135.0, 0, Kind.CHUNK) == 138.0  # later than expected: the margin counts from now
    assert detector.observe(140.0, 0, Kind.HELLO) == 153.0


def test_the_announced_interval_goes_before_the_default() -> None:
    parameters = Chen(margin_s=3.0, interval_s=INTERVAL_S)
    assert parameters.detector(2.0).observe(0.0, 0, Kind.HELLO) == 5.0
    assert parameters.detector(2.0).deadline_after_restart(1.0) == 6.0
    assert (parameters.usual_silence_s(2.0), parameters.usual_silence_s(0.0)) == (5.0, 13.0)


def test_of_two_windows_the_one_that_expects_later_counts() -> None:
    detector = TwoWindow(margin_s=1.0, short=1, long=3).detector(10.0)
    for seq, at in ((1, 10.0), (2, 20.0), (3, 30.0)):
        assert detector.observe(at, seq, Kind.HEARTBEAT) == at + 11.0
    assert detector.observe(46.0, 4, Kind.HEARTBEAT) == 57.0  # the short window: 6 + 5 · 10; the long one: 2 + 5 · 10
    assert detector.observe(50.0, 5, Kind.HEARTBEAT) == 63.0  # the short window: 0 + 6 · 10; the long one: 2 + 6 · 10
