"""Widgets of core ipywidgets (7.7.1 and later): a control moves, the model computes, the picture follows.

Each explorer is a box to display. `pictures(…)`, `captions(…)` and `readout_text(…)` compute what it shows for given
settings, so that a test, or a static figure, can ask for the same. Each move of a control runs the models once.
"""

from aetutor.widgets.base import SIDE, Explorer, png
from aetutor.widgets.frozen import freeze
from aetutor.widgets.images import BottleneckExplorer, NoiseExplorer, restore
from aetutor.widgets.latent import LatentExplorer, LikelihoodExplorer, PosteriorExplorer, StyleExplorer
from aetutor.widgets.pads import DrawPad, PosteriorPad, StylePad

__all__ = [
    "SIDE",
    "BottleneckExplorer",
    "DrawPad",
    "Explorer",
    "LatentExplorer",
    "LikelihoodExplorer",
    "NoiseExplorer",
    "PosteriorExplorer",
    "PosteriorPad",
    "StyleExplorer",
    "StylePad",
    "freeze",
    "png",
    "restore",
]
