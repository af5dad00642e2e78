"""The exercises of notebook 03."""

from math import log, pi, sqrt

import torch
from torch import Tensor

from aetutor.exercises.engine import Exercise
from aetutor.exercises.random_inputs import normal, number, uniform

# --- 3.1 -------------------------------------------------------------------------------------------------------------


def log_evidence(log_px_z, log_p_z, cell):
    """Equation (3.2), the integral as a sum over a grid."""
    return (log_px_z + log_p_z).logsumexp(1) + log(cell)


def _grid_inputs(size: int, g: torch.Generator) -> tuple:
    """log p(x|z) so low that exp gives 0 in float64, too; the prior sums to 1 over the grid; B and G differ."""
    cell = number(g, 0.2, 0.4)
    log_px_z = -900 - 100 * uniform(g, size + 1, 1) + 3 * normal(g, size + 1, size + 3)
    return log_px_z, (1.5 * normal(g, size + 3)).log_softmax(0) - log(cell), cell


def _evidence(of_joint):
    """A mistake that is a function of log p(x|z) + log p(z), (B, G), and the cell."""
    return lambda log_px_z, log_p_z, cell: of_joint(log_px_z + log_p_z, cell)


def _all_equal(*arguments_and_result) -> bool:
    """The same number for each image: what log(0 + a small number) gives after an underflow."""
    result = arguments_and_result[-1]
    return len(result) > 1 and bool((result == result[0]).all()) and result[0].item() < 0


EXERCISE_1 = Exercise(
    prompt="Write `log_evidence(log_px_z, log_p_z, cell)`: log p(x|z) of B images at G grid points, (B, G), log p(z) "
           "there, (G,), and the area of a grid cell, a number. Return log p(x) of each image, (B,): the integral "
           "(3.2) as a sum over the grid. The log-probabilities of an image are near -1000.",
    inputs=_grid_inputs,
    reference=log_evidence,
    rtol=1e-5,  # of 1000 nats
    signs={"exponentiated first": _all_equal},
    mistakes={
        "exponentiated first": _evidence(lambda joint, cell: (joint.exp().sum(1) * cell).log()),
        "the mean of log p(x|z) instead of the log of the mean":
            lambda log_px_z, log_p_z, cell: (log_p_z.exp() * log_px_z).sum(1) * cell,
        "the prior is missing": lambda log_px_z, log_p_z, cell: log_px_z.logsumexp(1) + log(cell),
        "the cell is missing": _evidence(lambda joint, cell: joint.logsumexp(1)),
        "the prior and the cell are missing": lambda log_px_z, log_p_z, cell: log_px_z.logsumexp(1),
        "the grid points taken for draws from the prior":
            lambda log_px_z, log_p_z, cell: log_px_z.logsumexp(1) - log(log_px_z.shape[1]),
        "the mean over the grid instead of the sum times the cell":
            _evidence(lambda joint, cell: joint.logsumexp(1) - log(joint.shape[1])),
        "the mean over the grid times the cell":
            _evidence(lambda joint, cell: joint.logsumexp(1) - log(joint.shape[1]) + log(cell)),
        "the cell added instead of its logarithm": _evidence(lambda joint, cell: joint.logsumexp(1) + cell),
        "the logarithm multiplied by the cell": _evidence(lambda joint, cell: joint.logsumexp(1) * cell),
        "divided by the cell": _evidence(lambda joint, cell: joint.logsumexp(1) - log(cell)),
        "the square of the cell": _evidence(lambda joint, cell: joint.logsumexp(1) + 2 * log(cell)),
        "the cell counted G times": _evidence(lambda joint, cell: joint.logsumexp(1) + joint.shape[1] * log(cell)),
        "the prior is subtracted": lambda log_px_z, log_p_z, cell: (log_px_z - log_p_z).logsumexp(1) + log(cell),
        "the logs multiplied": lambda log_px_z, log_p_z, cell: (log_px_z * log_p_z).logsumexp(1) + log(cell),
        "the prior added without its logarithm":
            lambda log_px_z, log_p_z, cell: (log_px_z + log_p_z.exp()).logsumexp(1) + log(cell),
        "the sum of the logs": _evidence(lambda joint, cell: joint.sum(1) + log(cell)),
        "the mean of the logs": _evidence(lambda joint, cell: joint.mean(1) + log(cell)),
        "the largest term only": _evidence(lambda joint, cell: joint.amax(1) + log(cell)),
        "the largest term only, and the cell is missing": _evidence(lambda joint, cell: joint.amax(1)),
        "the sum over the images instead of the grid": _evidence(lambda joint, cell: joint.logsumexp(0) + log(cell)),
        "one number for the batch": lambda *arguments: log_evidence(*arguments).sum(),
        "the mean over the batch": lambda *arguments: log_evidence(*arguments).mean(),
        "no sum at all": _evidence(lambda joint, cell: joint + log(cell)),
        "no sum at all, and the cell is missing": _evidence(lambda joint, cell: joint),
        "the posterior instead of the evidence": _evidence(lambda joint, cell: joint.log_softmax(1)),
        "p(x) instead of log p(x)": lambda *arguments: log_evidence(*arguments).exp(),
        "the wrong sign": lambda *arguments: -log_evidence(*arguments),
    },
    why={
        "exponentiated first":
            "exp(-900) is too small for a float and becomes 0, and log 0 is -∞. Use torch.logsumexp, which takes out "
            "the largest term first.",
        "the mean of log p(x|z) instead of the log of the mean":
            "log p(x) is the log of E[p(x|z)]. The mean of log p(x|z) is lower (Jensen), often by hundreds of nats.",
        "the prior is missing": "Each grid point counts with its density p(z): add log p(z) before the sum.",
        "the cell is missing": "A sum becomes an integral when each term is multiplied by the area of its cell.",
        "the prior and the cell are missing": "Each grid point counts with p(z) times the area of its cell.",
        "the grid points taken for draws from the prior":
            "The mean of p(x|z) is right for draws z from p(z). A grid covers the plane evenly: weigh its points with "
            "p(z) times the cell.",
        "the mean over the grid instead of the sum times the cell":
            "An integral is the sum of the values times the cell's area, not their mean.",
        "the mean over the grid times the cell":
            "The mean times the cell is too small by the factor G: take the sum times the cell.",
        "the cell added instead of its logarithm": "A factor outside the logarithm becomes a summand: add log(cell).",
        "the logarithm multiplied by the cell":
            "The cell multiplies the sum, not the sum's logarithm: add log(cell).",
        "divided by the cell": "The integral is the sum *times* the cell: add log(cell).",
        "the square of the cell": "cell is an area already: it counts once.",
        "the cell counted G times": "The cell is a factor common to all terms: it leaves the sum once.",
        "the prior is subtracted": "p(x, z) is p(x|z) *times* p(z): the logs add.",
        "the logs multiplied": "The log of a product is the sum of the logs.",
        "the prior added without its logarithm": "log_p_z is log p(z) already: add it as it is.",
        "the sum of the logs": "The integral sums probabilities, not their logs: torch.logsumexp.",
        "the mean of the logs": "The integral sums probabilities, not their logs: torch.logsumexp.",
        "the largest term only": "The largest term is often close, but the others belong to the sum.",
        "the largest term only, and the cell is missing": "All terms belong to the sum, each times its cell's area.",
        "the sum over the images instead of the grid": "Axis 0 is the images, axis 1 the grid points.",
        "one number for the batch": "Leave the batch axis: one number for each image.",
        "the mean over the batch": "Leave the batch axis: one number for each image.",
        "no sum at all": "Sum the probabilities over the grid, axis 1, with torch.logsumexp.",
        "no sum at all, and the cell is missing":
            "That is log p(x, z). Sum the probabilities over the grid, each times its cell's area.",
        "the posterior instead of the evidence":
            "Dividing by the sum gives the posterior of the grid points. The evidence is that sum.",
        "p(x) instead of log p(x)": "exp(-900) is too small for a float and becomes 0. Return the logarithm.",
        "the wrong sign": "log p(x) itself is asked, not the loss.",
    },
)

