"""Evaluation: how good a model or a denoiser is, on images it is given, and the baselines to compare with."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from aetutor import corruption, doors
from aetutor.data import check_images, value_range

Denoiser = Callable[[Tensor, str, float], Tensor]  # (noisy images (B, C, H, W), kind, level) -> (B, C, H, W)
TINY = 1e-6  # stands for a standard deviation of 0


@torch.no_grad()
def squared_error(reconstruct: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The mean over images `(N, C, H, W)` of ‖x - reconstruct(x)‖², summed over the pixels; a number without a unit.

    `reconstruct` is any function from images to images of the same shape, such as a model's method of that name; it is
    called once, with all of them. Raises ValueError when it gives another shape, or for no images, or bytes.
    """
    check_images(x)
    if not x.is_floating_point():
        raise ValueError(f"squared_error takes float images; got {x.dtype}.")
    x_hat = doors.function("reconstruct", reconstruct, "a function of images, such as model.reconstruct")(x)
    if x_hat.shape != x.shape:
        raise ValueError(f"The reconstructions must have the images' shape {tuple(x.shape)}; got {tuple(x_hat.shape)}.")
    check_images(x_hat, "reconstruct(x)")
    return (x - x_hat).square().flatten(1).sum(1).mean().item()


def psnr(x: Tensor, x_hat: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, x with grey values in [0, 1], `(N, C, H, W)` twice -> `(N,)` decibels.

    3 dB more is half the squared error; infinite where x and x_hat agree. Raises ValueError for images of different
    shapes or dtypes, for NaN, and for x outside [0, 1]; x_hat may be noisy, and lie outside.
    """
    doors.tensor("x", x, "images"), doors.tensor("x_hat", x_hat, "images")
    if x.shape != x_hat.shape:
        raise ValueError(f"psnr compares images of the same shape; got {tuple(x.shape)} and {tuple(x_hat.shape)}.")
    if not x.is_floating_point() or x_hat.dtype != x.dtype:
        raise ValueError(f"psnr compares float images of one dtype; got {x.dtype} and {x_hat.dtype}.")
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"psnr takes grey values in [0, 1] for x; got {value_range(x)}.")
    check_images(x_hat, "x_hat")
    # 10 log10(1 / mean squared error)
    return -10 * (x - x_hat).square().flatten(1).mean(1).log10()


def median_filter(x: Tensor) -> Tensor:
    """Each pixel becomes the median of its 3 × 3 neighbourhood, images `(N, C, H, W)`; beyond the edge it is black.

    Nothing is trained: the textbook's remedy for salt and pepper, to compare with.
    """
    doors.tensor("x", x, "images")
    neighbours = torch.nn.functional.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)  # (N, C, H, W, 3, 3)
    return neighbours.flatten(-2).median(-1).values


@torch.no_grad()
def psnr_by_level(
    x: Tensor,
    methods: Mapping[str, Denoiser],
    kind: str,
    levels: Sequence[float],
    generator: torch.Generator | None = None,
) -> dict[str, list[float]]:
    """name -> the PSNR in dB at each level: images x `(N, C, H, W)` spoilt by `kind`, and restored by each method.

    It is the PSNR of all images together, from the mean of their squared errors: a mean of decibels would be infinite
    as soon as one image comes back without any error. All methods see the same noisy images. Raises ValueError for an
    unknown kind, or a level that it does not take.
    """
    noisy = [corruption.of_kind(kind)(x, level, generator) for level in levels]
    return {
        name: [
            psnr(x.flatten()[None], f(x_tilde, kind, level).flatten()[None]).item()
            for x_tilde, level in zip(noisy, levels, strict=True)
        ]
        for name, f in methods.items()
    }


class OptimalMemory:
    """The best denoiser of the training images: E[x|x_tilde] when x is one of `images`, all equally likely.

    Args:
        images: (N, C, H, W) floats in [0, 1]. They are kept; a call with many noisy images needs about 0.2 GB more.

    Called with noisy images `(B, C, H, W)`, the kind of the noise and its level, it gives `(B, C, H, W)`. For Gaussian
    noise this is the posterior mean (notebook 02, equation 2.6); for the other kinds an approximation, the Gaussian
    with the mean and the mean variance that the noise has (`corruption.moments`).
    """

    CHUNK = 256  # noisy images at a time: with 60,000 images one matrix of weights is 61 MB

    def __init__(self, images: Tensor):
        doors.tensor("images", images, "images (N, C, H, W)")
        if len(images) == 0 or not images.is_floating_point():
            raise ValueError(f"The memory needs one float image or more; got {len(images)} in {images.dtype}.")
        self.images, self.rows = images, images.flatten(1)
        squares = torch.linalg.vector_norm(self.rows, dim=1).square()  # (N,)
        self.half_squares = squares / 2
        self.mean, self.mean_square = self.rows.mean().item(), squares.mean().item() / self.rows.shape[1]

    def __call__(self, x_tilde: Tensor, kind: str, level: float) -> Tensor:
        scale, offset, sigma = corruption.moments(kind, level, self.mean, self.mean_square)
        return self.posterior_mean(x_tilde, sigma, scale, offset)

    @torch.no_grad()
    def posterior_mean(self, x_tilde: Tensor, sigma: float, scale: float = 1.0, offset: float = 0.0) -> Tensor:
        """E[x|x_tilde], `(B, C, H, W)`, for x_tilde = scale·x + offset + sigma·noise, the noise standard normal.

        With sigma = 0 it is the limit: the nearest image. Raises ValueError for noisy images of another shape or dtype
        than the memory's, or a negative sigma.
        """
        if x_tilde.shape[1:] != self.images.shape[1:] or x_tilde.dtype != self.images.dtype:
            raise ValueError(
                f"The memory takes {self.images.dtype} images of shape (B, "
                f"{', '.join(map(str, self.images.shape[1:]))}); got {x_tilde.dtype} of shape "
                f"{tuple(x_tilde.shape)}."
            )
        if not 0 <= sigma < float("inf"):
            raise ValueError(f"sigma is a standard deviation, 0 or larger, and finite; got {sigma}.")
        parts = []
        for rows in (x_tilde - offset).flatten(1).split(self.CHUNK):
            # -‖x_tilde - offset - scale·x_i‖² / 2σ², less what is the same for all i
            logits = (scale * (rows @ self.rows.T) - scale**2 * self.half_squares) / max(sigma, TINY) ** 2
            parts.append(logits.softmax(1) @ self.rows)
        return torch.cat(parts).view_as(x_tilde)
