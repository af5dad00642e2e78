"""Explorers of images: through a bottleneck, through noise."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import ipywidgets
import torch
from torch import Tensor

from aetutor import corruption, doors
from aetutor.evaluation import Denoiser, psnr
from aetutor.widgets.base import SIDE, Explorer
from aetutor.widgets.charts import Chart
from aetutor.widgets.controls import Redraw, Thumbnails, names, slider

LEVELS = [0.05, *(tenth / 10 for tenth in range(1, 11))]  # where the chart of the PSNR is computed
REMEMBERED = 64  # charts
SMALL_SIDE = 112  # screen pixels along a picture's longer side, where there are more than five


class BottleneckExplorer(Explorer):
    """How much of an image survives a code of K numbers: the original beside each method's reconstruction.

    Controls: the image by its thumbnail; K as a row of buttons. Beneath each reconstruction stands its squared error;
    the chart has the errors of this image for every K.

    Args:
        images: (N, C, H, W) in [0, 1], the images to choose from.
        methods: name -> {K: function from images (B, C, H, W) to their reconstructions}; all with the same K's.
        y: their labels (N,), to be shown with them.

    Raises ValueError for methods with different code sizes or none, without images, and for labels of another number.
    """

    def __init__(
        self,
        images: Tensor,
        methods: Mapping[str, Mapping[int, Callable[[Tensor], Tensor]]],
        y: Tensor | None = None,
    ):
        for name, by_size in doors.mapping("methods", methods, "name -> {K: function of images}").items():
            doors.mapping(f"methods[{name!r}]", by_size, "{K: function of images}")
        sizes = {name: sorted(by_size) for name, by_size in methods.items()}
        common = next(iter(sizes.values()), [])
        if not common or any(other != common for other in sizes.values()):
            raise ValueError(f"All methods must have the same code sizes, at least one; got {sizes}.")
        check_images(images, y)
        self.choices, self.labels, self.methods, self.sizes = images, y, methods, common
        self.curves = lru_cache(REMEMBERED)(self._curves)
        super().__init__(
            {"image": Thumbnails(images, y), "code_size": names(common, "code size K")},
            sides(["original", *methods]),
        )

    @torch.no_grad()
    def pictures(self, code_size: int, image: int) -> dict[str, Tensor]:
        """name -> (C, H, W): the original and its reconstruction by each method from `code_size` numbers."""
        x = self.choices[image : image + 1]
        return {"original": x[0]} | {name: f[code_size](x)[0] for name, f in self.methods.items()}

    def captions(self, pictures: dict[str, Tensor], code_size: int, image: int) -> dict[str, str]:
        """What the original is, and each reconstruction's squared error, summed over the pixels."""
        errors = _squared_errors(pictures)
        return {"original": called(image, self.labels)} | {name: f"error {error:.1f}" for name, error in errors.items()}

    def readout_text(self, pictures: dict[str, Tensor], code_size: int, image: int) -> str:
        """What goes through the bottleneck, and the error's unit."""
        return (
            f"{pictures['original'].numel()} pixels through K = {code_size} and back. The error is ‖x − x̂‖², summed "
            "over the pixels."
        )

    def chart(self, pictures: dict[str, Tensor], code_size: int, image: int) -> bytes:
        """The error of each method against K, with dots at the present one."""
        return self.curves(image).dotted(self.sizes.index(code_size), _squared_errors(pictures))

    def _curves(self, image):
        errors = [_squared_errors(self.pictures(size, image)) for size in self.sizes]
        ys = {name: [error[name] for error in errors] for name in self.methods}
        return Chart(range(len(self.sizes)), ys, "code size K", "squared error", ticks=self.sizes)


