"""Benchmarks: what measures code, the suites that run and show it, and the gate that compares revisions."""
