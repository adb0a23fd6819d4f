"""The language: what a spec may say, and how specs are read, written and checked one by one."""

from cortexgraph.spec.loading import load, loads
from cortexgraph.spec.model import (
    IMAGE,
    AreaDefaults,
    AreaSpec,
    ConnectionDefaults,
    ConnectionSpec,
    DefaultsSpec,
    InputSpec,
    NetworkSpec,
    NormSpec,
    ReadoutSpec,
    ResizeSpec,
    TimeSpec,
)
from cortexgraph.spec.origin import Origin
from cortexgraph.spec.saving import dumps, json_schema, save
from cortexgraph.spec.starter import starter
from cortexgraph.spec.zoo import zoo, zoo_path

__all__ = [
    "IMAGE",
    "AreaDefaults",
    "AreaSpec",
    "ConnectionDefaults",
    "ConnectionSpec",
    "DefaultsSpec",
    "InputSpec",
    "NetworkSpec",
    "NormSpec",
    "Origin",
    "ReadoutSpec",
    "ResizeSpec",
    "TimeSpec",
    "dumps",
    "json_schema",
    "load",
    "loads",
    "save",
    "starter",
    "zoo",
    "zoo_path",
]
