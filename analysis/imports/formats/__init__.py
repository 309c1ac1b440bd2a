"""Formats of logs of hubs: one module each, all listed in `table`, and recognised by what a file holds."""

from heartbench.analysis.imports.formats.table import FORMATS, LogFormat, check_options, format_of

__all__ = ["FORMATS", "LogFormat", "check_options", "format_of"]
