"""Recording the states of areas over time to disk, and what is usually looked at first."""

from cortexgraph.extras import explained

try:
    from cortexgraph.recording.measures import accuracy_over_time, dissimilarity, mean_activity, separation
    from cortexgraph.recording.plan import Recorded, plan
    from cortexgraph.recording.record import Recording, record
except ModuleNotFoundError as error:
    raise explained(error) from None

__all__ = [
    "Recorded",
    "Recording",
    "accuracy_over_time",
    "dissimilarity",
    "mean_activity",
    "plan",
    "record",
    "separation",
]