class NoiseExplorer(Explorer):
    """An image, what noise makes of it, and what each method restores.

    Controls: the image by its thumbnail; the kind of noise as a row of buttons; its level; a button that draws new
    noise. Beneath each picture stands its PSNR; the chart has the PSNR of this image at every level.

    Args:
        images: (N, C, H, W) in [0, 1], the images to choose from.
        methods: name -> function of noisy images (B, C, H, W), the kind of the noise and its level -> restored images.
        y: their labels (N,), to be shown with them.

    The noise of an image and a draw comes from the same random numbers at every level, so that the same settings show
    the same picture again. Raises ValueError without images or methods, and for labels of another number.
    """

    def __init__(self, images: Tensor, methods: Mapping[str, Denoiser], y: Tensor | None = None):
        check_methods(methods)
        check_images(images, y)
        self.choices, self.labels, self.methods = images, y, methods
        self.curves = lru_cache(REMEMBERED)(self._curves)
        super().__init__({"image": Thumbnails(images, y)} | noise_controls(), sides(["clean", "noisy", *methods]))

    def pictures(self, kind: str, level: float, image: int, noise: int = 0) -> dict[str, Tensor]:
        """name -> (C, H, W): the clean image, the noisy one, and the restored ones."""
        x = self.choices[image : image + 1]
        return restore(x, self.methods, kind, level, seed=noise * len(self.choices) + image)

    def captions(
        self, pictures: dict[str, Tensor], kind: str, level: float, image: int, noise: int = 0
    ) -> dict[str, str]:
        """What the image is, and the PSNR of the noisy and of each restored one."""
        return {"clean": called(image, self.labels)} | decibels(pictures)

    def readout_text(self, pictures: dict[str, Tensor], **settings) -> str:
        """What PSNR is."""
        return PSNR

    def chart(self, pictures: dict[str, Tensor], kind: str, level: float, image: int, noise: int = 0) -> bytes:
        """The PSNR of each method against the level, with dots at the present one."""
        return self.curves(kind, image, noise).dotted(level, _psnr(pictures))

    def _curves(self, kind, image, noise):
        values = [_psnr(self.pictures(kind, level, image, noise)) for level in LEVELS]
        ys = {name: [value[name] for value in values] for name in values[0]}
        return Chart(LEVELS, ys, f"level of the noise ({kind})", "PSNR [dB]")


PSNR = "PSNR beneath each picture, in decibels: 3 dB more is half the squared error."


@torch.no_grad()
def restore(x: Tensor, methods: Mapping[str, Denoiser], kind: str, level: float, seed: int = 0) -> dict[str, Tensor]:
    """name -> (C, H, W) for one image x `(1, C, H, W)`: clean, noisy (the noise drawn with `seed`), each method's."""
    x_tilde = corruption.of_kind(kind)(x, level, torch.Generator().manual_seed(seed))
    return {"clean": x[0], "noisy": x_tilde[0]} | {name: f(x_tilde, kind, level)[0] for name, f in methods.items()}


def decibels(pictures: Mapping[str, Tensor]) -> dict[str, str]:
    """name -> the PSNR of each picture against the one named "clean", in words."""
    return {name: f"{value:.1f} dB" if value < float("inf") else "no error" for name, value in _psnr(pictures).items()}


def called(image: int, labels: Tensor | None) -> str:
    """What an image is called: "image 3", and with labels also "a 7"."""
    return f"image {image}" if labels is None else f"image {image}, a {labels[image]}"


def _psnr(pictures):
    x = pictures["clean"][None]
    return {name: psnr(x, picture[None]).item() for name, picture in pictures.items() if name != "clean"}


def _squared_errors(pictures):
    x = pictures["original"]
    return {name: (x_hat - x).square().sum().item() for name, x_hat in pictures.items() if name != "original"}


def check_images(images: Tensor, y: Tensor | None) -> None:
    """Raises ValueError without images, for bytes, and for labels of another number than images."""
    doors.tensor("images", images, "images (N, C, H, W)")
    if len(images) == 0 or not images.is_floating_point() or (y is not None and len(y) != len(images)):
        labels = "no" if y is None else len(y)
        raise ValueError(
            f"The explorer needs one float image or more, and a label for each or none; got {len(images)} in "
            f"{images.dtype} and {labels} labels."
        )


def check_methods(methods: Mapping[str, Denoiser]) -> None:
    """Raises TypeError for what is no dict of functions, and ValueError for none."""
    what = "a function of noisy images, the kind of the noise and its level"
    for name, method in doors.mapping("methods", methods, f"name -> {what}").items():
        if isinstance(method, torch.nn.Module):
            raise TypeError(
                f"methods[{name!r}] must be {what}; got a model: lambda x, kind, level: model.reconstruct(x)."
            )
        doors.function(f"methods[{name!r}]", method, what)
    if not methods:
        raise ValueError("The explorer needs one method or more; got none.")


def sides(pictures):
    """Screen pixels along the longer side of each picture: smaller ones where there are more than five."""
    return dict.fromkeys(pictures, SIDE if len(pictures) <= 5 else SMALL_SIDE)


def noise_controls() -> dict[str, ipywidgets.Widget]:
    """The kind of the noise, its level, and a button that draws it anew."""
    return {
        "kind": names(corruption.KINDS, "noise"),
        "level": slider(0, 1, 0.5, 0.05, "level"),
        "noise": Redraw("draw new noise"),
    }
