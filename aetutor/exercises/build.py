"""What a student's trained model makes of images, for the exercises that ask for one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from aetutor.exercises.engine import Mistake, NotAnAnswer, as_numbers, call
from aetutor.objectives import gaussian_kl

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
    reconstruct, images = _reconstruct(model), images.to(_weight(model))
    with at_rest(model):
        return torch.cat([_rows(call(reconstruct, batch.clone()), batch) for batch in images.split(BATCH)])


def code_size(model, images: Tensor) -> int | None:
    """How many numbers a code of the model has; None where it has no `encode`. Of q(z|x), the mean counts."""
    owner = getattr(model, "__self__", model)
    if not callable(getattr(owner, "encode", None)):
        return None
    with at_rest(owner):
        code = call(owner.encode, images[:2].to(_weight(owner)))
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


def _weight(model) -> Tensor:
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


# --- variational autoencoders ----------------------------------------------------------------------------------------

DIMENSIONS = 2
ENCODE_AND_DECODE = (
    "It takes a trained model with `encode(x{y})`, which gives the mean and the log σ² of q(z|x{y}), each (B, 2), for "
    "images (B, 1, 28, 28){labels}, and `decode(z{y})`, which gives the logits of the pixels, (B, 1, 28, 28) or "
    "(B, 784)."
)


def bound(model, images: Tensor, *labels: Tensor) -> dict[str, float]:
    """Of a VAE, or of a CVAE with the labels (N,), on binary images: its ELBO, with one sample an image, and its KL,
    in nats; and the ELBO if the second output of `encode` were log σ, and if `decode` gave probabilities.

    Raises NotAttempted and NotAnAnswer.
    """
    if not callable(getattr(model, "encode", None)) or not callable(getattr(model, "decode", None)):
        if callable(model):
            call(model, images[:2])  # a stub is no attempt
        raise NotAnAnswer(f"got an object of type {type(model).__name__} without `encode` or `decode`.")
    facts: dict[str, list[Tensor]] = {"elbo": [], "kl": [], "log_sigma": [], "probabilities": []}
    numbers = torch.Generator().manual_seed(0)
    with at_rest(model):
        for x, *y in zip(images.split(BATCH), *(labels_.split(BATCH) for labels_ in labels), strict=True):
            mu, log_var = _encoded(model, x, *y)
            eps = torch.randn(mu.shape, generator=numbers).double()
            logits = decoded(model, mu + (log_var / 2).exp() * eps, *y)
            as_log_sigma = decoded(model, mu + log_var.exp() * eps, *y)
            kl = gaussian_kl(mu, log_var)
            facts["elbo"].append(_log_px(x, logits) - kl)
            facts["kl"].append(kl)
            facts["probabilities"].append(_log_px(x, logits.clamp(1e-6, 1 - 1e-6).logit()) - kl)
            facts["log_sigma"].append(_log_px(x, as_log_sigma) - gaussian_kl(mu, 2 * log_var))
    return {name: torch.cat(values).mean().item() for name, values in facts.items()}


def decoded(model, z: Tensor, *y: Tensor) -> Tensor:
    """The logits of the pixels, (B, 784), in float64 on the CPU. Raises NotAttempted and NotAnAnswer."""
    weight = _weight(model)
    logits = as_numbers(call(model.decode, z.to(weight), *(label.to(weight.device) for label in y)))
    if logits.shape[:1] != z.shape[:1] or logits.numel() != 784 * len(z):
        raise NotAnAnswer(f"for codes {tuple(z.shape)} `decode` gives {tuple(logits.shape)}.")
    return logits.flatten(1)


def _encoded(model, x: Tensor, *y: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the log σ² of q(z|x), in float64 on the CPU."""
    weight = _weight(model)
    result = call(model.encode, x.to(weight), *(label.to(weight.device) for label in y))
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotAnAnswer("`encode` must return two tensors, the mean and the log σ² of q(z|x).")
    mu, log_var = (as_numbers(part) for part in result)
    if mu.shape != (len(x), DIMENSIONS) or log_var.shape != mu.shape:
        raise NotAnAnswer(
            f"for {len(x)} images `encode` gives {tuple(mu.shape)} and {tuple(log_var.shape)}; both must be "
            f"({len(x)}, {DIMENSIONS})."
        )
    return mu, log_var


