"""The models. They never choose a device, print or plot."""

from collections.abc import Sequence
from math import prod
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from aetutor import checkpoint, doors
from aetutor.data import Labels, one_hot, shape_advice
from aetutor.distributions import diagonal_gaussian
from aetutor.likelihoods import LIKELIHOODS, make_likelihood
from aetutor.networks import mlp


class Autoencoder(nn.Module):
    """Encoder, code, decoder: an image of D pixels goes through K numbers and comes back (notebook 01, section 1).

    Args:
        latent_dim: K, the size of the code.
        hidden: sizes of the encoder's hidden layers; the decoder has them in reverse. `()` is a linear autoencoder.
        image_shape: (C, H, W) of one image.
        likelihood: what the decoder's output means: "bernoulli" for binary pixels; for grey ones "gaussian" (sigma
            given), "gaussian_learned" (one sigma), "gaussian_pixelwise", or "continuous_bernoulli".
        sigma: the standard deviation for "gaussian", default 1; not accepted with the others.
        activation: between two layers: "silu" or "relu".

    Trained on corrupted images with clean targets, this is the denoising autoencoder. Raises ValueError for settings
    that make no model.
    """

    outputs_per_dimension = 1  # of the code: what the encoder gives
    num_classes = 0  # how many numbers of a label go in beside the pixels, and beside the code

    encoder: nn.Sequential
    decoder: nn.Sequential

    def __init__(
        self,
        latent_dim: int = 2,
        hidden: Sequence[int] = (256, 256, 128),
        image_shape: Sequence[int] = (1, 28, 28),
        likelihood: str = "bernoulli",
        sigma: float | None = None,
        activation: str = "silu",
    ):
        super().__init__()
        if not isinstance(image_shape, Sequence) or len(image_shape) != 3:
            raise ValueError(f"image_shape is (C, H, W), such as (1, 28, 28); got {image_shape!r}.")
        if not isinstance(hidden, Sequence):
            raise ValueError(
                f"hidden is a tuple such as (256,), or () for a linear autoencoder; got hidden={hidden!r}."
            )
        channels, height, width = (doors.whole_number("each side in image_shape", side) for side in image_shape)
        self.latent_dim, self.image_shape = doors.whole_number("latent_dim", latent_dim), (channels, height, width)
        self.hidden = tuple(doors.whole_number("each size in hidden", size) for size in hidden)
        self.likelihood = make_likelihood(likelihood, self.image_shape, sigma)
        self.activation = activation
        features, outputs = prod(self.image_shape), self.outputs_per_dimension * self.latent_dim
        self.encoder = mlp(features + self.num_classes, *self.hidden, outputs, activation=activation)
        features, outputs = self.latent_dim, self.likelihood.out_features
        self.decoder = mlp(features + self.num_classes, *reversed(self.hidden), outputs, activation=activation)

    def encode(self, x: Tensor, y: Labels | None = None) -> Tensor:
        """Images `(…, C, H, W)` -> codes `(…, K)`.

        Raises ValueError for images of another shape or dtype, and for labels y, which this model does not take.
        """
        self._check_images(x)
        return self.encoder(self._with_label(x.flatten(-3), y))

    def decode(self, z: Tensor, y: Labels | None = None) -> Distribution:
        """Codes `(…, K)` -> p(x|z), a distribution over images `(…, C, H, W)`.

        Raises ValueError for codes of another size or dtype, and for labels y where the model takes none.
        """
        return self.likelihood(self.decoder(self._with_label(self._checked_codes(z), y)))

    def reconstruct(self, x: Tensor, y: Labels | None = None) -> Tensor:
        """Images `(…, C, H, W)` -> x_hat = g(f(x)), the mean of p(x|z) at the image's own code, same shape."""
        return self.decode(self.encode(x, y), y).mean

    def forward(self, x: Tensor, y: Labels | None = None) -> Tensor:
        """The same as `reconstruct`."""
        return self.reconstruct(x, y)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Images `(count, C, H, W)` decoded from codes that are drawn from N(0, I), the means of p(x|z).

        A plain autoencoder's training does not make the codes of real images look like that: expect rubbish (notebook
        01, section 7). Raises ValueError for a count that is no whole number.
        """
        return self.decode(self._standard_normal((doors.whole_number("count", count, 0),), generator)).mean

    @property
    def sigma(self) -> float | None:
        """The standard deviation of a pixel, for a Gaussian likelihood that has one for all; None for the others."""
        return self.likelihood.sigma

    def config(self) -> dict[str, Any]:
        """The arguments that build a model like this one."""
        sizes = {"latent_dim": self.latent_dim, "hidden": self.hidden, "image_shape": self.image_shape}
        return sizes | {"activation": self.activation} | self.likelihood.config()

    def save(self, path: str | Path) -> None:
        """Write configuration and weights to one safetensors file, whole or not at all; `load_model` reads it.

        Raises ValueError for a subclass of yours, which `load_model` would not know.
        """
        for part, known in ((self, MODELS.values()), (self.likelihood, LIKELIHOODS.values())):
            if type(part) not in known:
                raise ValueError(
                    f"save keeps the classes {', '.join(kind.__name__ for kind in known)}; {type(part).__name__} is "
                    "another one: keep the model's state_dict() with torch.save."
                )
        checkpoint.save_weights(self.state_dict(), {"model": type(self).__name__, **self.config()}, path)

    def extra_repr(self) -> str:
        shown = {name: value for name, value in self.config().items() if name not in ("latent_dim", "hidden")}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())

    def _with_label(self, features: Tensor, y: Labels | None) -> Tensor:
        """What goes into a network: the features alone, since this model takes no labels."""
        if y is not None:
            raise ValueError(f"{type(self).__name__} takes no labels; got y: leave it out, or take a CVAE.")
        return features

    def _standard_normal(self, shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
        weight, generator = self._weight(), doors.generator(generator)
        return torch.randn(*shape, self.latent_dim, generator=generator, device=weight.device, dtype=weight.dtype)

    def _weight(self) -> Tensor:
        """A weight: it tells the model's device and dtype."""
        weight: Tensor = self.decoder[0].weight  # type: ignore[assignment]
        return weight

    def _check_images(self, x: Tensor) -> None:
        doors.tensor("x", x, "images")
        if not x.is_floating_point():
            raise ValueError(
                f"The model takes float images; got {x.dtype}: convert them to floats, bytes by aetutor.data.to_unit "
                "or aetutor.data.binarize."
            )
        self._check_dtype(x, "images")
        if x.shape[-3:] != self.image_shape:
            shape = ", ".join(map(str, self.image_shape))
            raise ValueError(f"The model takes images of shape (…, {shape}); got {tuple(x.shape)}.")

    def _checked_codes(self, z: Tensor) -> Tensor:
        doors.tensor("z", z, "codes (…, K)")
        if self._weight().dtype in (torch.bfloat16, torch.float16):  # q(z|x) is in float32, so z is too
            z = z.to(self._weight().dtype)
        self._check_dtype(z, "codes")
        if z.shape[-1:] != (self.latent_dim,):
            raise ValueError(f"Codes must have shape (…, {self.latent_dim}); got {tuple(z.shape)}.")
        return z

    def _check_dtype(self, tensor: Tensor, what: str) -> None:
        wanted = self._weight().dtype
        if tensor.dtype != wanted and not torch.is_autocast_enabled(tensor.device.type):
            raise ValueError(
                f"The model computes in {wanted}; got {what} in {tensor.dtype}: convert them with "
                f".to({wanted}), or the model."
            )


