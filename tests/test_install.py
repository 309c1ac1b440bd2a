"""What the documents tell a user to type to install Heartbench, typed to the pip that Python itself brings."""

import ensurepip
import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FORM = re.compile(r"pip install '(heartbench\[\w+\] @ [^']*/path/to/heartbench)'")
EXTRA = re.compile(r"\[\w+\]")


def forms() -> list[str]:
    """The requirements that the documents have a user install from a folder, all with the same extra."""
    found = {form for page in DOCS for form in FORM.findall(page.read_text("utf-8"))}
    return sorted({EXTRA.sub("[all]", form) for form in found})


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def bundled_pip(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of that pip in an empty environment, which sees of ours only setuptools."""
    wheels = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not wheels:
        pytest.skip("this Python was built without the wheel of pip")
    folder = tmp_path_factory.mktemp("throwaway")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env/bin/python"
    tools = folder / "tools"
    tools.mkdir()
    ours = Path(setuptools.__file__).resolve().parent.parent
    for found in [*ours.glob("setuptools*"), *ours.glob("_distutils_hack")]:
        (tools / found.name).symlink_to(found)
    show = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.strip()
    (Path(site) / "tools.pth").write_text(f"{tools}\n")
    return [str(python), f"{wheels[-1]}/pip"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the last commit of these sources alone; pip cannot clone one whose history was cut short."""
    folder = tmp_path_factory.mktemp("sources") / "heartbench"
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("these sources are not in a git repository")
    git(ROOT, "clone", "-q", "--depth=1", f"file://{ROOT}", str(folder))
    shutil.rmtree(folder / ".git")
    git(folder, "init", "-q")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "-q", "-m", "all")
    return folder


def test_the_documents_say_how() -> None:
    assert forms()


def pip(command: list[str], *arguments: str) -> str:
    """Run it where neither our sources nor a user's settings are seen; return what it says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    clean["PIP_CONFIG_FILE"] = os.devnull
    done = subprocess.run([*command, *arguments], env=clean, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", forms())
def test_what_the_documents_say_installs_it(form: str, bundled_pip: list[str], repository: Path) -> None:
    wanted = form.replace("/path/to/heartbench", str(repository))
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    assert pip(bundled_pip, "install", *options, wanted) == ""
    assert f"Location: {Path(bundled_pip[0]).parents[1]}" in pip(bundled_pip, "show", "heartbench")
