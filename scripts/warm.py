"""Compile the loops of simulator and analysis now, so that the first command does not have to."""

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from heartbench.cli.app import invoke


def compile_virtual() -> None:
    """Simulate two nodes for ten minutes, judge them, and compute a ladder."""
    with tempfile.TemporaryDirectory(prefix="heartbench-") as folder:
        invoke(["run", "wireguard-5g", "--nodes", "2", "--duration", "10m", "--out", f"{folder}/run"])
        invoke(["tune", f"{folder}/run", "--out", str(Path(folder, "hub.env"))])
    invoke(["ladder"])


def compile_live() -> None:
    """Run one node at a real hub."""
    with tempfile.TemporaryDirectory(prefix="heartbench-") as folder:
        invoke(["run", "lan", "--engine", "live", "--nodes", "1", "--duration", "2s", "--out", f"{folder}/run"])


def main() -> None:
    """Compile both at once: what they share is compiled by one of them."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for each in [pool.submit(compile_virtual), pool.submit(compile_live)]:
            each.result()


if __name__ == "__main__":
    main()
