"""`heartbench hub`: the reference hub as a process."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from heartbench.hub import logs
from heartbench.hub.config import HubSettings
from heartbench.hub.server import serve


def hub(
    env: Annotated[
        Path | None,
        typer.Option(help="File of HUB_KEY=value lines, such as `tune` writes. The environment goes before it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say that it is ready as one JSON object.")] = False,
) -> None:
    """Start the reference hub; it prints its address when it is ready, and ends on SIGINT or SIGTERM.

    Each HUB_ setting is taken from the environment, else from the file, else it has its default.
    """
    settings = HubSettings.load(env)
    logs.configure(settings.log_level)

    def ready(address: str) -> None:
        report = {"schema": "heartbench.hub/1", "address": address, "pid": os.getpid()}
        print(json.dumps(report) if as_json else address, flush=True)

    asyncio.run(serve(settings, ready))
