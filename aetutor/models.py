"""The models. They never choose a device, print or plot."""

from collections.abc import Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aetutor.likelihoods import LIKELIHOODS, check_sigma
from aetutor.networks import mlp


class Autoencoder(nn.Module):
    """Encoder, code, decoder: an image of D pixels goes through K numbers and comes back (notebook 01, section 1).

    Args:
        latent_dim: K, the size of the code.
        hidden: sizes of the encoder's hidden layers; the decoder has them in reverse. `()` is a linear autoencoder.
        image_shape: (C, H, W) of one image.
        likelihood: "bernoulli" for binary pixels or "gaussian" for grey ones: what the decoder's output means.
        sigma: the Gaussian's fixed standard deviation; not accepted with "bernoulli".

    Trained on corrupted images with clean targets, this is the denoising autoencoder.
    """

    def __init__(self, latent_dim: int = 2, hidden: tuple[int, ...] = (400,), image_shape=(1, 28, 28),
                 likelihood: str = "bernoulli", sigma: float | None = None):
        super().__init__()
        if not isinstance(image_shape, Sequence) or len(image_shape) != 3:
            raise ValueError(f"image_shape is (C, H, W), such as (1, 28, 28); got {image_shape!r}.")
        if not isinstance(hidden, Sequence) or not isinstance(latent_dim, int):
            raise ValueError("latent_dim is an integer, hidden a tuple of them, such as (256,) or () for a linear "
                             f"autoencoder; got latent_dim={latent_dim!r}, hidden={hidden!r}.")
        self.latent_dim, self.image_shape = latent_dim, tuple(image_shape)
        self.likelihood, self.family = _likelihood(likelihood, sigma), likelihood
        self.encoder = mlp(prod(image_shape), *hidden, latent_dim)
        self.decoder = mlp(latent_dim, *reversed(hidden), prod(image_shape))

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
        self._check_dtype(z, "codes")
        if z.shape[-1:] != (self.latent_dim,):
            raise ValueError(f"Codes must have shape (…, {self.latent_dim}); got {tuple(z.shape)}.")
        return self.likelihood(self.decoder(z).unflatten(-1, self.image_shape))

    def forward(self, x: Tensor) -> Tensor:
        """The same as `reconstruct`."""
        return self.reconstruct(x)

    def extra_repr(self) -> str:
        sigma = getattr(self.likelihood, "keywords", {})
        return ", ".join([f"image_shape={self.image_shape}", f"likelihood={self.family!r}"]
                         + [f"{name}={value}" for name, value in sigma.items()])

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images `(…, C, H, W)` -> y = g(f(x)), the mean of p(x|z) at the image's own code, same shape."""
        return self.decode(self.encode(x)).mean

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """The images `(count, C, H, W)` that codes drawn from N(0, I) decode to (notebook 01, section 9).

        Nothing in the training makes the codes of real images look like N(0, I): expect rubbish.
        """
        weight = next(self.parameters())
        z = torch.randn(count, self.latent_dim, generator=generator, device=weight.device, dtype=weight.dtype)
        return self.decode(z).mean

    def _check_images(self, x: Tensor) -> None:
        if not x.is_floating_point():
            raise ValueError(f"The model takes float images; got {x.dtype}: convert them with aetutor.data.to_unit or "
                             "aetutor.data.binarize.")
        self._check_dtype(x, "images")
        if x.shape[-3:] != self.image_shape:
            shape = ", ".join(map(str, self.image_shape))
            raise ValueError(f"The model takes images of shape (…, {shape}); got {tuple(x.shape)}.")

    def _check_dtype(self, tensor: Tensor, what: str) -> None:
        wanted = self.encoder[0].weight.dtype
        if tensor.dtype != wanted and not torch.is_autocast_enabled(tensor.device.type):
            raise ValueError(f"The model computes in {wanted}; got {what} in {tensor.dtype}: convert them with "
                             f".to({wanted}), or the model.")


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
