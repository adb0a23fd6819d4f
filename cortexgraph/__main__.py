"""`python -m cortexgraph`."""

from cortexgraph.cli import main

main()
