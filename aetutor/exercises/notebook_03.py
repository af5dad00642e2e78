"""The exercises of notebook 03."""

from math import log, pi, sqrt

import torch
from torch import Tensor

from aetutor.exercises import slips
from aetutor.exercises.engine import Exercise, Mistake
from aetutor.exercises.random_inputs import levels, normal, number, uniform

# --- 3.1 -------------------------------------------------------------------------------------------------------------


def log_evidence(log_px_z, log_p_z, cell):
    """Equation (3.2), the integral as a sum over a grid."""
    return (log_px_z + log_p_z).logsumexp(1) + log(cell)


def _grid_inputs(size: int, g: torch.Generator) -> tuple:
    """log p(x|z) so low that exp gives 0 in float64, too, and for one image still lower, so that no shift common to all
    helps; the prior sums to 1 over the grid; B and G differ."""
    cell = number(g, 0.2, 0.4)
    log_px_z = levels(g, size + 1)[:, None] + 3 * normal(g, size + 1, size + 3)
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
    "(3.2) as a sum over the grid. The log-probabilities log p(x|z) are all below -800, and those of two images may "
    "differ by 1000.",
    inputs=_grid_inputs,
    reference=log_evidence,
    rtol=1e-5,  # of 1000 nats
    mistakes=[
        Mistake(
            "exponentiated first",
            _evidence(lambda joint, cell: (joint.exp().sum(1) * cell).log()),
            "exp(-900) is too small for a float and becomes 0, and log 0 is -∞. Use torch.logsumexp, which takes out "
            "the largest term first.",
            sign=_all_equal,
        ),
        slips.log_of_a_log(_evidence(lambda joint, cell: joint.log().sum(1))),
        slips.one_shift(
            log_evidence,
            _evidence(lambda joint, cell: (joint - joint.max()).exp().sum(1).log() + joint.max() + log(cell)),
        ),
        Mistake(
            "the mean of log p(x|z) instead of the log of the mean",
            lambda log_px_z, log_p_z, cell: (log_p_z.exp() * log_px_z).sum(1) * cell,
            "log p(x) is the log of E[p(x|z)]. The mean of log p(x|z) is lower (Jensen), often by hundreds of nats.",
        ),
        Mistake(
            "the prior is missing",
            lambda log_px_z, log_p_z, cell: log_px_z.logsumexp(1) + log(cell),
            "Each grid point counts with its density p(z): add log p(z) before the sum.",
        ),
        Mistake(
            "the cell is missing",
            _evidence(lambda joint, cell: joint.logsumexp(1)),
            "A sum becomes an integral when each term is multiplied by the area of its cell.",
        ),
        Mistake(
            "the grid points taken for draws from the prior",
            lambda log_px_z, log_p_z, cell: log_px_z.logsumexp(1) - log(log_px_z.shape[1]),
            "The mean of p(x|z) is right for draws z from p(z). A grid covers the plane evenly: weigh its points with "
            "p(z) times the cell.",
        ),
        Mistake(
            "the cell added instead of its logarithm",
            _evidence(lambda joint, cell: joint.logsumexp(1) + cell),
            "A factor outside the logarithm becomes a summand: add log(cell).",
        ),
        Mistake(
            "the sum over the images instead of the grid",
            _evidence(lambda joint, cell: joint.logsumexp(0) + log(cell)),
            "Axis 0 is the images, axis 1 the grid points.",
        ),
        *slips.one_number(log_evidence),
        slips.no_logarithm(log_evidence),
        slips.wrong_sign(log_evidence, "log p(x) itself is asked, not the loss."),
    ],
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
    mistakes=[
        slips.twice(
            kl_to_prior,
            "The Gaussian's exponent and the log of its normaliser both carry a ½. Doubling the KL is β = 2.",
        ),
        slips.wrong_sign(
            kl_to_prior,
            "A KL divergence is never negative. With the minus outside, the bracket is 1 + log σ² - mu² - σ².",
        ),
        Mistake(
            "σ where σ² belongs",
            _kl(lambda mu, log_var: mu**2 + (log_var / 2).exp() - 1 - log_var),
            "exp(log_var / 2) is σ. The sum has σ², which is exp(log_var).",
        ),
        Mistake(
            "log σ where log σ² belongs",
            _kl(lambda mu, log_var: mu**2 + log_var.exp() - 1 - log_var / 2),
            "log_var is log σ² already: the last term has no ½ of its own.",
        ),
        Mistake(
            "log_var taken for log σ",
            _kl(lambda mu, log_var: mu**2 + (2 * log_var).exp() - 1 - 2 * log_var),
            "log_var is log σ², so σ is exp(log_var / 2). torch's Normal takes σ, not σ².",
        ),
        Mistake(
            "the KL the other way round",
            _kl(lambda mu, log_var: (mu**2 + 1) / log_var.exp() - 1 + log_var),
            "That is KL(p ‖ q). The expectation is over q, so the variances are divided by the prior's, which are 1.",
        ),
        Mistake(
            "the log term has the wrong sign",
            _kl(lambda mu, log_var: mu**2 + log_var.exp() - 1 + log_var),
            "The KL must grow as σ shrinks to 0: -log σ². At mu = 0, σ = 1 its derivative must vanish.",
        ),
        Mistake(
            "the mean over the latent dimensions instead of the sum",
            lambda mu, log_var: kl_to_prior(mu, log_var) / mu.shape[1],
            "The KL of independent dimensions is the sum of theirs. A mean is β = 1/K.",
        ),
        *slips.one_number(kl_to_prior),
        Mistake(
            "the mean over latent dimensions and batch",
            lambda mu, log_var: kl_to_prior(mu, log_var).mean() / mu.shape[1],
            "Sum over the latent dimensions, and leave the batch axis.",
        ),
        Mistake(
            "no sum at all",
            lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var),
            "These are the KLs of single dimensions: sum them over axis 1.",
        ),
    ],
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
        _log_likelihood(x, decode(codes(mu, log_var, eps))).mean(0) - kl_to_prior(mu, log_var)
    )


