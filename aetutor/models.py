"""The models. They never choose a device, print or plot."""

from collections.abc import Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from aetutor.data import one_hot
from aetutor.likelihoods import LIKELIHOODS, check_sigma
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

    Trained on corrupted images with clean targets, this is the denoising autoencoder.
    """

    code_numbers = 1  # what the encoder gives for each dimension of the code
    num_classes = 0  # how many numbers of a label go in beside the pixels, and beside the code

    def __init__(
        self,
        latent_dim: int = 2,
        hidden: tuple[int, ...] = (400,),
        image_shape=(1, 28, 28),
        likelihood: str = "bernoulli",
        sigma: float | None = None,
    ):
        super().__init__()
        if not isinstance(image_shape, Sequence) or len(image_shape) != 3:
            raise ValueError(f"image_shape is (C, H, W), such as (1, 28, 28); got {image_shape!r}.")
        if not isinstance(hidden, Sequence) or not isinstance(latent_dim, int):
            raise ValueError(
                "latent_dim is an integer, hidden a tuple of them, such as (256,) or () for a linear "
                f"autoencoder; got latent_dim={latent_dim!r}, hidden={hidden!r}."
            )
        self.latent_dim, self.image_shape = latent_dim, tuple(image_shape)
        self.likelihood, self.family = _likelihood(likelihood, sigma), likelihood
        self.outputs_shape = (2, *image_shape) if likelihood == "gaussian_pixelwise" else tuple(image_shape)
        # Adam moves every parameter by about lr a step: stored as a tenth, log sigma moves ten times as far as a weight
        self.tenth_log_sigma = nn.Parameter(torch.zeros(())) if likelihood == "gaussian_learned" else None
        self.encoder = mlp(prod(image_shape) + self.num_classes, *hidden, self.code_numbers * latent_dim)
        self.decoder = mlp(latent_dim + self.num_classes, *reversed(hidden), prod(self.outputs_shape))

    def encode(self, x: Tensor) -> Tensor:
        """Images `(…, C, H, W)` -> codes `(…, K)`.

        Raises ValueError for images of another shape or dtype.
        """
        self._check_images(x)
        return self.encoder(x.flatten(-3))

    def decode(self, z: Tensor) -> Distribution:
        """Codes `(…, K)` -> p(x|z), a distribution over images `(…, C, H, W)`.

        Raises ValueError for codes of another size or dtype.
        """
        self._check_codes(z)
        return self.likelihood(*self._outputs(z))

    def _outputs(self, z: Tensor) -> tuple[Tensor, ...]:
        """What the likelihood is made from: the decoder's outputs, and the learned log sigma where there is one."""
        outputs = self.decoder(z).unflatten(-1, self.outputs_shape)
        return (outputs,) if self.log_sigma is None else (outputs, self.log_sigma)

    @property
    def log_sigma(self) -> Tensor | None:
        """log sigma, learned with the weights, for "gaussian_learned"; None for the other likelihoods."""
        return None if self.tenth_log_sigma is None else 10 * self.tenth_log_sigma

    @property
    def sigma(self) -> float | None:
        """The standard deviation of a pixel, for a Gaussian likelihood that has one for all; None for the others."""
        if self.log_sigma is not None:
            return self.log_sigma.exp().item()
        return getattr(self.likelihood, "keywords", {}).get("sigma", 1.0) if self.family == "gaussian" else None

    def forward(self, x: Tensor) -> Tensor:
        """The same as `reconstruct`."""
        return self.reconstruct(x)

    def extra_repr(self) -> str:
        classes = {"num_classes": self.num_classes} if self.num_classes else {}
        numbers = getattr(self.likelihood, "keywords", {}) | classes
        return ", ".join(
            [f"image_shape={self.image_shape}", f"likelihood={self.family!r}"]
            + [f"{name}={value}" for name, value in numbers.items()]
        )

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images `(…, C, H, W)` -> x_hat = g(f(x)), the mean of p(x|z) at the image's own code, same shape."""
        return self.decode(self.encode(x)).mean

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """The images `(count, C, H, W)` that codes drawn from N(0, I) decode to (notebook 01, section 9).

        Nothing in the training makes the codes of real images look like N(0, I): expect rubbish.
        """
        return self.decode(self._standard_normal((count,), generator)).mean

    def _standard_normal(self, shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
        weight = self.encoder[0].weight
        return torch.randn(*shape, self.latent_dim, generator=generator, device=weight.device, dtype=weight.dtype)

    def _check_images(self, x: Tensor) -> None:
        if not x.is_floating_point():
            raise ValueError(
                f"The model takes float images; got {x.dtype}: convert them with aetutor.data.to_unit or "
                "aetutor.data.binarize."
            )
        self._check_dtype(x, "images")
        if x.shape[-3:] != self.image_shape:
            shape = ", ".join(map(str, self.image_shape))
            raise ValueError(f"The model takes images of shape (…, {shape}); got {tuple(x.shape)}.")

    def _check_codes(self, z: Tensor) -> None:
        self._check_dtype(z, "codes")
        if z.shape[-1:] != (self.latent_dim,):
            raise ValueError(f"Codes must have shape (…, {self.latent_dim}); got {tuple(z.shape)}.")

    def _check_dtype(self, tensor: Tensor, what: str) -> None:
        wanted = self.encoder[0].weight.dtype
        if tensor.dtype != wanted and not torch.is_autocast_enabled(tensor.device.type):
            raise ValueError(
                f"The model computes in {wanted}; got {what} in {tensor.dtype}: convert them with "
                f".to({wanted}), or the model."
            )


class VAE(Autoencoder):
    """Variational autoencoder (Kingma and Welling 2014): the encoder gives a distribution q(z|x), the prior is N(0, I).

    Arguments as for `Autoencoder`. Derived in notebook 03. With `hidden=()` and a Gaussian likelihood it is the
    linear-Gaussian model, whose evidence is known in closed form.
    """

    code_numbers = 2  # mu and log_var

    def encode(self, x: Tensor) -> Distribution:
        """Images `(…, C, H, W)` -> q(z|x) = N(mu, diag exp(log_var)), a distribution over codes `(…, K)`.

        Raises ValueError for images of another shape or dtype.
        """
        return self._gaussian(super().encode(x))

    def _gaussian(self, numbers: Tensor) -> Distribution:
        mu, log_var = numbers.chunk(2, dim=-1)
        return Independent(LogVarNormal(mu, log_var), 1)

    def prior(self) -> Distribution:
        """p(z) = N(0, I), on the model's device and in its dtype."""
        zeros = self.decoder[0].weight.new_zeros(self.latent_dim)
        return Independent(LogVarNormal(zeros, zeros), 1)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images `(…, C, H, W)` -> the mean of p(x|z) at z = mu, the mean of q(z|x), same shape."""
        return self.decode(self.encode(x).mean).mean

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """New images `(count, C, H, W)`: the means of p(x|z) for codes z drawn from the prior."""
        return super().sample(count, generator)


class CVAE(VAE):
    """Conditional VAE: encoder and decoder are given the label y, too, q(z|x, y) and p(x|z, y); the prior is N(0, I).

    Args:
        num_classes: C, how many classes (in `(C, H, W)`: channels). The other arguments are those of `Autoencoder`.

    Labels y are class indices, integers 0…C-1, one an image `(B,)`, or of a shape that broadcasts to the leading axes
    of images or codes. Inside, they are one-hot, `[x; e_y]` and `[z; e_y]`: a bias for each class in the first layers
    (equation 4.3). Kingma et al. 2014, model M2; Sohn, Lee and Yan 2015, here with a prior without y. Notebook 04.
    """

    def __init__(
        self,
        latent_dim: int = 2,
        hidden: tuple[int, ...] = (400,),
        image_shape=(1, 28, 28),
        likelihood: str = "bernoulli",
        sigma: float | None = None,
        num_classes: int = 10,
    ):
        if not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(f"num_classes is how many classes there are, an integer from 1 on; got {num_classes!r}.")
        self.num_classes = num_classes  # before the networks are made: it is part of their size
        super().__init__(latent_dim, hidden, image_shape, likelihood, sigma)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Distribution:
        """Images `(…, C, H, W)`, labels `(…,)` -> q(z|x, y), a distribution over codes `(…, K)`.

        Raises ValueError for images or labels of another shape, kind or range, and for no labels.
        """
        self._check_images(x)
        return self._gaussian(self.encoder(self._with_label(x.flatten(-3), y)))

    def decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Codes `(…, K)`, labels `(…,)` -> p(x|z, y), a distribution over images `(…, C, H, W)`.

        With codes `(S, B, K)`, labels `(B,)` hold for all S. Raises ValueError for codes or labels of another kind.
        """
        self._check_codes(z)
        return self.likelihood(*self._outputs(self._with_label(z, y)))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The same as `reconstruct`."""
        return self.reconstruct(x, y)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images `(…, C, H, W)`, labels `(…,)` -> the mean of p(x|z, y) at the mean of q(z|x, y), same shape."""
        return self.decode(self.encode(x, y).mean, y).mean

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A new image of each label's class, the mean of p(x|z, y) for z from the prior: `(…,)` -> `(…, C, H, W)`."""
        self._check_labels(y)
        return self.decode(self._standard_normal(y.shape, generator), y).mean

    def _with_label(self, features: Tensor, y: Tensor | None) -> Tensor:
        """Features `(…, F)` and labels that broadcast to `(…,)` -> `[features; e_y]`, `(…, F + C)`."""
        self._check_labels(y)
        e_y, batch = one_hot(y, self.num_classes).to(features), tuple(features.shape[:-1])
        try:
            e_y = e_y.expand(*batch, -1)
        except RuntimeError:
            raise ValueError(
                f"There must be one label an image or code, shape {batch}; got labels of shape "
                f"{tuple(y.shape)}: y.argmax(-1) makes labels of a one-hot matrix."
            ) from None
        return torch.cat([features, e_y], -1)

    def _check_labels(self, y: Tensor | None) -> None:
        if not isinstance(y, Tensor):
            raise ValueError(
                "A CVAE needs the labels y, a tensor of class indices such as load('mnist').train_y or "
                f"torch.tensor([3, 8]); got {'none' if y is None else repr(y)}."
            )


class LogVarNormal(Normal):
    """A Gaussian that keeps its log variance, as the KL divergence has it, besides its scale."""

    def __init__(self, mu: Tensor, log_var: Tensor):
        self.log_var = log_var
        # sigma = exp(log_var / 2), since log_var = log sigma²
        super().__init__(mu, (log_var / 2).exp(), validate_args=False)

    def expand(self, batch_shape, _instance=None):
        return LogVarNormal(self.loc.expand(batch_shape), self.log_var.expand(batch_shape))


def _likelihood(name: str, sigma: float | None):
    """The family's function, with sigma filled in where the family takes one."""
    if name not in LIKELIHOODS:
        raise ValueError(f"Unknown likelihood {name!r}: choose one of {', '.join(LIKELIHOODS)}.")
    if sigma is None:
        return LIKELIHOODS[name]
    if name != "gaussian":
        raise ValueError(f"sigma belongs to the Gaussian likelihood; got sigma={sigma} with likelihood={name!r}.")
    check_sigma(sigma)
    return partial(LIKELIHOODS[name], sigma=sigma)
