"""The container's file is followed step by step into a folder, and what it made is started as the file says."""

import ensurepip
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from urllib.request import urlopen

import pytest

from heartbench.hub.config import HubSettings
from heartbench.hub.envfile import env_name
from heartbench.hub.errors import HubError

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "Containerfile"
OFFLINE = "--no-index --no-deps --no-build-isolation"
PIP = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")) / "pip"
Step = tuple[str, str]


def steps() -> list[Step]:
    """Return the instructions of the file with their arguments, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", FILE.read_text(encoding="utf-8")).splitlines()
    found = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in found]


def variables() -> dict[str, str]:
    """Return what ENV sets."""
    return dict(word.split("=", 1) for step, rest in steps() if step == "ENV" for word in shlex.split(rest))


def command(instruction: str) -> list[str]:
    """Return the words of ENTRYPOINT, or of HEALTHCHECK's command."""
    rest = next(rest for step, rest in steps() if step == instruction)
    words: list[str] = json.loads(rest[rest.index("[") :])
    return words


def test_it_sets_only_what_is_a_setting_and_asks_for_credentials() -> None:
    names = {env_name(name) for name in HubSettings.model_fields}
    assert variables().keys() <= names
    assert "HUB_INSECURE" not in variables()
    with pytest.raises(HubError, match="is not a loopback address"):
        HubSettings.of(listen=variables()["HUB_LISTEN"])


def test_the_user_is_not_root_and_owns_the_volume() -> None:
    made = next(rest for step, rest in steps() if step == "RUN" and rest.startswith("useradd"))
    user, volume = (next(rest for step, rest in steps() if step == word) for word in ("USER", "VOLUME"))
    assert shlex.split(made)[-1] == user
    assert f"--home-dir {volume} --create-home" in made
    assert variables()["HUB_STORE_URL"].startswith(f"sqlite:///{volume}/")


def test_its_extras_are_ours() -> None:
    (extras,) = (found[1] for step, rest in steps() if step == "RUN" and (found := re.search(r"/src\[(.*)\]", rest)))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()


def quick(shell: str) -> str:
    """Return a RUN step that uses Python's own pip where it is, and builds and installs nothing but our package."""
    return shell.replace("-m venv", "-m venv --without-pip").replace("/pip install", f"/python {PIP} install {OFFLINE}")


@pytest.mark.slow
def test_its_steps_make_a_hub_that_serves_and_drains(tmp_path: Path) -> None:
    """Follows COPY and RUN below a folder in place of the image's root; making the user is left out.

    What the hub needs comes from our own environment: installing it anew takes a minute and proves nothing of the file.
    """

    def below(text: str) -> str:
        return re.sub(r"(?<![\w./])/(opt|src|var)\b", lambda match: f"{tmp_path}/{match[1]}", text)

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HUB_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    for step, rest in steps():
        if (step, rest) == ("COPY", ". /src"):
            subprocess.run(["git", "clone", "-q", f"file://{ROOT}", below("/src")], check=True, timeout=60)
        elif step == "RUN" and not rest.startswith("useradd"):
            run = ["sh", "-c", quick(below(rest))]
            subprocess.run(run, env={**clean, "PATH": path}, check=True, timeout=120, capture_output=True)
            (site,) = Path(below("/opt/heartbench/lib")).glob("python*/site-packages")
            (site / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    data = Path(below("/var/lib/heartbench"))
    data.mkdir(parents=True)
    settings = {name: below(value) for name, value in variables().items()}
    settings |= {"HUB_STORE_URL": f"sqlite:///{data}/heartbench.db", "HUB_INSECURE": "1"}
    settings |= {"HUB_LISTEN": "0.0.0.0:0", "HUB_ADMIN_LISTEN": "127.0.0.1:0", "HUB_HTTP_LISTEN": "127.0.0.1:0"}
    with subprocess.Popen(
        [*(below(word) for word in command("ENTRYPOINT")), "--json"],
        env={**clean, **settings}, cwd=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as hub:  # fmt: skip
        assert hub.stdout is not None
        http = json.loads(hub.stdout.readline())["http_address"]
        with urlopen(f"http://{http}/metrics", timeout=10) as page:
            assert b"heartbench_hub_nodes" in page.read()
        check = [below(word) for word in command("HEALTHCHECK")]
        subprocess.run(check, env={**clean, "HUB_HTTP_LISTEN": http}, check=True, timeout=30)
        hub.send_signal(signal.SIGTERM)
        assert "hub has stopped" in hub.communicate(timeout=10)[1]
    assert hub.returncode == 0
    assert (data / "heartbench.db").exists()
