"""CPU, memory and open files of this process, under the names that all Prometheus libraries use.

prometheus-client's own collector lists /proc/self/fd to count it, which takes 12 ms with 10,000 connections, and the
rest of the text 2 ms. Linux 6.2 and newer state the count as the folder's size.
"""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

FILES = Path("/proc/self/fd")
PAGE_BYTES = resource.getpagesize()


def process_metrics() -> Iterator[Metric]:
    """Yield the metrics of this process now."""
    yield CounterMetricFamily("process_cpu_seconds", "User and system CPU time.", value=time.process_time())
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE_BYTES
    yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", value=resident)
    yield GaugeMetricFamily("process_open_fds", "Open file descriptors.", value=open_files())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield GaugeMetricFamily("process_max_fds", "Open file descriptors that the system allows.", value=most)


def open_files() -> int:
    """Return the number of open file descriptors."""
    return FILES.stat().st_size or len(os.listdir(FILES))
