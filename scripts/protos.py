"""Generate the Python code and stubs of the wire contract beside its .proto; `--check` fails where they differ."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path("protos")


def generate(proto: str, out: Path) -> None:
    """Run protoc with the plugins of this interpreter's environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    options = [f"--{kind}_out={out}" for kind in ("python", "mypy", "grpc_python", "mypy_grpc")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", *options, proto]
    subprocess.run(command, check=True, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL)


def main() -> None:
    """`protos.py [--check] FILE.proto`."""
    proto = sys.argv[-1]
    if "--check" not in sys.argv:
        generate(proto, ROOT)
        return
    with tempfile.TemporaryDirectory() as fresh:
        generate(proto, Path(fresh))
        made = [file for file in Path(fresh).rglob("*") if file.is_file()]
        old = [f for f in made if (ROOT / f.relative_to(fresh)).read_bytes() != f.read_bytes()]
    if old:
        sys.exit(f"{proto}: the generated code is out of date ({', '.join(f.name for f in old)}); run: make protos")


if __name__ == "__main__":
    main()
