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

SLIPS = {**NOTEBOOK_01, **NOTEBOOK_02}


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
