"""Widgets of core ipywidgets (7.7.1 and later): a slider moves, the model computes, the picture follows.

Each explorer is a box to display. `pictures(…)` and `readout_text(…)` compute what it shows for given settings, so that
a test, or a static figure, can ask for the same. Each move of a control runs the models once.
"""

import io
from collections.abc import Callable, Mapping

import ipywidgets
import torch
from PIL import Image
from torch import Tensor

from aetutor.data import unit_images

PIXEL = 5  # screen pixels along each side of an image's pixel


def png(image: Tensor, scale: int = PIXEL) -> bytes:
    """One image `(C, H, W)` in [0, 1] as PNG bytes, enlarged without smoothing."""
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


class BottleneckExplorer(Explorer):
    """How much of an image survives a code of K numbers: the original beside each method's reconstruction.

    Args:
        images: (N, C, H, W) in [0, 1], the images to choose from.
        methods: name -> {K: function from images (B, C, H, W) to their reconstructions}; all with the same K's.

    Raises ValueError for methods with different code sizes, or none.
    """

    def __init__(self, images: Tensor, methods: Mapping[str, Mapping[int, Callable[[Tensor], Tensor]]]):
        sizes = {name: sorted(by_size) for name, by_size in methods.items()}
        common = next(iter(sizes.values()), [])
        if not common or any(other != common for other in sizes.values()):
            raise ValueError(f"All methods must have the same code sizes, at least one; got {sizes}.")
        if len(images) == 0 or not images.is_floating_point():
            raise ValueError(f"The explorer needs one float image or more; got {len(images)} in {images.dtype}.")
        self.choices, self.methods = images, methods
        super().__init__({
            "code_size": ipywidgets.SelectionSlider(options=common, description="code size K"),
            "image": ipywidgets.IntSlider(0, 0, len(images) - 1, description="image"),
        }, ["original", *methods])

    @torch.no_grad()
    def pictures(self, code_size: int, image: int) -> dict[str, Tensor]:
        """name -> (C, H, W): the original and its reconstruction by each method from `code_size` numbers."""
        x = self.choices[image : image + 1]
        return {"original": x[0]} | {name: f[code_size](x)[0] for name, f in self.methods.items()}

    def readout_text(self, pictures: dict[str, Tensor], code_size: int, image: int) -> str:
        """The squared error of each reconstruction, summed over the pixels."""
        errors = [f"{name} {(y - pictures['original']).square().sum():.1f}" for name, y in list(pictures.items())[1:]]
        return f"K = {code_size}, image {image}. Squared error, summed over the pixels: {', '.join(errors)}."
