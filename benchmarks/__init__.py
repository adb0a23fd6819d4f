"""Measurements of cortexgraph against the loop that people write today: `python -m benchmarks --help`.

Ratios are taken in one interleaved run, so that a busy machine slows both sides; nothing here is a timed test.
"""