# --- 3.2 -------------------------------------------------------------------------------------------------------------


def kl_to_prior(mu, log_var):
    """Equation (3.7)."""
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1)


def _posterior(generator: torch.Generator, *shape: int) -> tuple[Tensor, Tensor]:
    return normal(generator, *shape) + 0.2, 0.8 * normal(generator, *shape) - 0.4


def _kl(term):
    """(3.7) with another term in its sum."""
    return lambda mu, log_var: 0.5 * term(mu, log_var).sum(1)


EXERCISE_2 = Exercise(
    prompt="Write `kl_to_prior(mu, log_var)`: the means and the log σ² of q(z|x), both (B, K). Return "
           "KL(q(z|x) ‖ N(0, I)) for each image, (B,), without sampling.",
    inputs=lambda size, g: _posterior(g, size + 2, size + 1),
    reference=kl_to_prior,
    mistakes={
        "the ½ is missing": lambda mu, log_var: 2 * kl_to_prior(mu, log_var),
        "the wrong sign": lambda mu, log_var: -kl_to_prior(mu, log_var),
        "the wrong sign, and the ½ is missing": lambda mu, log_var: -2 * kl_to_prior(mu, log_var),
        "σ where σ² belongs": _kl(lambda mu, log_var: mu**2 + (log_var / 2).exp() - 1 - log_var),
        "log σ where log σ² belongs": _kl(lambda mu, log_var: mu**2 + log_var.exp() - 1 - log_var / 2),
        "σ where σ² belongs, and log σ where log σ² belongs":
            _kl(lambda mu, log_var: mu**2 + (log_var / 2).exp() - 1 - log_var / 2),
        "log_var taken for log σ": _kl(lambda mu, log_var: mu**2 + (2 * log_var).exp() - 1 - 2 * log_var),
        "σ⁴ where σ² belongs": _kl(lambda mu, log_var: mu**2 + (2 * log_var).exp() - 1 - log_var),
        "log σ⁴ where log σ² belongs": _kl(lambda mu, log_var: mu**2 + log_var.exp() - 1 - 2 * log_var),
        "log_var taken for σ²": _kl(lambda mu, log_var: mu**2 + log_var - 1 - log_var.log()),
        "the exponential is missing": _kl(lambda mu, log_var: mu**2 - 1),
        "the KL the other way round": _kl(lambda mu, log_var: (mu**2 + 1) / log_var.exp() - 1 + log_var),
        "the log term has the wrong sign": _kl(lambda mu, log_var: mu**2 + log_var.exp() - 1 + log_var),
        "the 1 has the wrong sign": _kl(lambda mu, log_var: mu**2 + log_var.exp() + 1 - log_var),
        "mu² has the wrong sign": _kl(lambda mu, log_var: -mu**2 + log_var.exp() - 1 - log_var),
        "σ² has the wrong sign": _kl(lambda mu, log_var: mu**2 - log_var.exp() - 1 - log_var),
        "the -1 is missing": _kl(lambda mu, log_var: mu**2 + log_var.exp() - log_var),
        "the 1 is subtracted once instead of K times":
            lambda mu, log_var: 0.5 * ((mu**2 + log_var.exp() - log_var).sum(1) - 1),
        "the log term is missing": _kl(lambda mu, log_var: mu**2 + log_var.exp() - 1),
        "mu² is missing": _kl(lambda mu, log_var: log_var.exp() - 1 - log_var),
        "only mu²": _kl(lambda mu, log_var: mu**2),
        "mu is not squared": _kl(lambda mu, log_var: mu + log_var.exp() - 1 - log_var),
        "the ½ stands at mu² only (brackets)": lambda mu, log_var: (mu**2 / 2 + log_var.exp() - 1 - log_var).sum(1),
        "the mean over the latent dimensions instead of the sum":
            lambda mu, log_var: kl_to_prior(mu, log_var) / mu.shape[1],
        "one number for the batch": lambda mu, log_var: kl_to_prior(mu, log_var).sum(),
        "the mean over the batch": lambda mu, log_var: kl_to_prior(mu, log_var).mean(),
        "the mean over latent dimensions and batch": lambda mu, log_var: kl_to_prior(mu, log_var).mean() / mu.shape[1],
        "the sum over the batch instead of the latent dimensions":
            lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(0),
        "no sum at all": lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var),
    },
    why={
        "the ½ is missing":
            "The Gaussian's exponent and the log of its normaliser both carry a ½. Doubling the KL is β = 2.",
        "the wrong sign":
            "A KL divergence is never negative. With the minus outside, the bracket is 1 + log σ² - mu² - σ².",
        "the wrong sign, and the ½ is missing":
            "A KL divergence is never negative, and each term of (3.7) carries a ½.",
        "σ where σ² belongs": "exp(log_var / 2) is σ. The sum has σ², which is exp(log_var).",
        "log σ where log σ² belongs": "log_var is log σ² already: the last term has no ½ of its own.",
        "σ where σ² belongs, and log σ where log σ² belongs":
            "log_var is log σ²: exp(log_var) is σ², and the last term is log_var itself.",
        "log_var taken for log σ": "log_var is log σ², not log σ: it needs no factor 2.",
        "σ⁴ where σ² belongs": "log_var is log σ², so exp(log_var) is σ² already.",
        "log σ⁴ where log σ² belongs": "log_var is log σ² already: it needs no factor 2.",
        "log_var taken for σ²":
            "log_var is the *logarithm* of σ², and may be negative: then its own logarithm is NaN. σ² = exp(log_var).",
        "the exponential is missing": "log_var is the logarithm of σ²: in the place of σ² stands exp(log_var).",
        "the KL the other way round":
            "That is KL(p ‖ q). The expectation is over q, so the variances are divided by the prior's, which are 1.",
        "the log term has the wrong sign":
            "The KL must grow as σ shrinks to 0: -log σ². At mu = 0, σ = 1 its derivative must vanish.",
        "the 1 has the wrong sign": "The KL of the prior with itself, mu = 0 and σ = 1, must be 0: subtract 1.",
        "mu² has the wrong sign": "A posterior further from the origin is further from the prior: add mu².",
        "σ² has the wrong sign": "The KL of the prior with itself, mu = 0 and σ = 1, must be 0: add σ².",
        "the -1 is missing": "The KL of the prior with itself, mu = 0 and σ = 1, must be 0.",
        "the 1 is subtracted once instead of K times":
            "Each latent dimension has a KL of its own, with its own -1: subtract it inside the sum.",
        "the log term is missing": "Without -log σ² nothing keeps σ from shrinking to 0.",
        "mu² is missing": "The posterior's distance from the origin counts, too.",
        "only mu²": "The posterior's width counts, too: σ² - 1 - log σ².",
        "mu is not squared": "The expectation of z² under q is mu² + σ².",
        "the ½ stands at mu² only (brackets)": "The ½ multiplies the whole sum: mind the brackets.",
        "the mean over the latent dimensions instead of the sum":
            "The KL of independent dimensions is the sum of theirs. A mean is β = 1/K.",
        "one number for the batch": "Sum over the latent dimensions (axis 1) and leave the batch axis.",
        "the mean over the batch": "Leave the batch axis: one number for each image.",
        "the mean over latent dimensions and batch": "Sum over the latent dimensions, and leave the batch axis.",
        "the sum over the batch instead of the latent dimensions": "Axis 0 is the batch; the latents are axis 1.",
        "no sum at all": "These are the KLs of single dimensions: sum them over axis 1.",
    },
)

