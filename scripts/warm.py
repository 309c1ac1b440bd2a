"""Compile the loops of simulator and analysis now, so that the first command does not have to."""

import tempfile
from pathlib import Path

from heartbench.cli.app import invoke


def main() -> None:
    """Simulate two nodes for ten minutes, judge them, compute a ladder, and run one node at a real hub."""
    with tempfile.TemporaryDirectory(prefix="heartbench-") as folder:
        simulated, real = str(Path(folder, "simulated")), str(Path(folder, "real"))
        invoke(["run", "wireguard-5g", "--nodes", "2", "--duration", "10m", "--out", simulated])
        invoke(["tune", simulated, "--out", str(Path(folder, "hub.env"))])
        invoke(["ladder"])
        invoke(["run", "lan", "--engine", "live", "--nodes", "1", "--duration", "2s", "--out", real])


if __name__ == "__main__":
    main()
