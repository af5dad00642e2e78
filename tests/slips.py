"""Classic slips: for each numbered equation the errors that people really make, and that its checks must see.

`watch` runs in a notebook's kernel (tests/running.py). It replaces `aetutor.verify` by one that, after each check that
holds, spoils the two sides by each slip of the equation and checks again, with the same tolerance: that must fail.

To add an equation, put a list of `Slip`s under its number. Every check needs one at least, and a slip must be seen by
every check that it is for.
"""

import inspect
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from math import log, pi
from typing import Any

import aetutor
from aetutor.verify import to_tensor, verify


@dataclass(frozen=True)
class Slip:
    """One error: what it is; the sides of someone who makes it; a text in the `kind: meaning` of the checks it is for.

    `sides(lhs, rhs, names)` gets both sides as float64 tensors, and the notebook's variables.
    """

    name: str
    sides: Callable[[Any, Any, dict], tuple[Any, Any]]
    line: str = ""


@dataclass(frozen=True)
class Check:
    """One call of `verify`: which equation, how and what it compared, and what became of each slip ("" if seen)."""

    number: str
    kind: str  # "exact", "estimate", "≥" or "≤"
    meaning: str
    slips: dict[str, str]


# --- notebook 01 -----------------------------------------------------------------------------------------------------


def loss_of_the_mean_image(names):
    seen = names["seen"]
    return names["cross_entropy"](seen, seen.mean(0)).mean()


NOTEBOOK_01 = {
    "1.1": [  # the cross-entropy = -log of a product
        Slip("the mean over the pixels, not the sum", lambda lhs, rhs, names: (lhs / 784, rhs)),
        Slip("the minus forgotten", lambda lhs, rhs, names: (lhs, -rhs)),
        Slip("bits, not nats", lambda lhs, rhs, names: (lhs * 1.4427, rhs)),
        Slip("white pixels only", lambda lhs, rhs, names: (-(names["binary"] * names["x_hat"].log()).sum(1), rhs)),
    ],
    "1.2": [  # the cross-entropy = entropy + KL
        Slip("the entropy forgotten", lambda lhs, rhs, names: (lhs, rhs - names["entropy"])),
        Slip("half of the entropy", lambda lhs, rhs, names: (lhs, rhs - names["entropy"] / 2)),
        Slip("KL subtracted", lambda lhs, rhs, names: (lhs, rhs - 2 * names["divergence"]), "KL"),
        Slip("the mean over the pixels, not the sum", lambda lhs, rhs, names: (lhs, rhs / 784)),
    ],
    "1.3": [  # the gradients with respect to the logit
        Slip("x - x̂", lambda lhs, rhs, names: (lhs, -rhs)),
        Slip(
            "the sigmoid's derivative kept",
            lambda lhs, rhs, names: (lhs, rhs * names["outputs"] * (1 - names["outputs"])),
            "cross-entropy",
        ),
        Slip("the 2 of the square forgotten", lambda lhs, rhs, names: (lhs, rhs / 2), "squared error"),
        Slip(
            "the sigmoid's derivative forgotten",
            lambda lhs, rhs, names: (lhs, 2 * (names["outputs"] - names["targets"])),
            "squared error",
        ),
    ],
    "1.4": [  # a sum over the different images = the mean over all of them
        Slip(
            "each different image once",
            lambda lhs, rhs, names: (names["cross_entropy"](names["values"], names["mean_patch"]).mean(), rhs),
        ),
        Slip("n(x), not n(x) / N", lambda lhs, rhs, names: (lhs * 60_000, rhs)),
        Slip("N - 1, not N", lambda lhs, rhs, names: (lhs * 60_000 / 59_999, rhs)),
    ],
    "1.5": [  # the mean and the variance of a minibatch's mean
        Slip("the batch's sum", lambda lhs, rhs, names: (lhs * 3, rhs), "exact: mean"),
        Slip("B - 1, not B", lambda lhs, rhs, names: (lhs * 250 / 249, rhs), "estimate: mean"),
        Slip("with replacement: σ²/B", lambda lhs, rhs, names: (lhs, rhs * 7 / 5), "exact: their variance"),
        Slip("N, not N - 1", lambda lhs, rhs, names: (lhs, rhs * 7 / 8), "exact: their variance"),
        Slip("with replacement: σ²/B", lambda lhs, rhs, names: (lhs, rhs * 999 / 750), "estimate: their variance"),
        Slip("the standard deviation", lambda lhs, rhs, names: (lhs, rhs.sqrt()), "their variance"),
    ],
    "1.6": [  # the best loss over all functions = the mean entropy
        Slip("a floor of zero", lambda lhs, rhs, names: (lhs, 0 * rhs)),
        Slip("half of the entropy", lambda lhs, rhs, names: (lhs, rhs / 2)),
        Slip("the mean image for every image", lambda lhs, rhs, names: (loss_of_the_mean_image(names), rhs)),
    ],
    "1.7": [  # the best linear autoencoder loses the discarded eigenvalues
        Slip("half of the squared error", lambda lhs, rhs, names: (lhs / 2, rhs)),
        Slip("what is kept", lambda lhs, rhs, names: (lhs, names["eigenvalues"].sum() - rhs)),
        Slip("one component more", lambda lhs, rhs, names: (lhs, names["eigenvalues"][9:].sum()), "PCA"),
        Slip("one component less", lambda lhs, rhs, names: (lhs, names["eigenvalues"][7:].sum()), "PCA"),
        Slip("the covariance with N - 1", lambda lhs, rhs, names: (lhs, rhs * 60_000 / 59_999), "exact: PCA"),
    ],
}

