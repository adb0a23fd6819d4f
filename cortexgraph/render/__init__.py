"""Pictures of networks: areas and connections, and their updates over time."""

from cortexgraph.render.areas import draw_areas, draw_beside, is_dense
from cortexgraph.render.canvas import PAGE_CM, PAGE_WIDTH_CM
from cortexgraph.render.drawing import Drawing, check_suffixes
from cortexgraph.render.labels import LABELS, WEIGHTS
from cortexgraph.render.matrix import draw_connections
from cortexgraph.render.scene import FOLDS, Fold
from cortexgraph.render.schedule import draw_timetable
from cortexgraph.render.updates import draw_updates
