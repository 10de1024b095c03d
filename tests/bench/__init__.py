"""Benchmarks: run by hand, never collected; timings are ratios within one run."""
