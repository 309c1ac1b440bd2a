"""The regression gate: compares the benchmarks of two revisions, and says how often it is wrong."""