def _elbo_of_outputs(log_likelihood):
    """The ELBO with another first term, a function of x, (B, D), and the outputs x_hat, (S, B, D)."""
    return lambda x, mu, log_var, eps, decode: (
        log_likelihood(x, decode(_codes(mu, log_var, eps))) - kl_to_prior(mu, log_var)
    )


def _elbo_of_terms(combine):
    """Another combination of the log-likelihoods, (S, B), and the KLs, (B,)."""
    return lambda x, mu, log_var, eps, decode: combine(
        _log_likelihood(x, decode(_codes(mu, log_var, eps))), kl_to_prior(mu, log_var)
    )


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
    mistakes=[
        Mistake(
            "z without noise",
            _elbo_of_codes(lambda mu, log_var, eps: mu[None]),
            "The expectation is over q(z|x), not at its mean: z = mu + σ · eps. Without noise the decoder never sees "
            "how vague a code is.",
        ),
        Mistake(
            "the noise is not scaled by σ",
            _elbo_of_codes(lambda mu, log_var, eps: mu + eps),
            "eps has variance 1: multiply it by σ, and z has the variance of q(z|x).",
        ),
        Mistake(
            "the noise is multiplied by σ² instead of σ",
            _elbo_of_codes(lambda mu, log_var, eps: mu + log_var.exp() * eps),
            "exp(log_var) is the variance. The noise is multiplied by the standard deviation, exp(log_var / 2).",
        ),
        Mistake("log_var taken for log σ", _everything_with_log_sigma, "log_var is log σ²: σ is exp(log_var / 2)."),
        Mistake(
            "only the first sample",
            _elbo_of_codes(lambda mu, log_var, eps: _codes(mu, log_var, eps)[:1]),
            "Use all S samples: their mean scatters less.",
        ),
        Mistake(
            "the KL is added",
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0) + kl),
            "The ELBO *subtracts* the KL, as the loss adds it.",
        ),
        Mistake(
            "the KL is missing",
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0)),
            "That is the first term of (3.6). Subtract the KL.",
        ),
        Mistake(
            "the loss instead of the ELBO",
            _elbo_of_terms(lambda log_px_z, kl: kl - log_px_z.mean(0)),
            "The ELBO is the bound itself, to be maximised: without the minus.",
        ),
        Mistake(
            "the sum over the samples instead of the mean",
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.sum(0) - kl),
            "An expectation is estimated by the mean: it must not grow with S.",
        ),
        Mistake(
            "the log of the mean instead of the mean of the logs",
            _elbo_of_terms(lambda log_px_z, kl: log_px_z.logsumexp(0) - log(len(log_px_z)) - kl),
            "The ELBO is the expectation of log p(x|z): the mean of the logs.",
        ),
        Mistake(
            "one number for the batch",
            _elbo_of_terms(lambda log_px_z, kl: (log_px_z.mean(0) - kl).sum()),
            "Leave the batch axis: one number for each image.",
        ),
        Mistake(
            "the mean over the batch",
            _elbo_of_terms(lambda log_px_z, kl: (log_px_z.mean(0) - kl).mean()),
            "The mean over images is a later step. Leave the batch axis.",
        ),
        Mistake(
            "the mean over the pixels instead of the sum",
            lambda x, *others: _elbo_of_terms(lambda log_px_z, kl: log_px_z.mean(0) / x.shape[1] - kl)(x, *others),
            "log p(x|z) is a sum over the pixels. A mean makes the KL weigh D times as much: β = D.",
        ),
        Mistake(
            "the outputs are averaged before the logarithm",
            _elbo_of_outputs(lambda x, x_hat: _log_likelihood(x, x_hat.mean(0))),
            "Decode each sample, take its log-likelihood, and average these. The logarithm of a mean is larger than "
            "the mean of the logarithms (Jensen).",
        ),
        Mistake(
            "the probabilities taken for logits",
            _elbo_of_outputs(lambda x, x_hat: -_cross_entropy_of_logits(x, x_hat).sum(-1).mean(0)),
            "`decode` returns probabilities: no further sigmoid is needed.",
        ),
    ],
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
    mistakes=[
        Mistake(
            "the constant is dropped",
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2)),
            "Without -D/2 log 2πσ² likelihoods with different σ cannot be compared, and σ cannot be learned.",
        ),
        Mistake(
            "log 2π is dropped",
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - D * log(sigma)),
            "It is 1.84 nats times D/2. torch's gaussian_nll_loss drops it, too, unless told full=True.",
        ),
        Mistake(
            "the constant is counted once instead of D times",
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**2) - log(2 * pi * sigma**2) / 2),
            "Each of the D pixels has a normaliser of its own.",
        ),
        Mistake(
            "σ where σ² belongs, in the quotient",
            _gaussian(lambda d, sigma, D: -d / (2 * sigma) - D / 2 * log(2 * pi * sigma**2)),
            "The exponent is -‖x - mean‖² / 2σ²: the variance stands below.",
        ),
        Mistake(
            "sigma taken for the variance",
            _gaussian(lambda d, sigma, D: -d / (2 * sigma) - D / 2 * log(2 * pi * sigma)),
            "sigma is the standard deviation: its square is the variance.",
        ),
        Mistake(
            "the variance taken for sigma",
            _gaussian(lambda d, sigma, D: -d / (2 * sigma**4) - D / 2 * log(2 * pi * sigma**4)),
            "torch's Normal takes the standard deviation, not the variance.",
        ),
        Mistake(
            "the ½ is missing in the quotient",
            _gaussian(lambda d, sigma, D: -d / sigma**2 - D / 2 * log(2 * pi * sigma**2)),
            "The exponent is -‖x - mean‖² / 2σ², with a 2.",
        ),
        slips.wrong_sign(gaussian_log_likelihood, "That is the loss. The log-likelihood falls as the error grows."),
        slips.mean_of_pixels(gaussian_log_likelihood, "Given z the pixels are independent: their logs add."),
        slips.no_logarithm(
            gaussian_log_likelihood,
            "Return the logarithm: the density of 784 pixels is too small or too large for a float.",
        ),
        *slips.one_number(gaussian_log_likelihood),
        slips.no_sum(_single_pixels, "These are the log-likelihoods of single pixels: sum them over axis 1."),
    ],
)