# --- notebook 02 -----------------------------------------------------------------------------------------------------


def on_the_joint(names, loss):
    """The mean over all pairs of a loss (16, 16)."""
    return (names["joint"] * loss).sum()


NOTEBOOK_02 = {
    "2.1": [  # masking: E[x_tilde|x] = (1 - ν) x, Var = ν (1 - ν) x²
        Slip("rescaled as dropout does", lambda lhs, rhs, names: (lhs / 0.7, rhs)),
        Slip("ν for 1 - ν", lambda lhs, rhs, names: (lhs, rhs * 0.3 / 0.7), "mean"),
        Slip("E[x_tilde²], not the variance", lambda lhs, rhs, names: (lhs, rhs / 0.3), "variance"),
        Slip("x, not x²", lambda lhs, rhs, names: (lhs, 0.21 * names["lit"].mean().double()), "variance"),
    ],
    "2.2": [  # the joint distribution, and its two orders
        Slip("the prior forgotten", lambda lhs, rhs, names: (lhs, names["q_corrupt"][names["common"]]), "share"),
        Slip("the posterior", lambda lhs, rhs, names: (lhs, names["posterior"][names["common"]]), "share"),
        Slip(
            "the likelihood for the posterior",
            lambda lhs, rhs, names: (lhs, (names["q_tilde"] * (names["q_corrupt"] * names["differ"]).sum(0)).sum()),
            "both orders",
        ),
        Slip(
            "each pattern once",
            lambda lhs, rhs, names: ((names["q_corrupt"] * names["differ"]).sum(1).mean(), rhs),
            "both orders",
        ),
    ],
    "2.3": [  # three lines of the denoising objective
        Slip("the target corrupted, too", lambda lhs, rhs, names: (lhs, on_the_joint(names, names["L"].diagonal()))),
        Slip("the sum over the samples", lambda lhs, rhs, names: (lhs, 10 * rhs)),
        Slip("each pattern once", lambda lhs, rhs, names: (lhs, names["inner"].mean())),
    ],
    "2.4": [  # the variance falls as 1/S
        Slip("the standard deviation", lambda lhs, rhs, names: (lhs, rhs.sqrt())),
        Slip("the mean of the squares", lambda lhs, rhs, names: (lhs, rhs + names["inner"][15] ** 2)),
        Slip("1/S forgotten", lambda lhs, rhs, names: (lhs, names["spread"][15]), "S = 4"),
        Slip("1/S², not 1/S", lambda lhs, rhs, names: (lhs, rhs / 64), "S = 64"),
    ],
    "2.5": [  # the best output is the posterior mean
        Slip(
            "the most probable patch",
            lambda lhs, rhs, names: (lhs, names["patterns"][names["posterior"].argmax(0)]),
        ),
        Slip(
            "the prior forgotten",
            lambda lhs, rhs, names: (lhs, (names["q_corrupt"] / names["q_corrupt"].sum(0)).T @ names["patterns"]),
        ),
        Slip(
            "the mean of all patches", lambda lhs, rhs, names: (lhs, (names["q_x"] @ names["patterns"]).expand(16, 4))
        ),
    ],
    "2.6": [  # the posterior mean over the training images is a softmax
        Slip(
            "the ½ forgotten",
            lambda lhs, rhs, names: (
                lhs,
                names["memory"].posterior_mean(names["noisy_two"], 0.5**0.5).flatten().double(),
            ),
        ),
        Slip(
            "2σ for σ",
            lambda lhs, rhs, names: (lhs, names["memory"].posterior_mean(names["noisy_two"], 2.0).flatten().double()),
        ),
    ],
    "2.7": [  # Tweedie's formula
        Slip("downhill", lambda lhs, rhs, names: (lhs, -rhs), "digits"),
        Slip("the ½ of the Gaussian twice", lambda lhs, rhs, names: (lhs, rhs / 2), "digits"),
        Slip("downhill", lambda lhs, rhs, names: (lhs, 2 * names["axis"] - rhs), "line"),
        Slip("σ, not σ²", lambda lhs, rhs, names: (lhs, names["axis"] + (rhs - names["axis"]) / 0.8), "line"),
    ],
    "2.8": [  # a trained network's correction follows the score
        Slip("the correction's sign", lambda lhs, rhs, names: (-lhs, rhs)),
        Slip("arrows to the middle", lambda lhs, rhs, names: (0.23 + 0 * lhs, rhs)),
    ],
}

