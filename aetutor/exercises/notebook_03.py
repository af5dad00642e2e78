"""The exercises of notebook 03."""

from functools import cache
from math import log, sqrt

import torch
from torch import Tensor

from aetutor.exercises import slips
from aetutor.exercises.build import ENCODE_AND_DECODE, Plain, bound, bound_mistakes, held_out, train_plain
from aetutor.exercises.engine import BuildExercise, Exercise, Mistake
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

EXERCISE_2 = Exercise(
    prompt="A posterior has two equally heavy modes, so far apart that they do not touch, and q is exactly one of "
    "them. How large is the gap KL(q ‖ posterior), in nats? Give the number.",
    reference=log(2),
    mistakes=[
        Mistake("the ratio instead of its logarithm", 2.0, "q is twice the posterior. The KL is the mean *log* ratio."),
        Mistake(
            "the wrong sign",
            -log(2),
            "A KL divergence is never negative: where q lies, log q is *above* the posterior's logarithm.",
        ),
        Mistake("in bits", 1.0, "That is the answer in bits. In nats the logarithm is the natural one."),
        Mistake(
            "infinity",
            float("inf"),
            "That is the other direction, KL(posterior ‖ q), which punishes q for missing a mode. The gap takes the "
            "mean over q, and where q lies, the posterior is half as large.",
        ),
        Mistake(
            "half of the right number",
            log(2) / 2,
            "All of q lies on one mode: the log ratio is the same everywhere there, and nothing is averaged with 0.",
        ),
        Mistake("no gap", 0.0, "q is not the posterior: it is twice as large on one mode, and 0 on the other."),
    ],
)

# --- 3.3 -------------------------------------------------------------------------------------------------------------


def kl_of_gaussians(mu_q, log_var_q, mu_p, log_var_p):
    """As equation (3.7), with E_q[(z - mu_p)²] = (mu_q - mu_p)² + σ_q²."""
    return _kl_terms(mu_q, log_var_q, mu_p, log_var_p).sum(1)


def _kl_terms(mu_q, log_var_q, mu_p, log_var_p):
    return 0.5 * (log_var_p - log_var_q + ((mu_q - mu_p) ** 2 + log_var_q.exp()) / log_var_p.exp() - 1)


def _posterior(generator: torch.Generator, *shape: int) -> tuple[Tensor, Tensor]:
    return normal(generator, *shape) + 0.2, 0.8 * normal(generator, *shape) - 0.4


def _two_gaussians(size: int, g: torch.Generator) -> tuple:
    """With few digits, so that a counterexample is short."""
    mu_p, log_var_p = _posterior(g, size + 2, size + 1)
    return tuple(t.round(decimals=2) for t in (*_posterior(g, size + 2, size + 1), mu_p - 0.5, log_var_p + 0.7))


def _kl(term):
    """Half of another sum of terms, which are functions of (mu_q - mu_p)² and of both log σ²."""
    return lambda mu_q, log_var_q, mu_p, log_var_p: 0.5 * term((mu_q - mu_p) ** 2, log_var_q, log_var_p).sum(1)


EXERCISE_3 = Exercise(
    prompt="Write `kl_of_gaussians(mu_q, log_var_q, mu_p, log_var_p)`: means and log σ² of two Gaussians with "
    "independent coordinates, for each of B images, all (B, K). Return KL(q ‖ p) for each image, (B,), without "
    "sampling.",
    inputs=_two_gaussians,
    reference=kl_of_gaussians,
    mistakes=[
        slips.twice(kl_of_gaussians, "The Gaussian's exponent and the log of its normaliser both carry a ½."),
        slips.wrong_sign(kl_of_gaussians, "A KL divergence is never negative."),
        Mistake(
            "the KL the other way round",
            lambda mu_q, log_var_q, mu_p, log_var_p: kl_of_gaussians(mu_p, log_var_p, mu_q, log_var_q),
            "That is KL(p ‖ q). The expectation is over q, so what is divided by is the variance of p.",
        ),
        Mistake(
            "the KL to the standard normal",
            lambda mu_q, log_var_q, mu_p, log_var_p: kl_of_gaussians(mu_q, log_var_q, 0 * mu_p, 0 * log_var_p),
            "That is (3.7), whose p has mean 0 and variance 1. Here p has a mean and a variance of its own.",
        ),
        Mistake(
            "σ where σ² belongs",
            _kl(lambda d2, log_q, log_p: log_p - log_q + (d2 + (log_q / 2).exp()) / (log_p / 2).exp() - 1),
            "exp(log_var / 2) is σ. The formula has σ², which is exp(log_var).",
        ),
        Mistake(
            "log_var taken for log σ",
            lambda mu_q, log_var_q, mu_p, log_var_p: kl_of_gaussians(mu_q, 2 * log_var_q, mu_p, 2 * log_var_p),
            "log_var is log σ², so σ is exp(log_var / 2). torch's Normal takes σ, not σ².",
        ),
        Mistake(
            "only the means are divided by the variance of p",
            _kl(lambda d2, log_q, log_p: log_p - log_q + d2 / log_p.exp() + log_q.exp() - 1),
            "The whole of E_q[(z - mu_p)²] stands over σ_p²: (mu_q - mu_p)² and σ_q².",
        ),
        Mistake(
            "the variance of q is missing in E_q[(z - mu_p)²]",
            _kl(lambda d2, log_q, log_p: log_p - log_q + d2 / log_p.exp() - 1),
            "E_q[(z - mu_p)²] is the squared distance of the means *plus* σ_q².",
        ),
        Mistake(
            "the log term has the wrong sign",
            _kl(lambda d2, log_q, log_p: log_q - log_p + (d2 + log_q.exp()) / log_p.exp() - 1),
            "The KL must grow as σ_q shrinks to 0: log σ_p² - log σ_q².",
        ),
        Mistake(
            "the 1 is missing",
            _kl(lambda d2, log_q, log_p: log_p - log_q + (d2 + log_q.exp()) / log_p.exp()),
            "For q = p the KL is zero. The 1 is E_q[(z - mu_q)²] / σ_q².",
        ),
        Mistake(
            "the mean over the latent dimensions instead of the sum",
            lambda *a: kl_of_gaussians(*a) / a[0].shape[1],
            "The KL of independent dimensions is the sum of theirs. A mean is β = 1/K.",
        ),
        *slips.one_number(kl_of_gaussians),
        Mistake("no sum at all", _kl_terms, "These are the KLs of single dimensions: sum them over axis 1."),
    ],
)