def _log_px(x: Tensor, logits: Tensor) -> Tensor:
    x = x.flatten(1).double()
    return -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


@cache
def held_out() -> tuple[Tensor, Tensor]:
    """5,000 test images of MNIST, binarised, and their labels."""
    from aetutor.data import binarize, load

    mnist = load("mnist")
    return binarize(mnist.test_x[:5000]), mnist.test_y[:5000]


class Plain:
    """A model of this package as the exercises ask for it; `encoded` and `decoded` change its outputs.

    `trained` gives the model: it is called when the first output is asked for.
    """

    def __init__(self, trained, encoded=lambda mu, log_var: (mu, log_var), decoded=lambda logits: logits):
        self.trained, self.encoded, self.decoded = trained, encoded, decoded

    def encode(self, x, *y):
        q_z = self.trained().encode(x, *y)
        return self.encoded(q_z.mean, q_z.variance.log())

    def decode(self, z, *y):
        return self.decoded(self.trained().decode(z, *y).base_dist.logits)


def train_plain(kind):
    """A `VAE` or a `CVAE` with two dimensions, trained on MNIST for two epochs: some seconds."""
    from aetutor.data import binarize, load
    from aetutor.models import CVAE
    from aetutor.objectives import elbo
    from aetutor.training import Trainer

    mnist = load("mnist")
    labels = [mnist.train_y] if kind is CVAE else []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trainer = Trainer(kind(latent_dim=DIMENSIONS), lambda model, x, *y: -elbo(model, x, *y).elbo, device="cpu")
        trainer.fit(mnist.train_x, *labels, epochs=2, batch_size=100, prepare=binarize, progress=False)
    return trainer.model.requires_grad_(False)


def bound_mistakes(trained: Callable[[], Any]) -> list[Mistake]:
    """The mistakes of a model whose `bound` is measured, made of the good one that `trained` gives."""

    def plain(**changes: Callable[..., Any]) -> Plain:
        return Plain(trained, **changes)

    return [
        Mistake(
            "the outputs are not numbers",
            plain(decoded=lambda logits: logits * float("nan")),
            "Some are NaN or infinite: the training has diverged. Lower the learning rate.",
            sign=lambda facts: not isfinite(facts["elbo"]),
        ),
        Mistake(
            "the decoder gives probabilities",
            plain(decoded=torch.sigmoid),
            "Logits are asked: leave the sigmoid to the loss.",
            sign=lambda facts: facts["probabilities"] > facts["elbo"] + 20,
        ),
        Mistake(
            "the second output is log σ",
            plain(encoded=lambda mu, log_var: (mu, log_var / 2)),
            "Your model fits better if the second output of `encode` is log σ: return log σ², which is twice that.",
            sign=lambda facts: facts["log_sigma"] > facts["elbo"] + 2,
        ),
        Mistake(
            "posterior collapse",
            plain(encoded=lambda mu, log_var: (0 * mu, 0 * log_var)),
            "The KL is zero: q(z|x) is the prior, whatever the image. Is the reconstruction *summed* over the pixels? "
            "Does its gradient reach the encoder through z?",
            sign=lambda facts: facts["kl"] < 0.1,
        ),
        Mistake(
            "the KL is not in the loss",
            plain(encoded=lambda mu, log_var: (mu, log_var - 12)),
            "q(z|x) is very narrow or far away, as in an autoencoder, and its KL is large: is it in the loss, summed "
            "over the latent dimensions, with weight 1?",
            sign=lambda facts: facts["kl"] > 15,
        ),
    ]