# --- 3.5 -------------------------------------------------------------------------------------------------------------


def implied_sigma(a, b):
    """Equation (3.12): the loss divided by b has 1/2σ² = a/b before the squared error."""
    return sqrt(b / (2 * a))


EXERCISE_5 = Exercise(
    prompt="Write `implied_sigma(a, b)`: a loss is a · ‖x - x̂‖² + b · KL, with two positive Python floats a and b. Up "
    "to a factor and a constant it is minus the ELBO of a model with a Gaussian likelihood and a fixed σ. Return "
    "that σ.",
    inputs=lambda size, g: (number(g, 0.3, 4), number(g, 0.3, 4)),
    reference=implied_sigma,
    mistakes=[
        Mistake("σ² instead of σ", lambda a, b: b / (2 * a), "That is the variance, the β of (3.12): take the root."),
        Mistake(
            "the ½ is forgotten", lambda a, b: sqrt(b / a), "The Gaussian's squared error stands over 2σ², with a 2."
        ),
        Mistake(
            "upside down",
            lambda a, b: sqrt(2 * a / b),
            "That is 1/σ. A larger a weighs errors more, as a *smaller* σ does.",
        ),
        Mistake("the weight of the squared error", lambda a, b: a / b, "That is 1/2σ²: solve it for σ."),
        Mistake("a and b exchanged", lambda a, b: sqrt(a / (2 * b)), "a belongs to the squared error, b to the KL."),
        Mistake(
            "multiplied by a (brackets)",
            lambda a, b: sqrt(b / 2 * a),
            "`b / 2 * a` multiplies by a: write b / (2 * a).",
        ),
        Mistake(
            "b is ignored",
            lambda a, b: sqrt(1 / (2 * a)),
            "In the ELBO the KL has weight 1: divide the loss by b first.",
        ),
    ],
)

