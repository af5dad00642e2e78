"""What a student's trained model makes of images, for the exercises that ask for one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from aetutor.exercises.engine import NotAnAnswer, as_numbers, call

BATCH = 1000
ACCEPTS = (
    "It takes a trained model with `reconstruct(x)` (its call will do), or a function: from images (B, 1, 28, 28) in "
    "[0, 1] to reconstructions (B, 1, 28, 28) or (B, 784)."
)


@contextmanager
def at_rest(model) -> Iterator[None]:
    """No gradients; a module, or the one that a method belongs to, in evaluation mode, and afterwards as it was."""
    owner = getattr(model, "__self__", model)
    modes = [(m, m.training) for m in owner.modules()] if isinstance(owner, nn.Module) else []
    try:
        for module, _ in modes:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def outputs(model, images: Tensor) -> Tensor:
    """Images (N, C, H, W) -> what the model makes of them, (N, pixels), in float64 on the CPU.

    They are given in batches, on the model's device and in its dtype. Raises NotAttempted and NotAnAnswer.
    """
    reconstruct, images = _reconstruct(model), images.to(weight_of(model))
    with at_rest(model):
        return torch.cat([_rows(call(reconstruct, batch.clone()), batch) for batch in images.split(BATCH)])


def code_size(model, images: Tensor) -> int | None:
    """How many numbers a code of the model has; None where it has no `encode`. Of q(z|x), the mean counts."""
    owner = getattr(model, "__self__", model)
    if not callable(getattr(owner, "encode", None)):
        return None
    with at_rest(owner):
        code = call(owner.encode, images[:2].to(weight_of(owner)))
    return as_numbers(code[0] if isinstance(code, tuple) else _mean(code)).flatten(1).shape[1]


def _reconstruct(model):
    """The function from images to reconstructions: `reconstruct`, the call, or `decode` after `encode`."""
    if callable(getattr(model, "reconstruct", None)):
        return model.reconstruct
    has_call = type(model).forward is not nn.Module.forward if isinstance(model, nn.Module) else callable(model)
    if has_call:
        return model
    if callable(getattr(model, "encode", None)) and callable(getattr(model, "decode", None)):
        return lambda x: model.decode(model.encode(x))
    raise NotAnAnswer(f"got an object of type {type(model).__name__}.")


def weight_of(model) -> Tensor:
    """A weight, which tells the device and the dtype; of a function, a float32 number on the CPU."""
    owner = getattr(model, "__self__", model)
    weights = owner.parameters() if isinstance(owner, nn.Module) else ()
    return next((w for w in weights if w.is_floating_point()), torch.zeros(()))


def _rows(result, batch: Tensor) -> Tensor:
    rows = as_numbers(_mean(result))
    if rows.shape[:1] != batch.shape[:1] or rows.numel() != batch.numel():
        raise NotAnAnswer(f"for images {tuple(batch.shape)} your model gives {tuple(rows.shape)}.")
    return rows.flatten(1)


def _mean(result):
    """The mean of a distribution, and anything else as it is."""
    return result.mean if isinstance(result, torch.distributions.Distribution) else result