# --- notebook 03 -----------------------------------------------------------------------------------------------------


def on_grid(names, log_density):
    """The sum of exp(log density) over the grid, for each image."""
    return log_density.exp().sum(1) * names["cell"]


def kl_of(names, model, x):
    """KL(q(z|x) ‖ p(z)) of each image."""
    return names["elbo"](names[model], x).kl.double()


def exact_gap(names):
    """log p(x) - ELBO of each image."""
    return (names["exact"].log_px - names["exact"].elbo).double()


def unweighted(names):
    """The mean of p(x|z) / p(x) over a grid of codes, each counted alike."""
    log_px_z = names["log_joint"][:20] - names["log_prior"]
    return (log_px_z - names["log_px50"][:20]).exp().mean()


def by_prior_samples(names):
    """log p(x) of each image from 100 samples of the prior."""
    table = names["log_likelihoods"](names["vae"], names["x50"], names["prior_samples"][:100])
    return table.logsumexp(1).double() - log(100)


def squared_over(names, power):
    """The sum of (x - x_hat)² / 2σ_d to a power."""
    return ((names["grey"] - names["outputs"]).square() / (2 * names["sigma_d"] ** power)).sum((1, 2, 3))


def mean_log_prior(names):
    return names["vae"].prior().log_prob(names["z_250"]).mean().double()


def mean_log_q(names):
    return names["q_250"].log_prob(names["z_250"]).mean().double()


