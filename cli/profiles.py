"""`heartbench profiles`: list, show, measure, fit and compare link profiles, or print the schema of their files."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from heartbench.cli.errors import CommandError
from heartbench.cli.output import print_json, print_table
from heartbench.cli.profile_check import check
from heartbench.cli.profiles_fit import compare, fit
from heartbench.cli.resolved import QUANTILES, by_quantile, counted, link_figures, profile_text, rtt_s
from heartbench.simulator.ping import Survey, dropping, survey
from heartbench.simulator.profile import PROFILES, Profile, load_profile
from heartbench.simulator.schema import profile_schema
from heartbench.simulator.units import format_duration, parse_duration

profiles = typer.Typer(invoke_without_command=True, help="Link profiles: delay, loss and outages of a network.")

profiles.command()(fit)
profiles.command()(compare)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

MOST_PINGS = 20_000_000
LIST_CAPTION = (
    "`heartbench profiles show NAME` prints a profile with its sources. Long thresholds cannot be tuned with a profile "
    "for which no outages were counted (none)."
)


@profiles.callback()
def list_by_default(context: typer.Context, json: Json = False) -> None:
    """List the shipped link profiles if there is no subcommand."""
    if context.invoked_subcommand is None:
        list_profiles(json)
    elif json:
        raise CommandError(f"--json: must follow {context.invoked_subcommand}")


@profiles.command("list")
def list_profiles(json: Json = False) -> None:
    """List the shipped link profiles."""
    loaded = {name: load_profile(name) for name in PROFILES.names()}
    if json:
        briefs = [{"name": name, "summary": profile.summary, **_stated(profile)} for name, profile in loaded.items()]
        print_json({"schema": "heartbench.profiles/1", "profiles": briefs})
        return
    columns = ["profile", "RTT p50 ms", "p99 ms", "out of service", "outages\nobserved", "summary"]
    rows = [
        (
            name,
            *(f"{rtt * 1000:.3g}" for rtt in profile.rtt_quantile(np.array([0.5, 0.99]))),
            f"{profile.outage.out_fraction:.2%}",
            counted(profile),
            profile.summary,
        )
        for name, profile in loaded.items()
    ]
    print_table("", columns, rows, LIST_CAPTION)


@profiles.command()
def show(
    profile: Annotated[str, typer.Argument(help="Name of a shipped profile, or the path of a TOML file.")],
    measure: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Ping over the modelled link for this long and compare with the profile."
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Number of links to measure.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed.")] = 1,
    full: Annotated[bool, typer.Option("--full", help="Print resolved values, as for a file.")] = False,
    json: Json = False,
) -> None:
    """Print a link profile as TOML, or measure the modelled link.

    For a shipped profile, print its file with the sources. For a file, or with
    --full, print every key with its default filled in, and the figures of the
    link (RTT, outages by length) as comments. Pings that an outage holds
    count as answered, but not among the measured RTTs.
    """
    loaded = load_profile(profile)
    seen = None if measure is None else _measure(loaded, parse_duration(measure, "--measure"), nodes, seed)
    if json:
        result = {"schema": "heartbench.profile/1", "name": PROFILES.find(profile)[0], "profile": loaded.to_data()}
        result |= {"stated": _stated(loaded), "link": link_figures(loaded)} | (
            {} if seen is None else {"measured": _as_json(loaded, seen)}
        )
        print_json(result)
    elif seen is None and (full or profile not in PROFILES.names()):
        print(profile_text(loaded), end="")
    elif seen is None:
        print(PROFILES.find(profile)[2], end="")
    else:
        _print_comparison(profile, loaded, seen, f"{nodes} links for {measure}, seed {seed}")


@profiles.command()
def schema() -> None:
    """Print the JSON Schema of profile files, for editors.

    docs/scenarios.md says how to use it, and lists every key.
    """
    print_json(profile_schema())


def _stated(profile: Profile) -> dict[str, object]:
    rates = {f"{length:g}": rate * profile.outage.rate_factor for length, rate in profile.outage.knots}
    observed = profile.outage.observed
    seen = None if observed is None else {"hours": observed.hours, "outages": observed.count}
    return {"rtt_s": rtt_s(profile), "outages_per_hour": rates, "observed": seen}


@dataclass(frozen=True, slots=True)
class _Measured:
    """What pings found on a modelled link, and the round-trip times, s, of those that no outage held."""

    survey: Survey
    rtt_s: dict[str, float]


def _measure(profile: Profile, duration_s: float, nodes: int, seed: int) -> _Measured:
    if duration_s * nodes > MOST_PINGS:
        raise CommandError(
            f"--measure: {duration_s:g} s on {nodes} links are more pings than fit into memory; "
            f"expected at most {MOST_PINGS / nodes:g} s (one ping per second, {MOST_PINGS:,} in total)"
        )
    seen = survey(profile, duration_s, nodes, seed)
    if not profile.outage.hold:
        return _Measured(seen, _seen_rtt_s(seen))
    # The stated delays have no held pings. The same outages, dropping all packets, leave them out.
    return _Measured(seen, _seen_rtt_s(survey(dropping(profile), duration_s, nodes, seed)))


def _as_json(profile: Profile, seen: _Measured) -> dict[str, object]:
    rates = {f"{length:g}": seen.survey.outages_per_hour(length) for length, _ in profile.outage.knots}
    return {
        "rtt_s": seen.rtt_s,
        "outages_per_hour": rates,
        "lost": seen.survey.lost,
        "link_hours": seen.survey.hours,
    }


def _seen_rtt_s(seen: Survey) -> dict[str, float]:
    """Return the quantiles of the measured round-trip time, s; NaN if no ping was answered."""
    return by_quantile(np.quantile(seen.rtt_s if len(seen.rtt_s) else [math.nan], QUANTILES))


def _print_comparison(name: str, profile: Profile, seen: _Measured, how: str) -> None:
    rows = [_row(f"RTT {key}, ms", value * 1000, seen.rtt_s[key] * 1000) for key, value in rtt_s(profile).items()]
    for length, rate in profile.outage.knots:
        label = f"outages of {format_duration(length)} or more, per hour"
        rows.append(_row(label, rate * profile.outage.rate_factor, seen.survey.outages_per_hour(length)))
    rows.append(("pings lost", "", f"{seen.survey.lost:.2%}", ""))
    held = " RTT: without the pings that outages held." if profile.outage.hold else ""
    print_table(f"{name}: profile and model", ["", "stated", "measured", "difference"], rows, f"{how}.{held}")


def _row(label: str, stated: float, measured: float) -> tuple[str, str, str, str]:
    """Return a row: the stated and the measured figure, and their relative difference if it is defined."""
    if math.isnan(measured):
        return label, f"{stated:.4g}", "–", "–"
    return label, f"{stated:.4g}", f"{measured:.4g}", f"{measured / stated - 1:+.1%}" if stated else "–"


profiles.command()(check)
