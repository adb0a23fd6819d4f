"""Modules and functions that emitted files carry with them.

Each is ordinary code, linted, typed and tested here; `cortexgraph.codegen` copies the source of those that a
network needs into its file, so that the file imports only torch. Nothing of cortexgraph imports this package, and
a definition may use only torch, what stands in `cortexgraph.codegen.helpers.IMPORTS`, and other definitions here.
"""
