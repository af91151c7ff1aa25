"""Benchmarks, and tests with faults. A package, because an installed distribution may have one of the same name."""
