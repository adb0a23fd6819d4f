"""Labelled images in memory, from a built-in generator, CIFAR-10 or a directory, and batches of them."""

from cortexgraph.data.augment import Augment
from cortexgraph.data.batches import Batches
from cortexgraph.data.images import ImageData, LabelledImages
from cortexgraph.data.load import load_data

__all__ = ["Augment", "Batches", "ImageData", "LabelledImages", "load_data"]
