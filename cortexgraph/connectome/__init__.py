"""Measured connectivity: tables of interareal connections as specs, and back."""

from __future__ import annotations

from cortexgraph.connectome.build import Rules, connectome_spec, level_of_each, projections_of
from cortexgraph.connectome.table import Projection, csv_text, read_connectome

__all__ = ["Projection", "Rules", "connectome_spec", "csv_text", "level_of_each", "projections_of", "read_connectome"]
