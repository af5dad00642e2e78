"""Corruption q_D(x_tilde|x): pure functions from images to noisy images of the same shape.

Each takes float images of any shape, a level, and a `torch.Generator` if the draw is to be repeated. Level 0 returns
the image itself.
"""

from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor

from aetutor import doors


def mask(x: Tensor, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Set each pixel to 0 with probability `level` in [0, 1]; at level 1 nothing is left.

    The surviving pixels stay as they are: E[x_tilde|x] = (1 - level) x (equation 2.1). `torch.nn.functional.dropout`
    multiplies them by 1 / (1 - level), which is another corruption. Raises ValueError for a level outside [0, 1].
    """
    _check(x, level, 1, generator)
    return torch.where(_draw(torch.rand, x, generator) >= level, x, 0.0)


def gaussian(x: Tensor, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Add Gaussian noise with standard deviation `level` >= 0, in units of the grey value; nothing is clipped.

    At level 1 the noise is as large as the step from black to white. Raises ValueError for a negative or infinite
    level.
    """
    _check(x, level, float("inf"), generator)
    return x + level * _draw(torch.randn, x, generator)


def salt_and_pepper(x: Tensor, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Replace each pixel with probability `level` in [0, 1] by black or white, 0 or 1, with equal chances.

    At level 1 every pixel is a coin toss. Raises ValueError for a level outside [0, 1].
    """
    _check(x, level, 1, generator)
    u = _draw(torch.rand, x, generator)
    # u < level / 2: pepper; level / 2 <= u < level: salt; else the pixel itself
    return torch.where(u < level, (u >= level / 2).to(x.dtype), x)


KINDS = {"masking": mask, "Gaussian": gaussian, "salt and pepper": salt_and_pepper}


def of_kind(kind: str) -> Callable[..., Tensor]:
    """The corruption of that name: "masking", "Gaussian" or "salt and pepper". Raises ValueError for another."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"Unknown kind of corruption {kind!r}: choose one of {', '.join(KINDS)}.")
    return KINDS[kind]


def moments(kind: str, level: float, mean: float, mean_square: float) -> tuple[float, float, float]:
    """(scale, offset, sigma): E[x_tilde|x] = scale·x + offset, and sigma² is a pixel's mean variance.

    For masking and salt and pepper the variance depends on the pixel's grey value; its mean is over pixels whose grey
    values have the given mean and mean square. Derived in notebook 02, sections 1 and 5. Raises ValueError for an
    unknown kind, or a level that it does not take.
    """
    corrupt = of_kind(kind)
    _check_level(level, float("inf") if corrupt is gaussian else 1)
    if corrupt is gaussian:
        return 1.0, 0.0, float(level)
    # a pixel stays with probability 1 - level; else it becomes 0 (masking), or 0 or 1 (salt and pepper, mean 1/2)
    scale, offset = 1 - level, 0.0 if corrupt is mask else level / 2
    # E[x_tilde²|x] = scale·x² + offset, since the new value, 0 or 1, is its own square
    variance = scale * mean_square + offset - (scale**2 * mean_square + 2 * scale * offset * mean + offset**2)
    return scale, offset, max(variance, 0.0) ** 0.5


def _draw(sampler: Callable[..., Tensor], x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Random numbers of x's shape, drawn on the generator's device (on x's without one)."""
    device = x.device if generator is None else generator.device
    return sampler(x.shape, generator=generator, device=device, dtype=x.dtype).to(x.device)


def _check(x: Tensor, level: float, largest: float, generator: torch.Generator | None) -> None:
    doors.generator(generator)
    if not isinstance(x, Tensor) or not x.is_floating_point():
        given = getattr(x, "dtype", type(x).__name__)
        raise ValueError(
            f"Corruptions take tensors of float images; got {given}: convert them with aetutor.data.to_unit."
        )
    _check_level(level, largest)


def _check_level(level: float, largest: float) -> None:
    if not isinstance(level, Real) or isinstance(level, bool) or not (0 <= level <= largest and level < float("inf")):
        allowed = f"in [0, {largest:g}]" if largest < float("inf") else "that is 0 or larger, and finite"
        raise ValueError(f"The level of a corruption must be a number {allowed}; got {level!r}.")
