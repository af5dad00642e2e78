"""Controls that core ipywidgets lacks: thumbnails to choose an image by, a button that draws anew, names in a row."""

import random
from collections.abc import Iterable, Sequence

import ipywidgets
import traitlets
from torch import Tensor

from aetutor.widgets.base import png

PAGE = 10  # thumbnails at a time
THUMBNAIL, WORD = 56, 26  # screen pixels: the thumbnail's longer side, and the height of the word below it
FRAME = "3px solid {}"
CHOSEN = "#E69F00"  # seen on black, and on pages of both themes


class Thumbnails(ipywidgets.HBox):
    """Ten images to click, the chosen one framed; beside them the button "random", and "next ten" if there are more.

    Args:
        images: (N, C, H, W) in [0, 1].
        labels: N of them, to stand below the images; without them the images are counted from 0.

    `value` is the place of the chosen image. Raises TraitError for a place where there is none.
    """

    value = traitlets.Int(0)
    description = "image"

    def __init__(self, images: Tensor, labels: Sequence | None = None):
        self.pictures = images
        self.words = [str(int(label)) for label in (range(len(images)) if labels is None else labels)]
        self.slots = [_Slot() for _ in range(min(PAGE, len(images)))]
        for place, slot in enumerate(self.slots):
            slot.button.on_click(lambda _, place=place: self.choose(self.first + place))
        self.random, self.next = (_button(name) for name in ("random", "next ten"))
        self.random.on_click(lambda _: self.choose(self.value + random.randrange(1, max(2, len(images)))))
        self.next.on_click(lambda _: self.choose(self.first + PAGE if self.first + PAGE < len(images) else 0))
        buttons = ipywidgets.VBox([self.random, self.next] if len(images) > PAGE else [self.random])
        super().__init__(
            [*self.slots, buttons], layout={"flex_flow": "row wrap", "align_items": "flex-end", "margin": "0 0 8px 0"}
        )
        self.add_class("aetutor-thumbnails")
        self.first = None  # the place of the first image shown
        self.observe(self._show, names="value")
        self._show()

    def choose(self, place: int) -> None:
        """Choose the image at a place, counted on from the start after the last one."""
        self.value = place % len(self.pictures)

    @traitlets.validate("value")
    def _there_is_one(self, proposal):
        if not 0 <= proposal.value < len(self.pictures):
            raise traitlets.TraitError(f"The images are 0 to {len(self.pictures) - 1}; got {proposal.value}.")
        return proposal.value

    def _show(self, _change=None):
        first = self.value - self.value % PAGE
        if first != self.first:
            self.first = first
            for place, slot in enumerate(self.slots, first):
                slot.show(self.pictures[place : place + 1], self.words[place : place + 1])
        for place, slot in enumerate(self.slots, first):
            with slot.button.layout.hold_sync():  # one message for the four sides
                slot.button.layout.border = FRAME.format(CHOSEN if place == self.value else "transparent")


class _Slot(ipywidgets.VBox):
    """A thumbnail and, laid over it and the word below it, a button without a colour."""

    def __init__(self):
        self.image = ipywidgets.Image(layout={"margin": "0", "max_width": "none"})
        over = {"margin": f"-{THUMBNAIL + 3}px 0 0 0", "padding": f"{THUMBNAIL}px 0 0 0"}
        size = {"width": f"{THUMBNAIL + 6}px", "height": f"{THUMBNAIL + WORD + 3}px"}
        self.button = ipywidgets.Button(style={"button_color": "transparent"}, layout=over | size)
        super().__init__([self.image, self.button], layout={"align_items": "center", "padding": "3px 0 0 0"})

    def show(self, images, words):
        """An image and its word, one each; or nothing."""
        self.layout.visibility = "visible" if words else "hidden"
        for image, word in zip(images, words, strict=True):
            self.image.value, self.button.description = png(image, THUMBNAIL), word


class Redraw(ipywidgets.Button):
    """A button that counts its clicks: `value` is the number of the draw, from 0."""

    value = traitlets.Int(0)

    def __init__(self, description: str):
        super().__init__(description=description, icon="refresh", layout={"width": "auto"})
        self.on_click(lambda _: self.set_trait("value", self.value + 1))


def names(options: Iterable, description: str) -> ipywidgets.ToggleButtons:
    """A row of buttons, one of which is down: all choices are seen at once."""
    return ipywidgets.ToggleButtons(options=list(options), description=description, style={"button_width": "auto"})


def slider(low: float, high: float, value: float, step: float, description: str) -> ipywidgets.FloatSlider:
    """A slider as wide as the page allows, 420 pixels at most."""
    layout = {"width": "420px", "max_width": "100%"}
    return ipywidgets.FloatSlider(value, min=low, max=high, step=step, description=description, layout=layout)


def _button(description):
    return ipywidgets.Button(description=description, layout={"width": "80px"})
