"""Images with their targets, in memory or streamed, from registered sources, and batches of them."""

from cortexgraph.extras import explained

try:
    from cortexgraph.data import (
        arrays,
        cifar10,
        folder,
        hugging_face,
        pack,
        shapes,
    )  # the registered data sets: one name here for each
    from cortexgraph.data.batches import Batches
    from cortexgraph.data.folder import Stimuli, load_stimuli
    from cortexgraph.data.images import Augment, ImageData, Images, LabelledImages, Targets
    from cortexgraph.data.load import Items, Request, load_data, register_data
    from cortexgraph.data.targets import register_target
except ModuleNotFoundError as error:
    raise explained(error) from None

__all__ = [
    "Augment",
    "Batches",
    "ImageData",
    "Images",
    "Items",
    "LabelledImages",
    "Request",
    "Stimuli",
    "Targets",
    "arrays",
    "cifar10",
    "folder",
    "hugging_face",
    "load_data",
    "load_stimuli",
    "pack",
    "register_data",
    "register_target",
    "shapes",
]