NOTEBOOK_03 = {
    "3.1": [  # the posterior sums to one
        Slip("the cell forgotten", lambda lhs, rhs, names: (lhs / names["cell"], rhs)),
        Slip(
            "the prior forgotten",
            lambda lhs, rhs, names: (
                on_grid(names, names["log_joint"] - names["log_prior"] - names["log_px50"]).double(),
                rhs,
            ),
        ),
        Slip("the ELBO for log p(x)", lambda lhs, rhs, names: (lhs * exact_gap(names)[:50].clamp(max=20).exp(), rhs)),
    ],
    "3.2": [  # p(x) is the mean of p(x|z) over the prior
        Slip("codes spread evenly", lambda lhs, rhs, names: (unweighted(names).double(), rhs)),
        Slip("the sum, not the mean", lambda lhs, rhs, names: (lhs * 200_000, rhs)),
    ],
    "3.3": [  # KL(q ‖ posterior) = log p(x) - ELBO
        Slip("ELBO - log p(x)", lambda lhs, rhs, names: (lhs, -rhs)),
        Slip("q against the prior", lambda lhs, rhs, names: (kl_of(names, "vae", names["x50"]).mean(), rhs)),
    ],
    "3.4": [  # log p(x) = ELBO + gap
        Slip("the gap forgotten", lambda lhs, rhs, names: (lhs, names["elbo50"]), "estimate"),
        Slip("the gap subtracted", lambda lhs, rhs, names: (lhs, rhs - 2 * names["gap50"]), "estimate"),
        Slip(
            "q against the prior",
            lambda lhs, rhs, names: (lhs, names["elbo50"] + kl_of(names, "vae", names["x50"])),
            "estimate",
        ),
        Slip("the gap forgotten", lambda lhs, rhs, names: (lhs, rhs - names["gap_line"]), "exact"),
        Slip(
            "the variance of q forgotten in the reconstruction",
            lambda lhs, rhs, names: (
                lhs,
                rhs + names["q_line"].variance @ names["V"].square().sum(0) / (2 * names["s2"]),
            ),
            "exact",
        ),
        Slip("the normaliser forgotten", lambda lhs, rhs, names: (lhs, rhs + 392 * log(2 * pi * 0.25)), "exact"),
    ],
    "3.5": [  # p(x) = E_q[w]; log p(x) >= E_q[log w]
        Slip("the mean of the logs", lambda lhs, rhs, names: (names["relative"].log().mean().exp(), rhs), "E_q[w]"),
        Slip("the sum, not the mean", lambda lhs, rhs, names: (lhs * 4000, rhs), "E_q[w]"),
        Slip("the other way round", lambda lhs, rhs, names: (rhs, lhs), "≥"),
        Slip("log p(x) from 100 samples of the prior", lambda lhs, rhs, names: (by_prior_samples(names), rhs), "≥"),
    ],
    "3.6": [  # the ELBO's first line and its last
        Slip("the KL forgotten", lambda lhs, rhs, names: (lhs + kl_of(names, "vae", names["x50"][:1])[0], rhs)),
        Slip("the KL added", lambda lhs, rhs, names: (lhs + 2 * kl_of(names, "vae", names["x50"][:1])[0], rhs)),
        Slip("the loss, not the ELBO", lambda lhs, rhs, names: (-lhs, rhs)),
        Slip("β = 2", lambda lhs, rhs, names: (lhs - kl_of(names, "vae", names["x50"][:1])[0], rhs)),
    ],
    "3.7": [  # the KL of two Gaussians
        Slip("the ½ forgotten", lambda lhs, rhs, names: (2 * lhs, rhs)),
        Slip(
            "σ, not σ²",
            lambda lhs, rhs, names: (
                lhs + 0.5 * ((names["log_var"] / 2).exp() - names["log_var"].exp()).sum(1),
                rhs,
            ),
            "torch",
        ),
        Slip("log σ, not log σ²", lambda lhs, rhs, names: (lhs + names["log_var"].sum(1) / 4, rhs), "torch"),
        Slip("the 1 forgotten", lambda lhs, rhs, names: (lhs + 1, rhs)),
        Slip("the mean over the dimensions", lambda lhs, rhs, names: (lhs / 2, rhs)),
    ],
    "3.8": [  # the gradient goes inside
        Slip("downhill", lambda lhs, rhs, names: (-lhs, rhs)),
        Slip(
            "ε forgotten for σ",
            lambda lhs, rhs, names: (names["slope"].mean(0).repeat(2).double()[names["entries"]], rhs),
            "reparameterised",
        ),
        Slip(
            "the gradient of log σ",
            lambda lhs, rhs, names: (lhs * names["sigma_one"].detach().repeat(2)[names["entries"]], rhs),
        ),
    ],
    "3.9": [  # the Bernoulli likelihood
        Slip("the loss", lambda lhs, rhs, names: (-lhs, rhs)),
        Slip("the mean over the pixels", lambda lhs, rhs, names: (lhs / 784, rhs)),
        Slip(
            "white pixels only",
            lambda lhs, rhs, names: (lhs, (names["black_white"] * names["outputs"].log()).sum((1, 2, 3))),
        ),
    ],
    "3.10": [  # the Gaussian likelihood
        Slip("the constant dropped", lambda lhs, rhs, names: (lhs + 392 * log(2 * pi), rhs)),
        Slip("the 2 of 2σ² forgotten", lambda lhs, rhs, names: (lhs - squared_over(names, 2), rhs)),
        Slip("σ, not σ²", lambda lhs, rhs, names: (lhs + squared_over(names, 2) - squared_over(names, 1), rhs)),
    ],
    "3.11": [  # the best σ² is the mean squared error
        Slip("σ, not σ²", lambda lhs, rhs, names: (lhs.sqrt(), rhs)),
        Slip("half of the squared error", lambda lhs, rhs, names: (lhs, rhs / 2)),
    ],
    "3.12": [  # β = σ²
        Slip(
            "β = σ",
            lambda lhs, rhs, names: (lhs, rhs + (0.3 - 0.09) * kl_of(names, "gaussian_vae", names["test_x"][:100])),
        ),
        Slip(
            "β = 1",
            lambda lhs, rhs, names: (lhs, rhs + (1 - 0.09) * kl_of(names, "gaussian_vae", names["test_x"][:100])),
        ),
        Slip("the constant kept", lambda lhs, rhs, names: (lhs, rhs + 392 * log(2 * pi))),
    ],
    "3.13": [  # the Bernoulli formula does not integrate to one; the continuous Bernoulli does
        Slip("it does", lambda lhs, rhs, names: (lhs, 0 * rhs + 1), "formula"),
        Slip("the ½ at x̂ = ½ for all", lambda lhs, rhs, names: (lhs, 0 * rhs + 0.5), "formula"),
        Slip(
            "not divided by the integral",
            lambda lhs, rhs, names: ((2 * names["means5"] - 1) / names["means5"].logit(), rhs),
            "continuous",
        ),
    ],
    "3.14": [  # the variance of S samples is 1/S of one's
        Slip("the mean of the squares", lambda lhs, rhs, names: (lhs, rhs + names["mean_chosen"].double().cpu() ** 2)),
        Slip("1/S forgotten", lambda lhs, rhs, names: (lhs, names["variance_chosen"].double().cpu()), "S = 4"),
        Slip("1/S², not 1/S", lambda lhs, rhs, names: (lhs, rhs / 16), "S = 16"),
    ],
    "3.15": [  # the importance-weighted bound
        Slip("log S forgotten", lambda lhs, rhs, names: (lhs + log(1024), rhs), "1024"),
        Slip("the mean of the logs", lambda lhs, rhs, names: (names["bounds"][0, names["good"]].mean(), rhs), "1024"),
        Slip("p(z) forgotten", lambda lhs, rhs, names: (lhs - mean_log_prior(names), rhs), "ELBO"),
        Slip("q(z|x) forgotten", lambda lhs, rhs, names: (lhs + mean_log_q(names), rhs), "ELBO"),
        Slip("fewer samples, a higher bound", lambda lhs, rhs, names: (rhs, lhs), "≥"),
    ],
    "3.16": [  # the mean KL is information and mismatch
        Slip("log N forgotten", lambda lhs, rhs, names: (lhs - log(10_000), rhs)),
        Slip("information and KL exchanged", lambda lhs, rhs, names: (-lhs, rhs)),
        Slip("no mismatch", lambda lhs, rhs, names: (lhs, 0 * rhs + 1e-9)),
    ],
}


