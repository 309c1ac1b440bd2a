"""How the hub logs: one line of key=value pairs per entry, on standard error. Heartbeats are counted, never logged."""

import logging
import sys

import structlog

ORDER = ["timestamp", "level", "event"]


def configure(level: str) -> None:
    """Log entries that are at least as severe as `level`."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=ORDER),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
