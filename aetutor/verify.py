"""`verify`: the two sides of a numbered equation, compared by number; and `show_source`."""

import inspect
import textwrap
from typing import Any

import numpy as np
import torch
from torch import Tensor


def verify(
    number: str,
    lhs: Any,
    rhs: Any,
    *,
    atol: float | None = None,
    standard_errors: Any = None,
    within: float = 4.0,
    meaning: str = "",
    unit: str = "nats",
) -> None:
    """Compare the two sides of equation `number` and print one line: both sides, their difference, a tick.

    Give exactly one of two tolerances:

    * `atol`: the largest difference allowed, for sides that are equal up to rounding (or up to the stated tolerance);
    * `standard_errors`: the standard error of the estimate (one number, or one for each entry), for sides of which one
      is a Monte Carlo estimate; the difference may be `within` times as large.

    Args:
        lhs, rhs: numbers, arrays or tensors of the same shape; of many entries, the worst is printed.
        meaning: what is compared, in a few words.
        unit: of both sides; "" for numbers without one.

    Raises: AssertionError when the sides differ, with the same facts. ValueError for a check that means nothing: NaN or
    infinity, shapes that do not match, or a tolerance no smaller than the larger side, so that it could not fail; with
    a list of tolerances, if one of them is so wide. (So a side that is 0 needs another one that is not: restate
    "a - b = 0" as "a = b".)
    """
    if (atol is None) == (standard_errors is None):
        raise ValueError(f"verify({number!r}): give either atol=… or standard_errors=…, one of the two.")
    lhs, rhs = _side(number, "left", lhs), _side(number, "right", rhs)
    if lhs.shape != rhs.shape:
        raise ValueError(
            f"verify({number!r}): the sides have shapes {tuple(lhs.shape)} and {tuple(rhs.shape)}; "
            "reduce both to the same shape."
        )
    error = _tolerance(number, atol if standard_errors is None else standard_errors, lhs.shape)
    of_each = error.dim() > 0  # an entry has a tolerance of its own
    error = error.expand(lhs.shape)
    tolerance = error if standard_errors is None else within * error
    larger = torch.maximum(lhs.abs(), rhs.abs())
    _check_it_can_fail(number, tolerance, larger, of_each)
    difference = (lhs - rhs).abs()
    worst = (difference / tolerance).nan_to_num(0.0).argmax()  # 0 / 0: equal, as it must be
    left, right, gap, allowed, one_error = (t.flatten()[worst].item() for t in (lhs, rhs, difference, tolerance, error))
    scale = f"allowed {allowed:.1e}"
    if standard_errors is not None:
        distance = gap / one_error if one_error else (float("inf") if gap else 0)
        scale = f"{distance:.1f} standard errors, allowed {within:g}"
    holds = bool((difference <= tolerance).all())
    line = (
        f"({number}) {'✓' if holds else '✗'} {meaning + ': ' if meaning else ''}{left:.6g} {'=' if holds else '≠'} "
        f"{right:.6g}{' ' + unit if unit else ''}, difference {gap:.1e} ({scale})"
        f"{f', the worst of {lhs.numel():,}' if lhs.numel() > 1 else ''}"
    )
    if not holds:
        raise AssertionError(line)
    print(line)


def _check_it_can_fail(number: str, tolerance: Tensor, larger: Tensor, of_each: bool) -> None:
    """Raise ValueError for a tolerance that no error reaches: in all entries, or in one that has one of its own."""
    too_wide = tolerance >= larger
    if not too_wide.all() and not (of_each and (too_wide & (tolerance > 0)).any()):
        return
    entry = int((tolerance - larger).argmax() if of_each else (tolerance - larger).argmin())
    where = f"for entry {entry} of {larger.numel():,} " if of_each and larger.numel() > 1 else ""
    raise ValueError(
        f"verify({number!r}): {where}a tolerance of {tolerance.flatten()[entry]:.3g} is no smaller than the larger "
        f"side, {larger.flatten()[entry]:.3g}: this check could not fail. Tighten it, or compare larger numbers."
    )


def to_tensor(value: Any) -> Tensor | None:
    """A number, a list, an array or a tensor as a float64 tensor on the CPU; None for anything else."""
    if isinstance(value, Tensor):
        return None if value.is_complex() else value.detach().cpu().double()
    if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
        value = [item.detach().cpu().double().numpy() if isinstance(item, Tensor) else item for item in value]
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return torch.from_numpy(array.astype(np.float64)) if array.dtype.kind in "biuf" else None


def _side(number: str, name: str, value: Any) -> Tensor:
    tensor = to_tensor(value)
    if tensor is None or tensor.numel() == 0:
        raise ValueError(
            f"verify({number!r}): the {name} side must be a number, an array or a tensor with at least "
            f"one entry; got {value!r}."
        )
    if not tensor.isfinite().all():
        raise ValueError(f"verify({number!r}): the {name} side holds NaN or infinity, which no check can confirm.")
    return tensor


def _tolerance(number: str, value: Any, shape: torch.Size) -> Tensor:
    tensor = to_tensor(value)
    if tensor is None or not tensor.isfinite().all() or (tensor < 0).any() or tensor.shape not in (shape, ()):
        raise ValueError(
            f"verify({number!r}): the tolerance must be a finite number that is not negative, or one for "
            f"each entry of the sides; got {value!r}."
        )
    return tensor


def show_source(*objects: Any) -> None:
    """Display the package's own code of functions or classes, highlighted, in a notebook."""
    from IPython.display import Markdown, display

    for obj in objects:
        source = textwrap.dedent(inspect.getsource(obj))
        display(Markdown(f"`{obj.__module__}.{obj.__qualname__}`\n\n```python\n{source}```"))
