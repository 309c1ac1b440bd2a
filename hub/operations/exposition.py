"""The metrics as text, in Prometheus's format or in OpenMetrics', as the scraper asks for it."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from heartbench.hub.operations.calls import CallCounts
from heartbench.hub.operations.metrics import METRICS
from heartbench.hub.operations.metrics import Metric as Row
from heartbench.hub.operations.process import process_metrics
from heartbench.hub.stats import HubStats
from heartbench.hub.work.histogram import Histogram

TYPED = ("grpc_type", "grpc_service", "grpc_method")


class HubCollector(Collector):
    """The table of metrics, gRPC's own and those of the process, with the figures of one moment."""

    def __init__(self, stats: HubStats, calls: CallCounts) -> None:
        self._stats = stats
        self._calls = calls

    def collect(self) -> Iterator[Metric]:
        """Yield each metric that the hub has a value for."""
        for row in METRICS:
            values = row.values(self._stats)
            if isinstance(values, Histogram):
                yield histogram(row, values)
            elif values is not None:
                family = CounterMetricFamily if row.is_counter else GaugeMetricFamily
                metric = family(row.full_name, row.help, labels=[row.label] if row.label else [])
                for value, number in values.items():
                    metric.add_metric([value] if row.label else [], number)
                yield metric
        yield from self._of_calls()
        yield from process_metrics()

    def _of_calls(self) -> Iterator[Metric]:
        started = CounterMetricFamily("grpc_server_started", "Calls that began, streams included.", labels=TYPED)
        for method, count in list(self._calls.started.items()):
            started.add_metric(method, count)
        yield started
        labels = (*TYPED, "grpc_code")
        handled = CounterMetricFamily("grpc_server_handled", "Calls that ended, by status code.", labels=labels)
        for (method, code), count in list(self._calls.handled.items()):
            handled.add_metric((*method, code), count)
        yield handled


def histogram(row: Row, counted: Histogram) -> HistogramMetricFamily:
    """Return a histogram as cumulative buckets."""
    buckets, below = [], 0
    for bound, count in zip((*counted.bounds, float("inf")), counted.counts, strict=True):
        below += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(below)))
    return HistogramMetricFamily(row.full_name, row.help, buckets, counted.total)


class Exposition:
    """Writes the metrics of one hub and its process."""

    def __init__(self, calls: CallCounts) -> None:
        self._calls = calls

    def text(self, stats: HubStats, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, for the Accept header of a request."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(HubCollector(stats, self._calls))
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type
