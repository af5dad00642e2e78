"""Explorers of images: through a bottleneck, through noise, drawn by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path

import ipywidgets
import torch
from torch import Tensor

from aetutor import corruption
from aetutor.drawing import as_mnist
from aetutor.evaluation import Denoiser, psnr
from aetutor.widgets.base import Explorer


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
        super().__init__(
            {
                "code_size": ipywidgets.SelectionSlider(options=common, description="code size K"),
                "image": ipywidgets.IntSlider(0, 0, len(images) - 1, description="image"),
            },
            ["original", *methods],
        )

    @torch.no_grad()
    def pictures(self, code_size: int, image: int) -> dict[str, Tensor]:
        """name -> (C, H, W): the original and its reconstruction by each method from `code_size` numbers."""
        x = self.choices[image : image + 1]
        return {"original": x[0]} | {name: f[code_size](x)[0] for name, f in self.methods.items()}

    def readout_text(self, pictures: dict[str, Tensor], code_size: int, image: int) -> str:
        """The squared error of each reconstruction, summed over the pixels."""
        errors = [
            f"{name} {(x_hat - pictures['original']).square().sum():.1f}" for name, x_hat in list(pictures.items())[1:]
        ]
        return f"K = {code_size}, image {image}. Squared error, summed over the pixels: {', '.join(errors)}."


class NoiseExplorer(Explorer):
    """Choose a kind of noise, its level and an image: the clean image, the noisy one, and what each method restores.

    Args:
        images: (N, C, H, W) in [0, 1], the images to choose from.
        methods: name -> function of noisy images (B, C, H, W), the kind of the noise and its level -> restored images.

    The noise of an image is drawn with the same random numbers each time, so that a level shows the same picture when
    it comes again. Raises ValueError without images or methods.
    """

    def __init__(self, images: Tensor, methods: Mapping[str, Denoiser]):
        if len(images) == 0 or not images.is_floating_point() or not methods:
            raise ValueError(
                f"The explorer needs one float image or more, and one method or more; got {len(images)} "
                f"in {images.dtype} and {len(methods)} methods."
            )
        self.choices, self.methods = images, methods
        image = ipywidgets.IntSlider(0, 0, len(images) - 1, description="image")
        super().__init__(_noise_controls() | {"image": image}, ["clean", "noisy", *methods])

    def pictures(self, kind: str, level: float, image: int) -> dict[str, Tensor]:
        """name -> (C, H, W): the clean image, the noisy one, and the restored ones."""
        return restore(self.choices[image : image + 1], self.methods, kind, level, seed=image)

    def readout_text(self, pictures: dict[str, Tensor], kind: str, level: float, image: int) -> str:
        """The PSNR of the noisy and of each restored image."""
        return f"{kind}, level {level:.2f}, image {image}. {psnr_text(pictures)}"


class DrawPad(Explorer):
    """Draw a digit with the mouse or a finger: it is centred as MNIST's are, made noisy, and restored by each method.

    Args:
        methods: as in `NoiseExplorer`, for images (1, 1, 28, 28).
        device: where the methods compute.

    Raises ImportError, with what to install, where there is no anywidget.
    """

    def __init__(self, methods: Mapping[str, Denoiser], device="cpu"):
        self.methods, self.device = methods, device
        super().__init__({"drawing": _canvas()} | _noise_controls(), ["clean", "noisy", *methods])

    def pictures(self, drawing: bytes, kind: str, level: float) -> dict[str, Tensor]:
        """name -> (1, 28, 28), from the drawing's grey values: a square, row by row, a byte each."""
        side = round(len(drawing) ** 0.5)
        grey = torch.frombuffer(bytearray(drawing), dtype=torch.uint8).view(side, side) if side else torch.zeros(1, 1)
        x = as_mnist(grey.float() / 255).to(self.device)[None]
        return restore(x, self.methods, kind, level)

    def readout_text(self, pictures: dict[str, Tensor], drawing: bytes, kind: str, level: float) -> str:
        """The PSNR of the noisy and of each restored image; before the first stroke, what to do."""
        if not any(drawing):
            return "Draw a digit in the black square, with the mouse or a finger."
        return f"{kind}, level {level:.2f}. {psnr_text(pictures)}"


@torch.no_grad()
def restore(x: Tensor, methods: Mapping[str, Denoiser], kind: str, level: float, seed: int = 0) -> dict[str, Tensor]:
    """name -> (C, H, W) for one image x `(1, C, H, W)`: clean, noisy (the noise drawn with `seed`), each method's."""
    x_tilde = corruption.of_kind(kind)(x, level, torch.Generator().manual_seed(seed))
    return {"clean": x[0], "noisy": x_tilde[0]} | {name: f(x_tilde, kind, level)[0] for name, f in methods.items()}


def psnr_text(pictures: Mapping[str, Tensor]) -> str:
    """The PSNR of each picture against the one named "clean"."""
    x = pictures["clean"][None]
    values = {name: psnr(x, picture[None]).item() for name, picture in pictures.items() if name != "clean"}
    return f"PSNR in dB: {', '.join(f'{name} {value:.1f}' for name, value in values.items())}."


def _noise_controls() -> dict[str, ipywidgets.Widget]:
    # sliders throughout: JupyterLab takes the arrow keys away from a drop-down list
    wide = ipywidgets.Layout(width="360px")  # room for "salt and pepper"
    return {
        "kind": ipywidgets.SelectionSlider(options=list(corruption.KINDS), description="noise", layout=wide),
        "level": ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="level"),
    }


def _canvas() -> ipywidgets.Widget:
    """The drawing area, a widget whose `value` is the drawing's grey values as bytes."""
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError(
            "The DrawPad needs the package anywidget, which is not installed here: run "
            "`pip install anywidget` in this environment and restart the kernel."
        ) from error

    class Canvas(anywidget.AnyWidget):
        _esm = Path(__file__).with_name("drawpad.js")
        description = "the drawing"
        value = traitlets.Bytes(b"").tag(sync=True, from_json=lambda value, _widget: bytes(value))  # of a memoryview

    return Canvas()