# --- 3.4 -------------------------------------------------------------------------------------------------------------


def elbo_from_noise(x, mu, log_var, eps, decode):
    """Equation (3.6), with the KL (3.7) and the codes (3.8)."""
    return _log_likelihood(x, decode(_codes(mu, log_var, eps))).mean(0) - _kl_to_prior(mu, log_var)


def _kl_to_prior(mu, log_var):
    return kl_of_gaussians(mu, log_var, 0 * mu, 0 * log_var)


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
        _log_likelihood(x, decode(codes(mu, log_var, eps))).mean(0) - _kl_to_prior(mu, log_var)
    )


def _elbo_of_outputs(log_likelihood):
    """The ELBO with another first term, a function of x, (B, D), and the outputs x_hat, (S, B, D)."""
    return lambda x, mu, log_var, eps, decode: (
        log_likelihood(x, decode(_codes(mu, log_var, eps))) - _kl_to_prior(mu, log_var)
    )


def _elbo_of_terms(combine):
    """Another combination of the log-likelihoods, (S, B), and the KLs, (B,)."""
    return lambda x, mu, log_var, eps, decode: combine(
        _log_likelihood(x, decode(_codes(mu, log_var, eps))), _kl_to_prior(mu, log_var)
    )


def _cross_entropy_of_logits(x, logits):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")


def _everything_with_log_sigma(x, mu, log_var, eps, decode):
    return elbo_from_noise(x, mu, 2 * log_var, eps, decode)


EXERCISE_4 = Exercise(
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

# --- 3.5 -------------------------------------------------------------------------------------------------------------


@cache
def _trained_vae():
    from aetutor.models import VAE

    return train_plain(VAE)


def measured(answer) -> dict[str, float]:
    """What a VAE reaches on 5,000 test images: see `build.bound`."""
    return bound(answer, held_out()[0])


EXERCISE_5 = BuildExercise(
    prompt="Build a VAE with two latent dimensions, and write its training loop yourself, for binarised images. "
    "`encode(x)` gives the mean and the log σ² of q(z|x), both (B, 2), `decode(z)` the logits of the pixels. Train it "
    "on the 60,000 training images; one or two minutes are enough. Its ELBO, in nats, on 5,000 test images must be "
    "-140 or more.",
    reference=Plain(_trained_vae),
    measure=measured,
    report="ELBO {elbo:.1f} nats on 5,000 test images, of which the KL is {kl:.1f}; -140 are asked.",
    passes=lambda facts: facts["elbo"] >= -140,
    accepts=ENCODE_AND_DECODE.format(y="", labels=""),
    mistakes=bound_mistakes(_trained_vae),
)

# --- 3.6 -------------------------------------------------------------------------------------------------------------


def implied_sigma(a, b):
    """Equation (3.12): the loss divided by b has 1/2σ² = a/b before the squared error."""
    return sqrt(b / (2 * a))


EXERCISE_6 = Exercise(
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

# --- 3.7 -------------------------------------------------------------------------------------------------------------


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


EXERCISE_7 = Exercise(
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
    "3.7": EXERCISE_7,
}
