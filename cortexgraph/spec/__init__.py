"""The language: what a spec may say, and how specs are read, written and checked one by one."""

from cortexgraph.spec.area import AreaDefaults, AreaSpec, Chain, NormSpec, OperationSpec
from cortexgraph.spec.base import Model, Span, Window
from cortexgraph.spec.connection import ConnectionDefaults, ConnectionSpec, ResizeSpec, TieSpec
from cortexgraph.spec.fields import IMAGE
from cortexgraph.spec.loading import SpecLike, load, loads, resolve, starter, zoo, zoo_path
from cortexgraph.spec.model import DefaultsSpec, InputSpec, NetworkSpec, ReadoutSpec, TimeSpec
from cortexgraph.spec.origin import Origin
from cortexgraph.spec.saving import dumps, json_schema, save

__all__ = [
    "IMAGE",
    "AreaDefaults",
    "AreaSpec",
    "Chain",
    "ConnectionDefaults",
    "ConnectionSpec",
    "DefaultsSpec",
    "InputSpec",
    "Model",
    "NetworkSpec",
    "NormSpec",
    "OperationSpec",
    "Origin",
    "ReadoutSpec",
    "ResizeSpec",
    "Span",
    "SpecLike",
    "TieSpec",
    "TimeSpec",
    "Window",
    "dumps",
    "json_schema",
    "load",
    "loads",
    "resolve",
    "save",
    "starter",
    "zoo",
    "zoo_path",
]