# --- notebook 04 -----------------------------------------------------------------------------------------------------


def conditional_kl(names):
    """KL(q(z|x, y) ‖ p(z)) of the fifty images."""
    return names["elbo"](names["cvae"], names["x50"], names["y50"]).kl.double()


def another_class(names, network, inputs):
    """The outputs of a network with the bias of the next class."""
    return names["with_class_bias"](getattr(names["cvae"], network), inputs, (names["y50"] + 1) % 10).double()


def discriminant(names, half, inverse):
    """p(y|x) of the linear model, with another factor than ½ or another inverse."""
    m = names["m"]
    logits = names["grey"][:2] @ inverse @ m.T - half * (m @ inverse * m).sum(1) + names["log_py"].cpu().double()
    return logits.softmax(1)


NOTEBOOK_04 = {
    "4.1": [  # log p(x|y) = ELBO + gap
        Slip("the gap forgotten", lambda lhs, rhs, names: (lhs, rhs - names["gap"])),
        Slip("the gap subtracted", lambda lhs, rhs, names: (lhs, rhs - 2 * names["gap"])),
        Slip("q against the prior", lambda lhs, rhs, names: (lhs, rhs - names["gap"] + conditional_kl(names))),
    ],
    "4.2": [  # reconstruction less regulariser
        Slip("the KL forgotten", lambda lhs, rhs, names: (lhs + conditional_kl(names)[0], rhs)),
        Slip("the KL added", lambda lhs, rhs, names: (lhs + 2 * conditional_kl(names)[0], rhs)),
        Slip(
            "another label",
            lambda lhs, rhs, names: (
                names["my_elbo"](names["cvae"], names["many"][0], (names["many"][1] + 1) % 10).mean().double(),
                rhs,
            ),
        ),
    ],
    "4.3": [  # a one-hot label is a bias
        Slip(
            "the bias of another class",
            lambda lhs, rhs, names: (lhs, another_class(names, "encoder", names["x50"].flatten(1))),
            "encoder",
        ),
        Slip(
            "the bias of another class",
            lambda lhs, rhs, names: (lhs, another_class(names, "decoder", names["q50"].mean)),
            "decoder",
        ),
    ],
    "4.4": [  # p(x) = sum over the labels of p(y) p(x|y)
        Slip("the sum over the labels without p(y)", lambda lhs, rhs, names: (lhs * 10, rhs), "mean of"),
        Slip(
            "the sum over the labels without p(y)",
            lambda lhs, rhs, names: ((names["linear_joint"] - names["log_py"]).logsumexp(1).double(), rhs),
            "linear",
        ),
        Slip("the mean of the logs", lambda lhs, rhs, names: (names["linear_joint"].mean(1).double(), rhs), "linear"),
    ],
    "4.5": [  # I(z; y) and its bound
        Slip(
            "H(y|z), not I(z; y)", lambda lhs, rhs, names: (names["entropy"](names["p_y"]).double() - lhs, rhs), "draws"
        ),
        Slip("bits, not nats", lambda lhs, rhs, names: (lhs / log(2), rhs), "estimate: VAE"),
    ],
    "4.6": [  # the split of the KL
        Slip("I(z; y) twice", lambda lhs, rhs, names: (lhs, rhs + names["information"]["CVAE"])),
        Slip("the part within a class forgotten", lambda lhs, rhs, names: (lhs + names["within"].mean(), rhs)),
        Slip("the other sign", lambda lhs, rhs, names: (-lhs, rhs)),
    ],
    "4.7": [  # Bayes' rule
        Slip("the ½ forgotten", lambda lhs, rhs, names: (lhs, discriminant(names, 1, names["inverse"]))),
        Slip(
            "the covariance forgotten",
            lambda lhs, rhs, names: (lhs, discriminant(names, 0.5, 0.01 * (0 * names["inverse"]).fill_diagonal_(1))),
        ),
    ],
}

