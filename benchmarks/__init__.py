"""Measurements of cortexgraph against a hand-written baseline: `python -m benchmarks --help`.

Ratios are taken in one interleaved run, so that a busy machine slows both sides; nothing here is a timed test.
"""