# --- 3.3 -------------------------------------------------------------------------------------------------------------


def elbo_from_noise(x, mu, log_var, eps, decode):
    """Equation (3.6), with the KL (3.7) and the codes (3.8)."""
    return _log_likelihood(x, decode(_codes(mu, log_var, eps))).mean(0) - kl_to_prior(mu, log_var)


def _codes(mu, log_var, eps):
    return mu + (log_var / 2).exp() * eps


def _log_likelihood(x, x_hat):
    return (x * x_hat.log() + (1 - x) * (1 - x_hat).log()).sum(-1)


def _decoder(pixels: int):
    """A decoder (…, K) -> (…, D) to try the answers with: not linear, its probabilities well inside (0, 1)."""

    def decode(z):
        k, d = torch.arange(1, z.shape[-1] + 1).to(z)[:, None], torch.arange(1, pixels + 1).to(z)
        return torch.sigmoid(1.5 * z.sin() @ (k * d + k).sin() / len(k) ** 0.5)

    return decode


def _elbo_inputs(size: int, g: torch.Generator) -> tuple:
    """B, S, K and D are all different, so that a sum over the wrong axis shows."""
    x = (uniform(g, size + 1, size + 4) < 0.4).double()
    return x, *_posterior(g, size + 1, size + 3), normal(g, size + 2, size + 1, size + 3), _decoder(size + 4)


def _elbo_of_codes(codes):
    """The ELBO with other codes, a function of mu, log_var and eps."""
    return lambda x, mu, log_var, eps, decode: (
        _log_likelihood(x, decode(codes(mu, log_var, eps))).mean(0) - kl_to_prior(mu, log_var))


def _elbo_of_outputs(log_likelihood):
    """The ELBO with another first term, a function of x, (B, D), and the outputs x_hat, (S, B, D)."""
    return lambda x, mu, log_var, eps, decode: (
        log_likelihood(x, decode(_codes(mu, log_var, eps))) - kl_to_prior(mu, log_var))


def _elbo_of_terms(combine):
    """Another combination of the log-likelihoods, (S, B), and the KLs, (B,)."""
    return lambda x, mu, log_var, eps, decode: (
        combine(_log_likelihood(x, decode(_codes(mu, log_var, eps))), kl_to_prior(mu, log_var)))


def _elbo_of_kl(term):
    """The ELBO with another KL: half the sum of a function of mu and log_var."""
    return lambda x, mu, log_var, eps, decode: (
        _log_likelihood(x, decode(_codes(mu, log_var, eps))).mean(0) - _kl(term)(mu, log_var))


def _cross_entropy_of_logits(x, logits):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")


def _everything_with_log_sigma(x, mu, log_var, eps, decode):
    return elbo_from_noise(x, mu, 2 * log_var, eps, decode)


