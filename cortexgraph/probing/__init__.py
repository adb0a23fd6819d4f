"""What drives a network: attribution of a readout over time, and preferred stimuli of its units."""

from cortexgraph.extras import explained

try:
    from cortexgraph.probing.attribution import Attribution, attribute
    from cortexgraph.probing.preferred import PreferredStimuli, preferred_stimulus
except ModuleNotFoundError as error:
    raise explained(error) from None

__all__ = ["Attribution", "PreferredStimuli", "attribute", "preferred_stimulus"]
