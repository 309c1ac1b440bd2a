"""The command that installs an extra of this distribution from its own source, because it may not be on any index.

pip records the source of a distribution in `direct_url.json` (PEP 610); one from an index has no such file.
"""

import json
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = "heartbench"
SOURCES = Path(__file__).resolve().parent.parent


def how_to_install(extra: str) -> str:
    """Return the command that installs this distribution with an extra."""
    copies = list(distributions(name=NAME))
    recorded = next((text for copy in copies if (text := copy.read_text("direct_url.json"))), None)
    if recorded:
        return command_for(extra, json.loads(recorded))
    installed = any(copy.read_text("INSTALLER") for copy in copies)  # else the sources are on the path
    return command_for(extra, None if installed else {"url": SOURCES.as_uri(), "dir_info": {}})


def command_for(extra: str, origin: Mapping[str, Any] | None) -> str:
    """Return the command for the content of `direct_url.json`; None for a distribution from an index."""
    named = f"{NAME}[{extra}]"
    if origin is None:
        return f"pip install '{named}'"
    url: str = origin["url"]
    if origin.get("dir_info", {}).get("editable"):
        return f"pip install -e '{unquote(urlsplit(url).path)}[{extra}]'"
    if vcs := origin.get("vcs_info"):
        wanted = f"@{vcs['requested_revision']}" if "requested_revision" in vcs else ""
        # pip before 23.3 takes a URL without a host for a path.
        url = f"{vcs['vcs']}+{url.replace('file:///', 'file://localhost/')}{wanted}"
    return f"pip install '{named} @ {url}'"
