"""The doors: where settings and data come in, each is looked at once, and what does not fit is told in a sentence.

What was given, what is accepted, what to do. Behind the doors the code trusts what it has.
"""

import os
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def tensor(name: str, value: Any, what: str = "a tensor") -> Tensor:
    """The tensor itself. Raises TypeError for anything else, with how to make one of an array or a list."""
    if isinstance(value, Tensor):
        return value
    advice = ""
    if isinstance(value, np.ndarray):
        advice = f": torch.from_numpy({name}) makes one"
    elif isinstance(value, (list, tuple)):
        advice = f": torch.tensor({name}) makes one"
    raise TypeError(f"{name} must be {what}, a torch.Tensor; got {kind_of(value)}{advice}.")


def same_size(**tensors: Any) -> None:
    """Raises TypeError for what is no tensor, and ValueError for tensors whose last axes have different sizes."""
    for name, value in tensors.items():
        tensor(name, value)
    if len({value.shape[-1:] for value in tensors.values()}) > 1:
        given = " and ".join(str(tuple(value.shape)) for value in tensors.values())
        raise ValueError(f"{' and '.join(tensors)} must have the same number of dimensions K, (…, K); got {given}.")


def some(name: str, images: Any) -> None:
    """Raises ValueError for no images: a tensor without a number in it."""
    if isinstance(images, Tensor) and images.numel() == 0:
        raise ValueError(f"There are no images: {name} is empty, of shape {tuple(images.shape)}.")


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """A setting that counts something, as an int. Raises ValueError for what is no whole number, or too small."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more; got {value!r}.")
    return int(value)


def number(name: str, value: Any, low: float = -float("inf"), high: float = float("inf"), above: bool = False) -> float:
    """A finite number from low (or, with `above`, above it) to high, as a float. Raises ValueError for another."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not (low <= value <= high and abs(value) < float("inf")) or (above and value == low):
        most = "" if high == float("inf") else f" and at most {high:g}"
        bounds = "" if low == -float("inf") else f", {'more than' if above else 'at least'} {low:g}{most}"
        raise ValueError(f"{name} must be a finite number{bounds}; got {value!r}.")
    return float(value)


def function(name: str, value: Any, what: str) -> Any:
    """What can be called. Raises TypeError for what cannot."""
    if not callable(value):
        raise TypeError(f"{name} must be {what}; got {value!r}.")
    return value


def mapping(name: str, value: Any, what: str) -> Mapping:
    """A dict, or the like. Raises TypeError for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, {what}; got {kind_of(value)}.")
    return value


def model(value: Any, name: str = "model") -> Any:
    """What encodes and decodes. Raises TypeError for anything else, a class that was not called among them."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be a model; got the class {value.__name__}: call it first, {value.__name__}(…).")
    if not (callable(getattr(value, "encode", None)) and callable(getattr(value, "decode", None))):
        raise TypeError(f"{name} must have the methods encode and decode, as a VAE has; got {kind_of(value)}.")
    return value


def module(name: str, value: Any) -> torch.nn.Module:
    """A network. Raises TypeError for anything else, a class that was not called among them."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be a model; got the class {value.__name__}: call it first, {value.__name__}(…).")
    if not isinstance(value, torch.nn.Module):
        raise TypeError(f"{name} must be a torch.nn.Module, such as VAE(latent_dim=2); got {kind_of(value)}.")
    return value


def path(name: str, value: Any) -> Path:
    """The path of a file. Raises TypeError for what is no path."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a file, such as 'run.pt'; got {value!r}.")
    return Path(value)


def generator(value: Any) -> torch.Generator | None:
    """A generator of random numbers, or None. Raises TypeError for anything else, such as a seed."""
    if value is not None and not isinstance(value, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator; got {value!r}: torch.Generator().manual_seed(0) makes one of a seed."
        )
    return value


def kind_of(value: Any) -> str:
    """What something is, in a word or two, for a message."""
    return "None" if value is None else f"a {type(value).__name__}"
