"""The settings that a search recommends, as files: `hub.env` for the hub, `node.toml` for the nodes."""

import os
from collections.abc import Iterator
from pathlib import Path

from heartbench.analysis.evidence import Evidence
from heartbench.analysis.joint.knobs import NodeSetting
from heartbench.analysis.joint.search import Found
from heartbench.analysis.joint.words import assumption_lines, goal_text, lines_after
from heartbench.simulator.units import format_duration

NO_PINGS_S = 86_400.0
"""A keepalive time that no connection of a mobile node reaches: gRPC then sets the user timeout and sends no ping."""


TUNED = "Tuned by Heartbench"
"""How the files begin."""


def env_file(found: Found, evidence: Evidence) -> str:
    """Return the hub's settings as an env file that begins with their source."""
    return head(found, evidence) + "\n" + found.recommended.hub.to_env()


def node_file(found: Found, evidence: Evidence) -> str:
    """Return the nodes' settings as TOML, with the names that gRPC has for them in Go, Java and Python."""
    return head(found, evidence) + "\n" + "\n".join(node_lines(found.recommended.node)) + "\n"


def head(found: Found, evidence: Evidence) -> str:
    """Return where the settings come from, and what they assume, as comments."""
    both = "Settings of the hub and of the nodes belong together: set both, the nodes first."
    lines = [
        f"{TUNED} from {evidence.origin}, with {', '.join(sorted(found.question.free))} free.",
        f"Goal: {goal_text(found)}.",
        *([both] if found.question.of_nodes else []),
        *lines_after(found),
        *(f"Assumption: {each}." for each in assumption_lines(found, evidence)),
    ]
    return "".join(f"# {line.strip()}\n" for line in lines)


def is_tuned(file: Path) -> bool:
    """Return whether a file is one that a search wrote."""
    if not file.is_file() or not os.access(file, os.R_OK):
        return False
    with file.open("rb") as begun:
        return begun.readline().startswith(f"# {TUNED}".encode())


def node_lines(node: NodeSetting) -> Iterator[str]:
    """Yield the lines of a setting of the nodes."""
    yield "# The keys are those of a group in a scenario. A line that is missing: leave it as each group has it."
    if node.interval_s is not None:
        yield from ("", "# How often the node sends a heartbeat: your own timer.")
        yield f'heartbeat_interval = "{format_duration(node.interval_s)}"'
    yield from _keepalive(node)
    yield from _reconnect(node)


def _keepalive(node: NodeSetting) -> Iterator[str]:
    time_s, timeout_s = node.keepalive_s, node.user_timeout_s
    if time_s is None and timeout_s is None:
        return
    yield ""
    if time_s == 0 and timeout_s:
        yield "# No pings, but TCP_USER_TIMEOUT, which gRPC sets to the timeout once keepalive is on. So turn it on"
        yield "# with a time that no connection reaches:"
        time_s = NO_PINGS_S
    elif time_s:
        yield "# A gRPC server permits one ping in 300 s without data unless it is set otherwise, and answers more with"
        yield "# GOAWAY too_many_pings. Heartbench's hub permits any number."
    elif timeout_s:
        yield "# TCP_USER_TIMEOUT, which gRPC sets to the timeout once keepalive is on. Leave its time as it is."
    elif time_s == 0:
        yield "# gRPC's keepalive is off, which is its default."
    yield from _in_grpc(time_s, timeout_s)
    if time_s is not None:
        yield f'keepalive_time = "{format_duration(time_s)}"'
    if timeout_s:
        yield f'keepalive_timeout = "{format_duration(timeout_s)}"'
    if timeout_s is not None:
        yield f'user_timeout = "{format_duration(timeout_s)}"'


def _in_grpc(time_s: float | None, timeout_s: float | None) -> Iterator[str]:
    """Yield the options of gRPC for a keepalive time and timeout; without those that are 0 or not known."""
    named = [(name, value) for name, value in (("Time", time_s), ("Timeout", timeout_s)) if value]
    if named:
        go = ", ".join(f"{name}: {_go(value)}" for name, value in named)
        yield f"#   Go      keepalive.ClientParameters{{{go}}}"
        yield "#   Java    " + ".".join(f"keepAlive{name}({_java(value)})" for name, value in named)
        python = ", ".join(f'("grpc.keepalive_{name.lower()}_ms", {value * 1000:.0f})' for name, value in named)
        yield f"#   Python  {python}"


def _reconnect(node: NodeSetting) -> Iterator[str]:
    if node.reconnect_max_s is None:
        return
    max_s = node.reconnect_max_s
    yield from ("", "# The longest time between two attempts to connect.")
    yield f"#   Go      grpc.ConnectParams{{Backoff: backoff.Config{{..., MaxDelay: {_go(max_s)}}}}}"
    yield f'#   Python  ("grpc.max_reconnect_backoff_ms", {max_s * 1000:.0f})'
    yield "#   Java    ManagedChannelBuilder has no option for it"
    yield from ("[reconnect]", f'max = "{format_duration(max_s)}"')


def _go(seconds: float) -> str:
    whole = float(seconds).is_integer()
    return f"{seconds:.0f} * time.Second" if whole else f"{seconds * 1000:.0f} * time.Millisecond"


def _java(seconds: float) -> str:
    return f"{seconds:.0f}, SECONDS" if float(seconds).is_integer() else f"{seconds * 1000:.0f}, MILLISECONDS"