class VAE(Autoencoder):
    """Variational autoencoder: the encoder gives a distribution q(z|x), the prior is N(0, I).

    Arguments as for `Autoencoder`. With `hidden=()` and a Gaussian likelihood it is the linear-Gaussian model, whose
    evidence is known in closed form. Source: Kingma and Welling 2014; notebook 03.
    """

    outputs_per_dimension = 2  # mu and log_var

    def encode(self, x: Tensor, y: Labels | None = None) -> Independent:  # type: ignore[override]
        """Images `(…, C, H, W)` -> q(z|x) = N(mu, diag exp(log_var)), a distribution over codes `(…, K)`.

        Raises ValueError for images of another shape or dtype, and for labels y where the model takes none.
        """
        numbers = super().encode(x, y)
        # at least float32, as in the likelihood: under mixed precision they come in bfloat16
        mu, log_var = numbers.to(torch.promote_types(numbers.dtype, torch.float32)).chunk(2, dim=-1)
        return diagonal_gaussian(mu, log_var)

    def prior(self) -> Independent:
        """p(z) = N(0, I), on the model's device and in its dtype."""
        zeros = self._weight().new_zeros(self.latent_dim)
        return diagonal_gaussian(zeros, zeros)

    def reconstruct(self, x: Tensor, y: Labels | None = None) -> Tensor:
        """Images `(…, C, H, W)` -> the mean of p(x|z) at z = mu, the mean of q(z|x), same shape."""
        return self.decode(self.encode(x, y).mean, y).mean


