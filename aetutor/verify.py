"""`verify`: the two sides of a numbered equation, compared by number; and `show_source`."""

import inspect
import math
import textwrap
from typing import Any

import numpy as np
import torch
from torch import Tensor

REFUTED = {"=": "≠", "≥": "≱", "≤": "≰"}
NEARLY = {"=": "≈", "≥": "≳", "≤": "≲"}
Description = tuple[str, list[str]]  # "1.5 ≈ 1.6", and the facts that stand in brackets after it


def verify(
    number: str,
    lhs: Any,
    rhs: Any,
    *,
    atol: float | None = None,
    standard_errors: Any = None,
    relation: str = "=",
    within: float = 4.0,
    meaning: str = "",
    unit: str = "nats",
) -> None:
    """Compare the two sides of equation `number` and print one line: a tick, both sides, how far they differ.

    Sides that should be equal (`relation="="`, the default) need exactly one of two tolerances:

    * `atol`: the largest difference allowed, for sides that are equal up to rounding (or up to the stated tolerance);
    * `standard_errors`: the standard error of the estimate (one number, or one for each entry), for sides of which one
      is a Monte Carlo estimate; the difference may be `within` times as large. Four suits one number; the worst of some
      hundreds lies further out, and needs five.

    A bound (`relation="≥"` or `"≤"`) needs none: it must hold as it stands. With a tolerance it may be missed by that.

    The line says = only between numbers that print alike, otherwise ≈, and ≈ between estimates, which are rounded to
    two digits of their standard error. A bound that only its tolerance saves is printed with ≳ or ≲.

    Args:
        lhs, rhs: numbers, arrays or tensors of the same shape; of many entries, the worst is printed.
        meaning: what is compared, in a few words.
        unit: of both sides; "" for numbers without one.

    Raises: AssertionError when the claim fails, with the same facts and what was allowed. ValueError for a check that
    means nothing: NaN or infinity, shapes that do not match, or a tolerance no smaller than the larger side, so that it
    could not fail; with a list of tolerances, if one of them is so wide. (So a side that is 0 needs another one that is
    not: restate "a - b = 0" as "a = b".)
    """
    _check_the_call(number, relation, atol, standard_errors)
    lhs, rhs = _side(number, "left", lhs), _side(number, "right", rhs)
    if lhs.shape != rhs.shape:
        raise ValueError(
            f"verify({number!r}): the sides have shapes {tuple(lhs.shape)} and {tuple(rhs.shape)}; "
            "reduce both to the same shape."
        )
    estimated = standard_errors is not None
    error = _tolerance(number, standard_errors if estimated else 0.0 if atol is None else atol, lhs.shape)
    of_each = error.dim() > 0  # an entry has a tolerance of its own
    error = error.expand(lhs.shape)
    tolerance = within * error if estimated else error
    _check_it_can_fail(number, tolerance, torch.maximum(lhs.abs(), rhs.abs()), of_each)
    excess = {"=": (lhs - rhs).abs(), "≥": rhs - lhs, "≤": lhs - rhs}[relation]
    # the worst entry: most tolerances apart (0 / 0: equal, as it must be); of a bound, the one nearest to failing
    worst = ((excess / tolerance).nan_to_num(0.0) if relation == "=" else excess - tolerance).argmax()
    holds = bool((excess <= tolerance).all())
    left, right, gap, one_error = (t.flatten()[worst].item() for t in (lhs, rhs, excess, error))
    describe = _sides_that_hold if holds else _sides_that_fail
    sides, facts = describe(left, right, relation, gap, one_error, within if estimated else None)
    facts += [f"worst of {lhs.numel():,}"] if lhs.numel() > 1 else []
    line = f"({number}) {'✓' if holds else '✗'} {meaning + ': ' if meaning else ''}{sides}{' ' + unit if unit else ''}"
    line += f" ({', '.join(facts)})" if facts else ""
    if not holds:
        raise AssertionError(line)
    print(line)


def _check_the_call(number: str, relation: str, atol: Any, standard_errors: Any) -> None:
    """Raise ValueError for an unknown relation, for two tolerances, and for an equation without one."""
    if relation not in REFUTED:
        raise ValueError(f'verify({number!r}): relation must be "=", "≥" or "≤"; got {relation!r}.')
    given = (atol is not None) + (standard_errors is not None)
    if given == 2 or (given == 0 and relation == "="):
        raise ValueError(f"verify({number!r}): give either atol=… or standard_errors=…, one of the two.")


def _sides_that_hold(
    left: float, right: float, relation: str, gap: float, error: float, within: float | None
) -> Description:
    """The sides and, short, how far apart they are; `within` is None where they are no estimates."""
    apart = f"difference {gap:.1g}" if within is None else f"{_in_errors(gap, error):.1f} standard errors"
    if relation != "=":
        shown = _digits(left, right, fewest=3)
        return (f"{shown[0]} {relation} {shown[1]}", []) if gap <= 0 else (f" {NEARLY[relation]} ".join(shown), [apart])
    if within is not None and error:  # two digits of the standard error
        decimals = max(0, 1 - math.floor(math.log10(error)))
        left, right = round(left, decimals), round(right, decimals)
    shown = _digits(left, right)
    return f" {'=' if within is None and shown[0] == shown[1] else NEARLY['=']} ".join(shown), [apart]


def _sides_that_fail(
    left: float, right: float, relation: str, gap: float, error: float, within: float | None
) -> Description:
    """The sides, how far apart they are, and what was allowed."""
    facts = [f"difference {gap:.3g}", f"allowed {error:.3g}"]
    if within is not None:
        facts[1:] = [f"{_in_errors(gap, error):.1f} standard errors of {error:.3g}", f"allowed {within:g}"]
    return f" {REFUTED[relation]} ".join(_digits(left, right)), facts


def _in_errors(gap: float, error: float) -> float:
    return gap / error if error else math.inf if gap else 0.0


def _digits(left: float, right: float, fewest: int = 6) -> tuple[str, str]:
    """Both numbers with the same number of significant digits: `fewest` if that tells them apart, six at most."""
    left, right = left + 0.0, right + 0.0  # -0 is 0
    whole = len(str(int(max(abs(left), abs(right)))))
    digits = min(max(fewest, whole), 6)
    while digits < 6 and f"{left:.{digits}g}" == f"{right:.{digits}g}":
        digits += 1
    return f"{left:.{digits}g}", f"{right:.{digits}g}"


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
        if not callable(obj):
            raise TypeError(f"show_source takes functions and classes, as in show_source(elbo); got {obj!r}.")
        source = textwrap.dedent(inspect.getsource(obj))
        display(Markdown(f"`{obj.__module__}.{obj.__qualname__}`\n\n```python\n{source}```"))
