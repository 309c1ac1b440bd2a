"""The reference hub as a process: `python -m heartbench.hub`, or `heartbench hub`."""

import asyncio
import json
import os
import signal
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from heartbench.hub import logs
from heartbench.hub.config import HubSettings, ignored, sources
from heartbench.hub.envfile import env_name, env_value
from heartbench.hub.errors import HubError
from heartbench.hub.program import allow_many_connections, quietly, run, warn

FLUSH_S = 0.5
"""How long the end of the hub waits for the reader of its log."""


def hub(
    env: Annotated[
        Path | None,
        typer.Option(help="File of HUB_KEY=value lines, such as `tune` writes. Environment variables override it."),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Show every setting, its value, its source and its meaning, then exit."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object when the hub is ready.")] = False,
) -> None:
    """Start the reference hub. It prints its address when it is ready, and stops on SIGINT or SIGTERM.

    Each HUB_ setting comes from the environment, else from the file, else it has its default. SIGHUP, or a change of
    the file, reloads what can change while the hub runs.
    """
    settings = HubSettings.load(env)
    warn(*ignored())
    if print_config:
        show(settings.shown(), sources(env), as_json)
        return
    if env:
        # One that comes before the hub is ready would end it. The file is read again then, so nothing is missed.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Before gRPC is loaded: it would write a line for each handshake that fails, past our log.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from heartbench.hub.rpc.server import HubServer, collect_less_garbage, serve

    logs.configure(settings.log_level, settings.log_format)

    def ready(server: HubServer) -> None:
        http = server.http.address if server.http else ""
        addresses = {"address": server.address, "admin_address": server.admin_address, "http_address": http}
        report = {"schema": "heartbench.hub/1", **addresses, "pid": os.getpid()}
        print(json.dumps(report) if as_json else server.address, flush=True)

    collect_less_garbage()
    try:
        asyncio.run(serve(settings, ready, env, lambda changed: logs.set_level(changed.log_level)))
    finally:
        logs.flush(FLUSH_S)


def show(settings: HubSettings, source_of: dict[str, str], as_json: bool) -> None:
    """Print every setting with its value, its source and its meaning, as an env file or one JSON object."""
    rows: list[dict[str, Any]] = [
        {
            "name": env_name(name),
            "value": env_value(getattr(settings, name)),
            "source": source_of.get(name, "default"),
            "default": env_value(field.default),
            "meaning": " ".join((field.description or "").split()),
        }
        for name, field in HubSettings.model_fields.items()
    ]
    if as_json:
        print(json.dumps({"schema": "heartbench.hub-config/1", "settings": rows}))
        return
    for row in rows:
        print(textwrap.fill(f"{row['meaning']} [{row['source']}]", 100, initial_indent="# ", subsequent_indent="# "))
        print(f"{row['name']}={row['value']}\n")


def app() -> typer.Typer:
    """Return the command line of the hub alone."""
    frame = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    frame.command()(hub)
    return frame


def main() -> None:
    """Run `python -m heartbench.hub`."""
    allow_many_connections()
    sys.exit(quietly(lambda: run(app, "python -m heartbench.hub", sys.argv[1:], lambda: (OSError, HubError))))


if __name__ == "__main__":
    main()
