from heartbench.benchmarks.thresholds.profiles import NO_TAIL, compare_profiles, groups, plot_profiles


def test_each_profile_is_judged_under_each_of_its_tails() -> None:
    frame = compare_profiles(thresholds_s=[15.0, 60.0], nodes=3, duration_s=3600.0)

    kinds = set(frame[["profile", "tail"]].itertuples(index=False, name=None))
    assert kinds == {("lan", NO_TAIL), ("wireguard-5g", "exponential"), ("wireguard-5g", "lognormal")}
    assert len(frame) == 6
    assert (frame.false_stale_low <= frame.false_stale_per_node_day).all()
    assert (frame.false_stale_per_node_day <= frame.false_stale_high).all()


def test_the_noisiest_comes_first_and_the_plot_says_what_it_shows() -> None:
    frame = compare_profiles(thresholds_s=[15.0, 60.0], nodes=3, duration_s=3600.0)

    assert groups(frame)[0][0][0] == "wireguard-5g"
    assert "On wireguard-5g" in plot_profiles(frame).get_title(loc="left")
