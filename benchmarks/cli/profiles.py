"""`heartbench profiles`: which link profiles are shipped, what is in one, and whether its model does what it says."""

from typing import Annotated

import numpy as np
import typer

from heartbench.benchmarks.cli.output import print_json, print_table
from heartbench.simulator.ping import Survey, survey
from heartbench.simulator.profile import PROFILES, Profile, load_profile
from heartbench.simulator.units import format_duration, parse_duration

profiles = typer.Typer(help="Link profiles: what a network does to packets, in figures that were measured.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

QUANTILES = (0.05, 0.5, 0.9, 0.95, 0.99)


@profiles.command("list")
def list_profiles(json: Json = False) -> None:
    """List the shipped link profiles."""
    loaded = {name: load_profile(name) for name in PROFILES.names()}
    if json:
        briefs = [{"name": name, "summary": profile.summary, **_stated(profile)} for name, profile in loaded.items()]
        print_json({"schema": "heartbench.profiles/1", "profiles": briefs})
        return
    columns = ["profile", "RTT p50 ms", "p99 ms", "out of service", "what it is"]
    rows = [
        (
            name,
            *(f"{rtt * 1000:.3g}" for rtt in profile.rtt_quantile(np.array([0.5, 0.99]))),
            f"{profile.outage.out_fraction:.2%}",
            profile.summary,
        )
        for name, profile in loaded.items()
    ]
    print_table("", columns, rows, "`heartbench profiles show NAME` prints one with its sources.")


@profiles.command()
def show(
    profile: Annotated[str, typer.Argument(help="Name of a shipped profile, or the path of a TOML file.")],
    measure: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Ping over the modelled link for so long, and compare with the file."),
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Links to measure.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the links.")] = 1,
    json: Json = False,
) -> None:
    """Print a link profile as TOML with its sources, or measure the link that is modelled from it."""
    loaded = load_profile(profile)
    seen = None if measure is None else survey(loaded, parse_duration(measure, "--measure"), nodes, seed)
    if json:
        result = {"schema": "heartbench.profile/1", "name": PROFILES.find(profile)[0], "profile": loaded.to_data()}
        result |= {"stated": _stated(loaded)} | ({} if seen is None else {"measured": _measured(loaded, seen)})
        print_json(result)
    elif seen is None:
        print(PROFILES.find(profile)[2], end="")
    else:
        _print_comparison(profile, loaded, seen, f"{nodes} links for {measure}, seed {seed}")


def _stated(profile: Profile) -> dict[str, object]:
    rates = {f"{length:g}": rate * profile.outage.rate_factor for length, rate in profile.outage.rates}
    rtt = profile.rtt_quantile(np.array(QUANTILES))
    return {"rtt_s": {_name(p): value for p, value in zip(QUANTILES, rtt, strict=True)}, "outages_per_hour": rates}


def _measured(profile: Profile, seen: Survey) -> dict[str, object]:
    rates = {f"{length:g}": seen.outages_per_hour(length) for length, _ in profile.outage.rates}
    rtt = np.quantile(seen.rtt_s, QUANTILES)
    return {
        "rtt_s": {_name(p): value for p, value in zip(QUANTILES, rtt, strict=True)},
        "outages_per_hour": rates,
        "lost": seen.lost,
        "link_hours": seen.hours,
    }


def _print_comparison(name: str, profile: Profile, seen: Survey, how: str) -> None:
    stated, measured = profile.rtt_quantile(np.array(QUANTILES)), np.quantile(seen.rtt_s, QUANTILES)
    rows = [
        (f"RTT {_name(p)}, ms", f"{a * 1000:.4g}", f"{b * 1000:.4g}", f"{b / a - 1:+.1%}")
        for p, a, b in zip(QUANTILES, stated, measured, strict=True)
    ]
    for length, rate in profile.outage.rates:
        wanted, found = rate * profile.outage.rate_factor, seen.outages_per_hour(length)
        label = f"outages of {format_duration(length)} or more, per hour"
        rows.append((label, f"{wanted:.4g}", f"{found:.4g}", f"{found / wanted - 1:+.1%}"))
    rows.append(("pings lost", "", f"{seen.lost:.2%}", ""))
    print_table(f"{name}: the file and its model", ["", "stated", "measured", "off by"], rows, how)


def _name(probability: float) -> str:
    return f"p{probability * 100:g}"
