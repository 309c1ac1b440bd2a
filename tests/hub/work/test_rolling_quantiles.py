from heartbench.hub.work.rolling_quantiles import RollingQuantiles


def test_quantiles_are_of_the_last_values_only() -> None:
    recent = RollingQuantiles(size=4)
    assert recent.quantile(0.5) == 0.0
    for value in (9.0, 9.0, 1.0, 2.0, 3.0, 4.0):
        recent.add(value)
    assert [recent.quantile(p) for p in (0.0, 0.5, 0.99, 1.0)] == [1.0, 3.0, 4.0, 4.0]