class CVAE(VAE):
    """Conditional VAE: encoder and decoder are given the label y, too, q(z|x, y) and p(x|z, y); the prior is N(0, I).

    Args:
        num_classes: C, how many classes there are. The other arguments are those of `Autoencoder`.

    Labels y are class indices, integers 0…C-1 in a tensor, a list or an array: one an image `(B,)`, or of a shape that
    broadcasts to the leading axes of images or codes. Inside, they are one-hot, `[x; e_y]` and `[z; e_y]`: a bias for
    each class in the first layers (equation 4.3). Every method that takes y raises ValueError where it is missing or
    wrong. Source: Kingma et al. 2014, model M2; Sohn, Lee and Yan 2015, here with a prior without y; notebook 04.
    """

    def __init__(
        self,
        latent_dim: int = 2,
        hidden: Sequence[int] = (256, 256, 128),
        image_shape: Sequence[int] = (1, 28, 28),
        likelihood: str = "bernoulli",
        sigma: float | None = None,
        num_classes: int = 10,
        activation: str = "silu",
    ):
        # before the networks are made: it is part of their size
        self.num_classes = doors.whole_number("num_classes", num_classes)
        super().__init__(latent_dim, hidden, image_shape, likelihood, sigma, activation)

    def sample(self, y: Labels, generator: torch.Generator | None = None) -> Tensor:  # type: ignore[override]
        """A new image of each label's class, the mean of p(x|z, y) for z from the prior: `(…,)` -> `(…, C, H, W)`."""
        shape = self._one_hot(y).shape[:-1]
        return self.decode(self._standard_normal(shape, generator), y).mean

    def config(self) -> dict[str, Any]:
        return super().config() | {"num_classes": self.num_classes}

    def _with_label(self, features: Tensor, y: Labels | None) -> Tensor:
        """What goes into a network: features `(…, F)` and labels that broadcast to `(…,)` -> `[features; e_y]`."""
        e_y, batch = self._one_hot(y).to(features), tuple(features.shape[:-1])
        given = tuple(e_y.shape[:-1])
        if len(given) > len(batch) or any(n not in (1, m) for n, m in zip(given[::-1], batch[::-1], strict=False)):
            advice = shape_advice(e_y.shape[:-1], num_classes=self.num_classes)
            raise ValueError(
                f"There must be one label an image or code, shape {batch}; got labels of shape {given}{advice}."
            )
        return torch.cat([features, e_y.expand(*batch, -1)], -1)

    def _one_hot(self, y: Labels | None) -> Tensor:
        if y is None or isinstance(y, Real):
            raise ValueError(
                f"A {type(self).__name__} needs the labels y, a tensor of class indices such as load('mnist').train_y, "
                f"or a list such as [3, 8]; got {'none: give them, as in elbo(model, x, y)' if y is None else repr(y)}."
            )
        return one_hot(y, self.num_classes)


MODELS: dict[str, type[Autoencoder]] = {model.__name__: model for model in (Autoencoder, VAE, CVAE)}


def load_model(path: str | Path) -> Autoencoder:
    """The model that `model.save(path)` wrote, on the CPU, with its weights, in evaluation mode.

    Nothing in the file is executed. Raises FileNotFoundError, and ValueError for a file that is not whole, is something
    else, or was written by a newer version.
    """
    weights, config = checkpoint.load_weights(path)
    name = config.pop("model", None)
    if name not in list(MODELS):  # a list: the name may be unhashable
        raise ValueError(f"{path} holds none of the models {', '.join(MODELS)}: save it again with model.save.")
    try:
        with torch.device("meta"):  # no weights are drawn: those of the file take their place
            model = MODELS[name](**config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold a model of this version of aetutor: {error}") from None
    if missing := ", ".join(model.config().keys() - config.keys()):  # a default of today's may not be what it had
        raise ValueError(f"{path} does not say which {missing} its model has: it is not of this version of aetutor.")
    given, wanted = ({key: value.shape for key, value in part.items()} for part in (weights, model.state_dict()))
    if given != wanted or len({value.dtype for value in weights.values()}) > 1:
        raise ValueError(f"{path} is damaged: its weights are not those of the {name} that it describes.")
    model.load_state_dict(weights, assign=True)
    return model.eval()