EXERCISE_3 = Exercise(
    prompt="Write `elbo_from_noise(x, mu, log_var, eps, decode)`: binary images x (B, D), the means and the log σ² of "
           "q(z|x), both (B, K), standard normal noise eps (S, B, K), and `decode`, which makes of codes (…, K) the "
           "probabilities (…, D) that the pixels are 1. Return the ELBO (3.6) of each image, (B,): its expectation by "
           "the mean over the S codes (3.8), its KL by (3.7).",
    inputs=_elbo_inputs,
    reference=elbo_from_noise,
    mistakes={
        "z without noise": _elbo_of_codes(lambda mu, log_var, eps: mu[None]),
        "the noise is not scaled by σ": _elbo_of_codes(lambda mu, log_var, eps: mu + eps),
        "the noise is multiplied by σ² instead of σ": _elbo_of_codes(lambda mu, log_var, eps: mu + log_var.exp() * eps),
        "the noise is multiplied by log σ²": _elbo_of_codes(lambda mu, log_var, eps: mu + log_var * eps),
        "the noise is multiplied by log σ": _elbo_of_codes(lambda mu, log_var, eps: mu + log_var / 2 * eps),
        "the noise is multiplied by σ² / 2":
            _elbo_of_codes(lambda mu, log_var, eps: mu + log_var.exp() / 2 * eps),
        "log_var taken for log σ, in the codes and in the KL": _everything_with_log_sigma,
        "σ is added to the noise": _elbo_of_codes(lambda mu, log_var, eps: mu + (log_var / 2).exp() + eps),
        "mu is missing in z": _elbo_of_codes(lambda mu, log_var, eps: (log_var / 2).exp() * eps),
        "z is the noise alone": _elbo_of_codes(lambda mu, log_var, eps: eps),
        "the noise is averaged first": _elbo_of_codes(lambda mu, log_var, eps: _codes(mu, log_var, eps.mean(0))[None]),
        "only the first sample": _elbo_of_codes(lambda mu, log_var, eps: _codes(mu, log_var, eps)[:1]),
        "the KL is added": _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0) + kl),
        "the KL is missing": _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0)),
        "the loss instead of the ELBO": _elbo_of_terms(lambda log_px_z, kl: kl - log_px_z.mean(0)),
        "the log-likelihood has the wrong sign": _elbo_of_terms(lambda log_px_z, kl: -log_px_z.mean(0) - kl),
        "the cross-entropy alone": _elbo_of_terms(lambda log_px_z, kl: -log_px_z.mean(0)),
        "the KL alone": _elbo_of_terms(lambda log_px_z, kl: kl),
        "σ where σ² belongs, in the KL": _elbo_of_kl(lambda mu, log_var: mu**2 + (log_var / 2).exp() - 1 - log_var),
        "log σ where log σ² belongs, in the KL":
            _elbo_of_kl(lambda mu, log_var: mu**2 + log_var.exp() - 1 - log_var / 2),
        "the KL the other way round": _elbo_of_kl(lambda mu, log_var: (1 + mu**2) * (-log_var).exp() - 1 + log_var),
        "the KL without its ½": _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0) - 2 * kl),
        "the sum over the samples instead of the mean": _elbo_of_terms(lambda log_px_z, kl: log_px_z.sum(0) - kl),
        "the sum over the samples instead of the mean, of the KL, too":
            _elbo_of_terms(lambda log_px_z, kl: (log_px_z - kl).sum(0)),
        "the KL is divided by the number of samples":
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0) - kl / len(log_px_z)),
        "the ELBOs of single samples": _elbo_of_terms(lambda log_px_z, kl: log_px_z - kl),
        "the mean over the images instead of the samples":
            _elbo_of_terms(lambda log_px_z, kl: (log_px_z - kl).mean(1)),
        "the log of the mean instead of the mean of the logs":
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.logsumexp(0) - log(len(log_px_z)) - kl),
        "one number for the batch": _elbo_of_terms(lambda log_px_z, kl: (log_px_z.mean(0) - kl).sum()),
        "the mean over the batch": _elbo_of_terms(lambda log_px_z, kl: (log_px_z.mean(0) - kl).mean()),
        "the mean over the pixels instead of the sum": lambda x, *others: (
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0) / x.shape[1] - kl)(x, *others)),
        "the mean over the latent dimensions instead of the sum": lambda x, mu, *others: (
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0) - kl / mu.shape[1])(x, mu, *others)),
        "the means over pixels and latent dimensions instead of the sums": lambda x, mu, *others: (
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0) / x.shape[1] - kl / mu.shape[1])(x, mu, *others)),
        "the outputs are averaged before the logarithm":
            _elbo_of_outputs(lambda x, x_hat: _log_likelihood(x, x_hat.mean(0))),
        "only the pixels that are 1": _elbo_of_outputs(lambda x, x_hat: (x * x_hat.log()).sum(-1).mean(0)),
        "only the pixels that are 0":
            _elbo_of_outputs(lambda x, x_hat: ((1 - x) * (1 - x_hat).log()).sum(-1).mean(0)),
        "the squared error": _elbo_of_outputs(lambda x, x_hat: -(x - x_hat).square().sum(-1).mean(0)),
        "half the squared error": _elbo_of_outputs(lambda x, x_hat: -(x - x_hat).square().sum(-1).mean(0) / 2),
        "the probabilities taken for logits":
            _elbo_of_outputs(lambda x, x_hat: -_cross_entropy_of_logits(x, x_hat).sum(-1).mean(0)),
    },
    why={
        "z without noise":
            "The expectation is over q(z|x), not at its mean: z = mu + σ · eps. Without noise the decoder never sees "
            "how vague a code is.",
        "the noise is not scaled by σ": "eps has variance 1: multiply it by σ, and z has the variance of q(z|x).",
        "the noise is multiplied by σ² instead of σ":
            "exp(log_var) is the variance. The noise is multiplied by the standard deviation, exp(log_var / 2).",
        "the noise is multiplied by log σ²": "The noise is multiplied by σ, which is exp(log_var / 2).",
        "the noise is multiplied by log σ": "The noise is multiplied by σ: the exponential is missing.",
        "the noise is multiplied by σ² / 2": "The ½ belongs inside the exponential: exp(log_var / 2).",
        "log_var taken for log σ, in the codes and in the KL": "log_var is log σ²: σ is exp(log_var / 2).",
        "σ is added to the noise": "σ multiplies the noise: z = mu + σ · eps.",
        "mu is missing in z": "Without mu every code scatters around the origin: z = mu + σ · eps.",
        "z is the noise alone": "eps is drawn from the prior. A draw from q(z|x) is mu + σ · eps.",
        "the noise is averaged first":
            "Averaged noise is almost none. Decode each sample, and average the log-likelihoods.",
        "only the first sample": "Use all S samples: their mean scatters less.",
        "the KL is added": "The ELBO *subtracts* the KL, as the loss adds it.",
        "the KL is missing": "That is the first term of (3.6). Subtract the KL.",
        "the loss instead of the ELBO": "The ELBO is the bound itself, to be maximised: without the minus.",
        "the log-likelihood has the wrong sign":
            "The cross-entropy is *minus* the log-likelihood. In the ELBO both the cross-entropy and the KL are "
            "subtracted.",
        "the cross-entropy alone": "The ELBO is minus the cross-entropy, minus the KL.",
        "the KL alone": "The first term of (3.6) is missing: the mean log-likelihood.",
        "σ where σ² belongs, in the KL": "(3.7) has σ², which is exp(log_var).",
        "log σ where log σ² belongs, in the KL": "(3.7) has log σ², which is log_var itself.",
        "the KL the other way round":
            "The price is KL(q ‖ p), the mean under q; yours is KL(p ‖ q), the mean under the prior.",
        "the KL without its ½": "Each term of (3.7) carries a ½.",
        "the sum over the samples instead of the mean":
            "An expectation is estimated by the mean: it must not grow with S.",
        "the sum over the samples instead of the mean, of the KL, too":
            "An expectation is estimated by the mean: it must not grow with S.",
        "the KL is divided by the number of samples":
            "The KL is exact and needs no samples: divide by S only the sum of the log-likelihoods.",
        "the ELBOs of single samples": "Take the mean over the samples, axis 0.",
        "the mean over the images instead of the samples":
            "After the sum over the pixels the log-likelihoods are (S, B): the samples are axis 0.",
        "the log of the mean instead of the mean of the logs":
            "The ELBO is the expectation of log p(x|z): the mean of the logs.",
        "one number for the batch": "Leave the batch axis: one number for each image.",
        "the mean over the batch": "The mean over images is a later step. Leave the batch axis.",
        "the mean over the pixels instead of the sum":
            "log p(x|z) is a sum over the pixels. A mean makes the KL weigh D times as much: β = D.",
        "the mean over the latent dimensions instead of the sum":
            "The KL is a sum over the latent dimensions. A mean is β = 1/K.",
        "the means over pixels and latent dimensions instead of the sums":
            "Both are sums, over D pixels and K latent dimensions. Means change their weights: β = D/K.",
        "the outputs are averaged before the logarithm":
            "Decode each sample, take its log-likelihood, and average these. The logarithm of a mean is larger than "
            "the mean of the logarithms (Jensen).",
        "only the pixels that are 1": "Pixels that are 0 count, too: (1 - x) log(1 - x̂).",
        "only the pixels that are 0": "Pixels that are 1 count, too: x log x̂.",
        "the squared error": "Binary pixels have a Bernoulli likelihood: x log x̂ + (1 - x) log(1 - x̂).",
        "half the squared error": "Binary pixels have a Bernoulli likelihood: x log x̂ + (1 - x) log(1 - x̂).",
        "the probabilities taken for logits": "`decode` returns probabilities: no further sigmoid is needed.",
    },
)

