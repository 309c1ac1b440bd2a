"""How to install an extra of this distribution: from where it was installed itself, because no index need have it.

pip notes where a distribution came from in `direct_url.json` (PEP 610); one that came from an index has no such file.
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
    noted = next((text for copy in copies if (text := copy.read_text("direct_url.json"))), None)
    if noted:
        return command_for(extra, json.loads(noted))
    installed = any(copy.read_text("INSTALLER") for copy in copies)  # else they are sources that were put on the path
    return command_for(extra, None if installed else {"url": SOURCES.as_uri(), "dir_info": {}})


def command_for(extra: str, origin: Mapping[str, Any] | None) -> str:
    """Return the command for what `direct_url.json` holds; None: it came from an index."""
    named = f"{NAME}[{extra}]"
    if origin is None:
        return f"pip install '{named}'"
    url: str = origin["url"]
    if origin.get("dir_info", {}).get("editable"):
        return f"pip install -e '{unquote(urlsplit(url).path)}[{extra}]'"
    if vcs := origin.get("vcs_info"):
        wanted = f"@{vcs['requested_revision']}" if "requested_revision" in vcs else ""
        # Without a host, pip before 23.3 takes it for a path.
        url = f"{vcs['vcs']}+{url.replace('file:///', 'file://localhost/')}{wanted}"
    return f"pip install '{named} @ {url}'"
