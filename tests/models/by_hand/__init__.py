"""The library's models, written by hand from their papers' equations in plain torch, with no code of cortexgraph."""