# --- 3.4 -------------------------------------------------------------------------------------------------------------


def gaussian_log_likelihood(x, mean, sigma):
    """Equation (3.10)."""
    return -(x - mean).square().sum(1) / (2 * sigma**2) - x.shape[1] / 2 * log(2 * pi * sigma**2)


def _gaussian_inputs(size: int, g: torch.Generator) -> tuple:
    """2πσ² > 1, so that the two terms do not cancel; σ is far from 1, and B from D."""
    return uniform(g, size + 1, size + 2), uniform(g, size + 1, size + 2), number(g, 0.45, 0.75)


def _gaussian(combine):
    """Another combination of the squared distances, (B,), σ and D."""
    return lambda x, mean, sigma: combine((x - mean).square().sum(1), sigma, x.shape[1])


def _single_pixels(x, mean, sigma):
    return -(x - mean).square() / (2 * sigma**2) - log(2 * pi * sigma**2) / 2


EXERCISE_4 = Exercise(
    prompt="Write `gaussian_log_likelihood(x, mean, sigma)`: images and the decoder's outputs, both (B, D), and one "
           "standard deviation for all pixels, a number. Return log N(x; mean, σ²I) for each image, (B,), with all its "
           "constants.",
    inputs=_gaussian_inputs,
    reference=gaussian_log_likelihood,
    mistakes={
        "the constant is dropped": _gaussian(lambda d, sigma, D: -d / (2 * sigma**2)),
        "log 2π is dropped": _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - D * log(sigma)),
        "σ² is dropped from the constant": _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - D / 2 * log(2 * pi)),
        "the constant is counted once instead of D times":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - log(2 * pi * sigma**2) / 2),
        "the constant is counted for every image": lambda x, mean, sigma: (
            -(x - mean).square().sum(1) / (2 * sigma**2) - x.numel() / 2 * log(2 * pi * sigma**2)),
        "σ where σ² belongs, in the quotient":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma) - D / 2 * log(2 * pi * sigma**2)),
        "σ where σ² belongs, in the constant":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - D / 2 * log(2 * pi * sigma)),
        "sigma taken for the variance": _gaussian(lambda d, sigma, D: -d / (2 * sigma) - D / 2 * log(2 * pi * sigma)),
        "the variance taken for sigma":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**4) - D / 2 * log(2 * pi * sigma**4)),
        "the ½ is missing in the quotient":
            _gaussian(lambda d, sigma, D: -d / sigma**2 - D / 2 * log(2 * pi * sigma**2)),
        "the ½ is missing in the constant":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - D * log(2 * pi * sigma**2)),
        "the ½ is missing in both": lambda *arguments: 2 * gaussian_log_likelihood(*arguments),
        "2πσ instead of √(2πσ²)":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - D * log(2 * pi * sigma)),
        "2σ squared instead of 2σ²":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma) ** 2 - D / 2 * log(2 * pi * sigma**2)),
        "multiplied by σ² (brackets)":
            _gaussian(lambda d, sigma, D: -d / 2 * sigma**2 - D / 2 * log(2 * pi * sigma**2)),
        "σ² stands outside the logarithm (brackets)":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - D / 2 * log(2 * pi) * sigma**2),
        "σ is taken for 1": _gaussian(lambda d, sigma, D: -d / 2 - D / 2 * log(2 * pi)),
        "σ is forgotten in the quotient": _gaussian(lambda d, sigma, D: -d / 2 - D / 2 * log(2 * pi * sigma**2)),
        "minus the squared error": _gaussian(lambda d, sigma, D: -d),
        "minus half the squared error": _gaussian(lambda d, sigma, D: -d / 2),
        "the wrong sign": lambda *arguments: -gaussian_log_likelihood(*arguments),
        "the wrong sign, and the constant is dropped": _gaussian(lambda d, sigma, D: d / (2 * sigma**2)),
        "the quotient has the wrong sign":
            _gaussian(lambda d, sigma, D: d / (2 * sigma**2) - D / 2 * log(2 * pi * sigma**2)),
        "the constant has the wrong sign":
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) + D / 2 * log(2 * pi * sigma**2)),
        "the difference is not squared": lambda x, mean, sigma: (
            -(x - mean).sum(1) / (2 * sigma**2) - x.shape[1] / 2 * log(2 * pi * sigma**2)),
        "the absolute difference instead of its square": lambda x, mean, sigma: (
            -(x - mean).abs().sum(1) / (2 * sigma**2) - x.shape[1] / 2 * log(2 * pi * sigma**2)),
        "the distance is not squared":
            _gaussian(lambda d, sigma, D: -d.sqrt() / (2 * sigma**2) - D / 2 * log(2 * pi * sigma**2)),
        "the mean over the pixels instead of the sum":
            lambda x, *others: gaussian_log_likelihood(x, *others) / x.shape[1],
        "the mean over the pixels in the quotient":
            _gaussian(lambda d, sigma, D: -d / D / (2 * sigma**2) - D / 2 * log(2 * pi * sigma**2)),
        "the density instead of its logarithm": lambda *arguments: gaussian_log_likelihood(*arguments).exp(),
        "one number for the batch": lambda *arguments: gaussian_log_likelihood(*arguments).sum(),
        "the mean over the batch": lambda *arguments: gaussian_log_likelihood(*arguments).mean(),
        "the mean over pixels and batch": lambda *arguments: _single_pixels(*arguments).mean(),
        "no sum at all": _single_pixels,
        "the sum over the images instead of the pixels": lambda *arguments: _single_pixels(*arguments).sum(0),
    },
    why={
        "the constant is dropped":
            "Without -D/2 log 2πσ² likelihoods with different σ cannot be compared, and σ cannot be learned.",
        "log 2π is dropped":
            "It is 1.84 nats times D/2. torch's gaussian_nll_loss drops it, too, unless told full=True.",
        "σ² is dropped from the constant":
            "The constant has log 2πσ²: it is what keeps σ from growing without end.",
        "the constant is counted once instead of D times": "Each of the D pixels has a normaliser of its own.",
        "the constant is counted for every image": "D is the number of pixels, not of pixels times images.",
        "σ where σ² belongs, in the quotient": "The exponent is -‖x - mean‖² / 2σ²: the variance stands below.",
        "σ where σ² belongs, in the constant":
            "The normaliser of one pixel is √(2πσ²): its logarithm is ½ log 2πσ².",
        "sigma taken for the variance": "sigma is the standard deviation: its square is the variance.",
        "the variance taken for sigma": "torch's Normal takes the standard deviation, not the variance.",
        "the ½ is missing in the quotient": "The exponent is -‖x - mean‖² / 2σ², with a 2.",
        "the ½ is missing in the constant": "The normaliser is a root, √(2πσ²): its logarithm has a ½.",
        "the ½ is missing in both": "The exponent and the logarithm of the root both have a ½.",
        "2πσ instead of √(2πσ²)": "√(2πσ²) is √(2π) σ: its logarithm is ½ log 2πσ², or ½ log 2π + log σ.",
        "2σ squared instead of 2σ²": "2σ² is 2 times σ², not (2σ)² = 4σ².",
        "multiplied by σ² (brackets)": "`a / 2 * sigma**2` multiplies by sigma²: write a / (2 * sigma**2).",
        "σ² stands outside the logarithm (brackets)": "The logarithm is of the whole product 2πσ².",
        "σ is taken for 1": "The decoder's σ is an argument: it stands below the squares, and in the constant.",
        "σ is forgotten in the quotient": "Divide the squared error by 2σ².",
        "minus the squared error": "Divide by 2σ², and subtract D/2 log 2πσ².",
        "minus half the squared error": "Divide by σ², too, and subtract D/2 log 2πσ².",
        "the wrong sign": "That is the loss. The log-likelihood falls as the error grows.",
        "the wrong sign, and the constant is dropped":
            "The log-likelihood falls as the error grows, and has a constant.",
        "the quotient has the wrong sign": "The log-likelihood falls as the error grows.",
        "the constant has the wrong sign": "The density is *divided* by √(2πσ²): its logarithm is subtracted.",
        "the difference is not squared": "The exponent is about ‖x - mean‖², the sum of the squares.",
        "the absolute difference instead of its square": "A Gaussian has the square in its exponent.",
        "the distance is not squared": "The exponent has ‖x - mean‖², without the root.",
        "the mean over the pixels instead of the sum": "Given z the pixels are independent: their logs add.",
        "the mean over the pixels in the quotient": "‖x - mean‖² is a sum over the pixels.",
        "the density instead of its logarithm":
            "Return the logarithm: the density of 784 pixels is too small or too large for a float.",
        "one number for the batch": "Sum over the pixels (axis 1) and leave the batch axis.",
        "the mean over the batch": "Leave the batch axis: one number for each image.",
        "the mean over pixels and batch": "Sum over the pixels (axis 1) and leave the batch axis.",
        "no sum at all": "These are the log-likelihoods of single pixels: sum them over axis 1.",
        "the sum over the images instead of the pixels": "Axis 0 is the batch; the pixels are axis 1.",
    },
)