SLIPS = {**NOTEBOOK_01, **NOTEBOOK_02, **NOTEBOOK_03, **NOTEBOOK_04}


# --- the verify that tries them --------------------------------------------------------------------------------------

CHECKS: list[Check] = []  # of this process


def watch() -> None:
    """Replace `aetutor.verify`, for what is imported after this."""
    aetutor.verify = watched


def watched(number: str, lhs: Any, rhs: Any, **settings: Any) -> None:
    """`verify`, and then each slip of this equation; the result goes into CHECKS."""
    verify(number, lhs, rhs, **settings)
    relation = settings.get("relation", "=")
    kind = relation if relation != "=" else "estimate" if settings.get("standard_errors") is not None else "exact"
    line, names = f"{kind}: {settings.get('meaning', '')}", inspect.currentframe().f_back.f_globals
    slips = [slip for slip in SLIPS.get(number, []) if slip.line in line]
    found = {slip.name: outcome(slip, number, lhs, rhs, names, settings) for slip in slips}
    CHECKS.append(Check(number, kind, settings.get("meaning", ""), found))


def outcome(slip: Slip, number: str, lhs: Any, rhs: Any, names: dict, settings: dict) -> str:
    """ "" if `verify` sees the slip; otherwise what happened."""
    try:
        with redirect_stdout(io.StringIO()):
            verify(number, *slip.sides(to_tensor(lhs), to_tensor(rhs), names), **settings)
    except AssertionError:
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "passes"


def as_json() -> str:
    """The checks so far."""
    return json.dumps([asdict(check) for check in CHECKS])


def unseen(checks: Iterable[Check], slips: dict[str, list[Slip]]) -> Iterator[str]:
    """What is wrong: slips that pass or could not be tried, checks without a slip, slips without a check."""
    tried = set()
    for check in checks:
        line = f"({check.number}) {check.kind}: {check.meaning}"
        tried |= {(check.number, name) for name in check.slips}
        if not check.slips:
            yield f"{line}: there is no slip for this check"
        yield from (f"{line}: {name!r} {found}" for name, found in check.slips.items() if found)
    for number, known in slips.items():
        yield from (f"({number}): no check for {s.name!r} ({s.line})" for s in known if (number, s.name) not in tried)