# --- 3.6 -------------------------------------------------------------------------------------------------------------


def importance_weighted(log_px_z, log_p_z, log_q_z):
    """Equation (3.15)."""
    return (log_px_z + log_p_z - log_q_z).logsumexp(0) - log(len(log_px_z))


def _weights_inputs(size: int, g: torch.Generator) -> tuple:
    """Weights so low that exp gives 0 in float64, too, and for one image still lower; S, S - 1 and B all differ."""
    S, B = size + 3, size + 1
    log_px_z = levels(g, B) + 3 * normal(g, S, B)
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
    "log-probabilities log p(x|z) are all below -800, and those of two images may differ by 1000.",
    inputs=_weights_inputs,
    reference=importance_weighted,
    rtol=1e-5,  # of 1000 nats
    mistakes=[
        Mistake(
            "exponentiated first",
            _of_weights(lambda log_w: log_w.exp().mean(0).log()),
            "exp(-900) is too small for a float and becomes 0, and log 0 is -∞. Add and subtract the logs, and use "
            "torch.logsumexp.",
            sign=_all_equal,
        ),
        slips.log_of_a_log(_of_weights(lambda log_w: log_w.log().mean(0))),
        slips.one_shift(
            importance_weighted, _of_weights(lambda log_w: (log_w - log_w.max()).exp().mean(0).log() + log_w.max())
        ),
        Mistake(
            "the mean of the logs instead of the log of the mean",
            _of_weights(lambda log_w: log_w.mean(0)),
            "That estimates the ELBO. Here the mean is *inside* the logarithm, and the bound is never lower (Jensen).",
        ),
        Mistake(
            "log S is not subtracted",
            _of_weights(lambda log_w: log_w.logsumexp(0)),
            "That is the log of the sum. Without the 1/S it would grow with S, past log p(x).",
        ),
        Mistake(
            "the logarithm is divided by S",
            _of_weights(lambda log_w: log_w.logsumexp(0) / len(log_w)),
            "A factor 1/S inside the logarithm becomes - log S outside.",
        ),
        Mistake(
            "log B is subtracted instead of log S",
            _of_weights(lambda log_w: log_w.logsumexp(0) - log(log_w.shape[1])),
            "The mean is over the S samples: axis 0 of (S, B).",
        ),
        Mistake(
            "q is missing",
            _bound_of(lambda log_px_z, log_p_z, log_q_z: log_px_z + log_p_z),
            "The draws come from q(z|x): divide each by q(z|x), or codes that q prefers count too often.",
        ),
        Mistake(
            "the prior is missing",
            _bound_of(lambda log_px_z, log_p_z, log_q_z: log_px_z - log_q_z),
            "The integral (3.2) is of p(x|z) p(z): the prior belongs to each weight.",
        ),
        Mistake(
            "the mean over the images instead of the samples",
            _of_weights(lambda log_w: log_w.logsumexp(1) - log(log_w.shape[1])),
            "Axis 0 is the samples, axis 1 the images.",
        ),
        *slips.one_number(importance_weighted),
        Mistake(
            "the ratio upside down",
            _bound_of(lambda log_px_z, log_p_z, log_q_z: log_q_z - log_p_z - log_px_z),
            "The weight is p(x|z) p(z) / q(z|x): q stands below.",
        ),
        slips.no_logarithm(importance_weighted),
        slips.wrong_sign(importance_weighted, "The bound itself is asked, not the loss."),
    ],
)

EXERCISES = {
    "3.1": EXERCISE_1,
    "3.2": EXERCISE_2,
    "3.3": EXERCISE_3,
    "3.4": EXERCISE_4,
    "3.5": EXERCISE_5,
    "3.6": EXERCISE_6,
}
