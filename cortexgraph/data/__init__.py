"""Labelled images in memory, from a built-in generator, CIFAR-10 or a directory, and batches of them."""

from cortexgraph.data.augment import Augment
from cortexgraph.data.batches import Batches
from cortexgraph.data.images import ImageData, LabelledImages
from cortexgraph.data.load import load_data
from cortexgraph.data.stimuli import Stimuli, load_stimuli

__all__ = ["Augment", "Batches", "ImageData", "LabelledImages", "Stimuli", "load_data", "load_stimuli"]