# --- 3.5 -------------------------------------------------------------------------------------------------------------


def implied_sigma(a, b):
    """Equation (3.12): the loss divided by b has 1/2σ² = a/b before the squared error."""
    return sqrt(b / (2 * a))


EXERCISE_5 = Exercise(
    prompt="Write `implied_sigma(a, b)`: a loss is a · ‖x - x̂‖² + b · KL, with two positive numbers a and b. Up to a "
           "factor and a constant it is minus the ELBO of a model with a Gaussian likelihood and a fixed σ. Return "
           "that σ.",
    inputs=lambda size, g: (number(g, 0.3, 4), number(g, 0.3, 4)),
    reference=implied_sigma,
    mistakes={
        "σ² instead of σ": lambda a, b: b / (2 * a),
        "the ½ is forgotten": lambda a, b: sqrt(b / a),
        "σ² instead of σ, and the ½ is forgotten": lambda a, b: b / a,
        "upside down": lambda a, b: sqrt(2 * a / b),
        "upside down, and the ½ is forgotten": lambda a, b: sqrt(a / b),
        "the precision": lambda a, b: 2 * a / b,
        "the weight of the squared error": lambda a, b: a / b,
        "a and b exchanged": lambda a, b: sqrt(a / (2 * b)),
        "a and b exchanged, and no root": lambda a, b: a / (2 * b),
        "multiplied by 2 instead of divided": lambda a, b: sqrt(2 * b / a),
        "multiplied by 2 instead of divided, and no root": lambda a, b: 2 * b / a,
        "multiplied by a (brackets)": lambda a, b: sqrt(b / 2 * a),
        "multiplied by a (brackets), and no root": lambda a, b: b / 2 * a,
        "the root of b only": lambda a, b: sqrt(b) / (2 * a),
        "b is ignored": lambda a, b: sqrt(1 / (2 * a)),
        "b is ignored, and no root": lambda a, b: 1 / (2 * a),
        "a is ignored": lambda a, b: sqrt(b / 2),
        "a is ignored, and no root": lambda a, b: b / 2,
        "log σ": lambda a, b: log(b / (2 * a)) / 2,
        "log σ²": lambda a, b: log(b / (2 * a)),
    },
    why={
        "σ² instead of σ": "That is the variance, the β of (3.12): take the root.",
        "the ½ is forgotten": "The Gaussian's squared error stands over 2σ², with a 2.",
        "σ² instead of σ, and the ½ is forgotten":
            "The weight of the squared error is 1/2σ² when the KL has weight 1: that gives σ², with a ½.",
        "upside down": "That is 1/σ. A larger a weighs errors more, as a *smaller* σ does.",
        "upside down, and the ½ is forgotten":
            "A larger a weighs errors more, as a *smaller* σ does; and the squared error stands over 2σ².",
        "the precision": "That is 1/σ².",
        "the weight of the squared error": "That is 1/2σ²: solve it for σ.",
        "a and b exchanged": "a belongs to the squared error, b to the KL.",
        "a and b exchanged, and no root": "a belongs to the squared error, b to the KL; and σ is the root.",
        "multiplied by 2 instead of divided": "1/2σ² = a/b: the 2 stands below, so that σ² = b/2a.",
        "multiplied by 2 instead of divided, and no root": "1/2σ² = a/b: σ² is b/2a, and σ its root.",
        "multiplied by a (brackets)": "`b / 2 * a` multiplies by a: write b / (2 * a).",
        "multiplied by a (brackets), and no root": "`b / 2 * a` multiplies by a: write b / (2 * a). And σ is the root.",
        "the root of b only": "The root is of the whole quotient, b/2a.",
        "b is ignored": "In the ELBO the KL has weight 1: divide the loss by b first.",
        "b is ignored, and no root": "In the ELBO the KL has weight 1: divide the loss by b first. And σ is the root.",
        "a is ignored": "a is the weight of the squared error: where does it go?",
        "a is ignored, and no root": "That is σ² at a = 1. Where does a go, and the root?",
        "log σ": "σ itself is asked.",
        "log σ²": "σ itself is asked.",
    },
)

