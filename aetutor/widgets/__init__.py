"""Widgets of core ipywidgets (7.7.1 and later): a slider moves, the model computes, the picture follows.

Each explorer is a box to display. `pictures(…)` and `readout_text(…)` compute what it shows for given settings, so that
a test, or a static figure, can ask for the same. Each move of a control runs the models once.
"""

from aetutor.widgets.base import PIXEL, Explorer, png
from aetutor.widgets.images import BottleneckExplorer, DrawPad, NoiseExplorer, restore
from aetutor.widgets.latent import LatentExplorer, LikelihoodExplorer, PosteriorExplorer, StyleExplorer

__all__ = [
    "PIXEL",
    "BottleneckExplorer",
    "DrawPad",
    "Explorer",
    "LatentExplorer",
    "LikelihoodExplorer",
    "NoiseExplorer",
    "PosteriorExplorer",
    "StyleExplorer",
    "png",
    "restore",
]
