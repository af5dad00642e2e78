"""What every explorer has: controls, named pictures, a line of text."""

import io
from collections.abc import Mapping

import ipywidgets
from PIL import Image
from torch import Tensor

from aetutor.data import unit_images

PIXEL = 5  # screen pixels along each side of an image's pixel
LARGE = 100  # a picture with a longer side is shown as it is


def png(image: Tensor, scale: int | None = None) -> bytes:
    """One image `(C, H, W)` in [0, 1] as PNG bytes, enlarged without smoothing: by default `PIXEL` times, if small."""
    scale = scale or (PIXEL if max(image.shape) <= LARGE else 1)
    pixels = (unit_images(image[None])[0] * 255).round().byte().permute(1, 2, 0).squeeze(-1)
    picture = Image.fromarray(pixels.numpy())
    enlarged = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    enlarged.save(buffer, "png")
    return buffer.getvalue()


class Explorer(ipywidgets.VBox):
    """Controls, a row of named pictures and a line of text, drawn again whenever a control moves.

    A subclass implements `pictures(**settings) -> {name: (C, H, W)}`, where the settings are the controls' values, and
    `readout_text(pictures, **settings) -> str`, the line below them.
    """

    def __init__(self, controls: Mapping[str, ipywidgets.Widget], names: list[str]):
        self.controls = dict(controls)
        self.images = {name: ipywidgets.Image(format="png") for name in names}
        self.readout = ipywidgets.HTML()
        panels = [ipywidgets.VBox([ipywidgets.Label(name), image]) for name, image in self.images.items()]
        super().__init__([*self.controls.values(), ipywidgets.HBox(panels), self.readout])
        for control in self.controls.values():
            control.observe(self.draw, names="value")
        self.draw()

    def settings(self) -> dict:
        """The controls' values, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def draw(self, _change=None) -> None:
        """Put the pictures and the text for the present settings on the screen."""
        pictures = self.pictures(**self.settings())
        for name, picture in pictures.items():
            self.images[name].value = png(picture)
        self.readout.value = self.readout_text(pictures, **self.settings())

    def pictures(self, **settings) -> dict[str, Tensor]:
        raise NotImplementedError

    def readout_text(self, pictures: dict[str, Tensor], **settings) -> str:
        raise NotImplementedError

    def __repr__(self):
        names = ", ".join(control.description for control in self.controls.values())
        return f"{type(self).__name__}: run this notebook to move {names}"