# --- 3.6 -------------------------------------------------------------------------------------------------------------


def importance_weighted(log_px_z, log_p_z, log_q_z):
    """Equation (3.15)."""
    return (log_px_z + log_p_z - log_q_z).logsumexp(0) - log(len(log_px_z))


def _weights_inputs(size: int, g: torch.Generator) -> tuple:
    """Weights so low that exp gives 0 in float64, too; S and B differ, and S is never 1."""
    S, B = size + 2, size + 1
    log_px_z = -900 - 100 * uniform(g, B) + 3 * normal(g, S, B)
    return log_px_z, -5 + 1.5 * normal(g, S, B), 3 + 1.5 * normal(g, S, B)


def _of_weights(combine):
    """Another function of the log weights, (S, B)."""
    return lambda log_px_z, log_p_z, log_q_z: combine(log_px_z + log_p_z - log_q_z)


def _bound_of(ratio):
    """The bound with another ratio in the place of the weights."""

    def bound(log_px_z, log_p_z, log_q_z):
        log_w = ratio(log_px_z, log_p_z, log_q_z)
        return log_w.logsumexp(0) - log(len(log_w))

    return bound


EXERCISE_6 = Exercise(
    prompt="Write `importance_weighted(log_px_z, log_p_z, log_q_z)`: log p(x|z), log p(z) and log q(z|x) at S draws z "
           "from q(z|x), each (S, B). Return the importance-weighted bound (3.15) of each image, (B,). The "
           "log-probabilities of an image are near -1000.",
    inputs=_weights_inputs,
    reference=importance_weighted,
    rtol=1e-5,  # of 1000 nats
    signs={"exponentiated first": _all_equal},
    mistakes={
        "exponentiated first": _of_weights(lambda log_w: log_w.exp().mean(0).log()),
        "the mean of the logs instead of the log of the mean": _of_weights(lambda log_w: log_w.mean(0)),
        "the sum of the logs": _of_weights(lambda log_w: log_w.sum(0)),
        "the sum of the logs, less log S": _of_weights(lambda log_w: log_w.sum(0) - log(len(log_w))),
        "the mean of the logs, less log S": _of_weights(lambda log_w: log_w.mean(0) - log(len(log_w))),
        "log S is not subtracted": _of_weights(lambda log_w: log_w.logsumexp(0)),
        "log S is added": _of_weights(lambda log_w: log_w.logsumexp(0) + log(len(log_w))),
        "S is subtracted instead of log S": _of_weights(lambda log_w: log_w.logsumexp(0) - len(log_w)),
        "the logarithm is divided by S": _of_weights(lambda log_w: log_w.logsumexp(0) / len(log_w)),
        "divided by S inside the exponential": _of_weights(lambda log_w: (log_w / len(log_w)).logsumexp(0)),
        "log B is subtracted instead of log S": _of_weights(lambda log_w: log_w.logsumexp(0) - log(log_w.shape[1])),
        "q is missing": _bound_of(lambda log_px_z, log_p_z, log_q_z: log_px_z + log_p_z),
        "the prior is missing": _bound_of(lambda log_px_z, log_p_z, log_q_z: log_px_z - log_q_z),
        "the prior and q are missing": _bound_of(lambda log_px_z, log_p_z, log_q_z: log_px_z),
        "p(x|z) is missing": _bound_of(lambda log_px_z, log_p_z, log_q_z: log_p_z - log_q_z),
        "q is added": _bound_of(lambda log_px_z, log_p_z, log_q_z: log_px_z + log_p_z + log_q_z),
        "the prior is subtracted": _bound_of(lambda log_px_z, log_p_z, log_q_z: log_px_z - log_p_z - log_q_z),
        "the prior and q exchanged": _bound_of(lambda log_px_z, log_p_z, log_q_z: log_px_z - log_p_z + log_q_z),
        "divided by log q instead of subtracting it":
            _bound_of(lambda log_px_z, log_p_z, log_q_z: (log_px_z + log_p_z) / log_q_z),
        "only p(x|z) inside the logarithm of the mean": lambda log_px_z, log_p_z, log_q_z: (
            log_px_z.logsumexp(0) - log(len(log_px_z)) + (log_p_z - log_q_z).mean(0)),
        "the largest weight only": _of_weights(lambda log_w: log_w.amax(0)),
        "the largest weight only, less log S": _of_weights(lambda log_w: log_w.amax(0) - log(len(log_w))),
        "the weighted mean of the logs": _of_weights(lambda log_w: (log_w.softmax(0) * log_w).sum(0)),
        "the normalised weights": _of_weights(lambda log_w: log_w.softmax(0)),
        "the logs of the normalised weights": _of_weights(lambda log_w: log_w.log_softmax(0)),
        "the log weights": _of_weights(lambda log_w: log_w),
        "the mean over the images instead of the samples":
            _of_weights(lambda log_w: log_w.logsumexp(1) - log(log_w.shape[1])),
        "the sum over the images instead of the samples":
            _of_weights(lambda log_w: log_w.logsumexp(1) - log(len(log_w))),
        "the mean over samples and images":
            _of_weights(lambda log_w: log_w.flatten().logsumexp(0) - log(log_w.numel())),
        "one number for the batch": lambda *arguments: importance_weighted(*arguments).sum(),
        "the mean over the batch": lambda *arguments: importance_weighted(*arguments).mean(),
        "the ratio upside down": _bound_of(lambda log_px_z, log_p_z, log_q_z: log_q_z - log_p_z - log_px_z),
        "the inverse of the mean of the inverse weights":
            _of_weights(lambda log_w: log(len(log_w)) - (-log_w).logsumexp(0)),
        "the bound without its logarithm": lambda *arguments: importance_weighted(*arguments).exp(),
        "the wrong sign": lambda *arguments: -importance_weighted(*arguments),
    },
    why={
        "exponentiated first":
            "exp(-900) is too small for a float and becomes 0, and log 0 is -∞. Add and subtract the logs, and use "
            "torch.logsumexp.",
        "the mean of the logs instead of the log of the mean":
            "That estimates the ELBO. Here the mean is *inside* the logarithm, and the bound is never lower (Jensen).",
        "the sum of the logs": "The weights are averaged, not their logs: torch.logsumexp.",
        "the sum of the logs, less log S": "The log of a sum is not the sum of the logs: torch.logsumexp.",
        "the mean of the logs, less log S": "The log of a mean is not the mean of the logs: torch.logsumexp.",
        "log S is not subtracted":
            "That is the log of the sum. Without the 1/S it would grow with S, past log p(x).",
        "log S is added": "The mean divides by S: its logarithm subtracts log S.",
        "S is subtracted instead of log S": "A factor 1/S inside the logarithm becomes - log S outside.",
        "the logarithm is divided by S": "A factor 1/S inside the logarithm becomes - log S outside.",
        "divided by S inside the exponential": "1/S multiplies the weights, not their logs: subtract log S.",
        "log B is subtracted instead of log S": "The mean is over the S samples: axis 0 of (S, B).",
        "q is missing":
            "The draws come from q(z|x): divide each by q(z|x), or codes that q prefers count too often.",
        "the prior is missing": "The integral (3.2) is of p(x|z) p(z): the prior belongs to each weight.",
        "the prior and q are missing":
            "The mean of p(x|z) is right for draws from the prior. A draw from q counts p(z)/q(z|x) times.",
        "p(x|z) is missing": "That is the mean of p(z)/q(z|x). Each weight has p(x|z), too.",
        "q is added": "The weight *divides* by q(z|x): subtract its logarithm.",
        "the prior is subtracted": "The joint p(x, z) is p(x|z) times p(z): the prior's logarithm is added.",
        "the prior and q exchanged": "The weight is p(x|z) p(z) / q(z|x): q stands below.",
        "divided by log q instead of subtracting it": "The log of a quotient is the difference of the logs.",
        "only p(x|z) inside the logarithm of the mean":
            "p(z)/q(z|x) differs from draw to draw: it is a part of the weight and belongs inside.",
        "the largest weight only": "The largest weight is often most of the sum, but take all, and 1/S.",
        "the largest weight only, less log S": "The largest weight is often most of the sum, but take all.",
        "the weighted mean of the logs": "Average the weights themselves, and take the logarithm of their mean.",
        "the normalised weights": "Normalising divides by the sum of the weights, and it is that sum we want.",
        "the logs of the normalised weights":
            "Normalising divides by the sum of the weights, and it is that sum we want.",
        "the log weights": "Take the logarithm of the mean weight, over the samples: axis 0.",
        "the mean over the images instead of the samples": "Axis 0 is the samples, axis 1 the images.",
        "the sum over the images instead of the samples": "Axis 0 is the samples, axis 1 the images.",
        "the mean over samples and images": "Each image has a bound of its own: the mean is over axis 0.",
        "one number for the batch": "Leave the batch axis: one number for each image.",
        "the mean over the batch": "Leave the batch axis: one number for each image.",
        "the ratio upside down": "The weight is p(x|z) p(z) / q(z|x): q stands below.",
        "the inverse of the mean of the inverse weights":
            "That is the log of their harmonic mean. Average the weights, not their inverses.",
        "the bound without its logarithm": "exp(-900) is too small for a float and becomes 0. Return the logarithm.",
        "the wrong sign": "The bound itself is asked, not the loss.",
    },
)

EXERCISES = {
    "3.1": EXERCISE_1, "3.2": EXERCISE_2, "3.3": EXERCISE_3, "3.4": EXERCISE_4, "3.5": EXERCISE_5, "3.6": EXERCISE_6,
}
