"""The exercises of notebook 04."""

from math import log

import torch
from torch import Tensor
from torch.nn import functional

from aetutor.exercises import notebook_03
from aetutor.exercises.engine import Exercise
from aetutor.exercises.notebook_03 import elbo_from_noise
from aetutor.exercises.random_inputs import normal, uniform


def _networks(pixels: int, latents: int):
    """An encoder and a decoder to try the answers with.

    The label is their last argument. Without one they run, too, as networks do whose one-hot vector is all zeros: a
    label that is forgotten shows in the result, not as an error.
    """

    def encode(x, y=None):
        mu, log_var = (x @ _weights(pixels, 2 * latents, x) + _bias(y, 2 * latents, x)).chunk(2, -1)
        return mu, log_var - 0.4

    def decode(z, y=None):
        return torch.sigmoid(1.5 * z.sin() @ _weights(latents, pixels, z) + _bias(y, pixels, z))

    return encode, decode


def _weights(rows: int, columns: int, like: Tensor) -> Tensor:
    k, d = torch.arange(1, rows + 1).to(like)[:, None], torch.arange(1, columns + 1).to(like)
    return (k * d + k).sin() / rows**0.5


def _bias(y, width: int, like: Tensor):
    """What the labels, of any shape, add to the network's outputs: w_y of equation (4.3)."""
    if y is None:
        return 0
    return (2.4 * torch.as_tensor(y).to(like)[..., None] + torch.arange(1, width + 1).to(like)).sin()


def _own(table: Tensor, y: Tensor) -> Tensor:
    """The entry of each row's own class: (N, C) -> (N,)."""
    return table[torch.arange(len(y)), y]


# --- 4.1 -------------------------------------------------------------------------------------------------------------


def conditional_elbo(x, y, eps, encode, decode):
    """Equation (4.2): the ELBO (3.6) of a model whose encoder and decoder both know the label."""
    return elbo_from_noise(x, *encode(x, y), eps, lambda z: decode(z, y))


def _conditional_inputs(size: int, g: torch.Generator) -> tuple:
    """B, S, K and D are all different, so that a sum over the wrong axis shows."""
    B, D, K = size + 1, size + 4, size + 3
    x, y = (uniform(g, B, D) < 0.4).double(), torch.randint(5, (B,), generator=g)
    return x, y, normal(g, size + 2, B, K), *_networks(D, K)


def _with_label(mistake):
    """A mistake of exercise 3.3, made with the label given to both halves."""
    return lambda x, y, eps, encode, decode: mistake(x, *encode(x, y), eps, lambda z: decode(z, y))


def _kl_by_samples(x, y, eps, encode, decode):
    """The first line of (4.2) over the S samples: E[log p(x|z, y) + log p(z) - log q(z|x, y)]."""
    mu, log_var = encode(x, y)
    z = mu + (log_var / 2).exp() * eps
    log_px_z = (x * decode(z, y).log() + (1 - x) * (1 - decode(z, y)).log()).sum(-1)
    return (log_px_z + (eps**2 + log_var - z**2).sum(-1) / 2).mean(0)


def _told(why: str) -> str:
    """What exercise 3.3 tells, with the label in its formulas."""
    for old, new in (("(3.6)", "(4.2)"), ("q(z|x)", "q(z|x, y)"), ("p(x|z)", "p(x|z, y)")):
        why = why.replace(old, new)
    return why


EXERCISE_1 = Exercise(
    prompt="Write `conditional_elbo(x, y, eps, encode, decode)`: black and white images x (B, D), labels y (B,), "
           "standard normal noise eps (S, B, K), `encode(x, y)`, which gives the means and the log σ² of q(z|x, y), "
           "both (B, K), and `decode(z, y)`, which makes of codes (S, B, K) and labels (B,) the probabilities "
           "(S, B, D) that the pixels are white. Return (4.2) for each image, (B,): its expectation by the mean over "
           "the S codes (3.8), its KL by (3.7).",
    inputs=_conditional_inputs,
    reference=conditional_elbo,
    mistakes={
        "the label is given to the encoder only":
            lambda x, y, eps, encode, decode: elbo_from_noise(x, *encode(x, y), eps, decode),
        "the label is given to the decoder only":
            lambda x, y, eps, encode, decode: elbo_from_noise(x, *encode(x), eps, lambda z: decode(z, y)),
        "no label at all": lambda x, y, eps, encode, decode: elbo_from_noise(x, *encode(x), eps, decode),
        "the KL by samples, too": _kl_by_samples,
        **{name: _with_label(mistake) for name, mistake in notebook_03.EXERCISE_3.mistakes.items()},
    },
    why={
        "the label is given to the encoder only":
            "The bound's first term is E[log p(x|z, y)]: the decoder must know the label, or z has to carry it.",
        "the label is given to the decoder only":
            "With q(z|x) that is a bound on log p(x|y), too, but not (4.2), whose q(z|x, y) is told the label.",
        "no label at all": "That is the ELBO (3.6) of an unconditional model. Give y to `encode` and to `decode`.",
        "the KL by samples, too": "Unbiased as well, but noisier: use the closed form (3.7), as the task says.",
        **{name: _told(why) for name, why in notebook_03.EXERCISE_3.why.items()},
    },
)

# --- 4.2 -------------------------------------------------------------------------------------------------------------


def with_label(features, y, num_classes):
    """[x; e_y], on which equation (4.3) puts its weights."""
    return torch.cat([features, functional.one_hot(y, num_classes).to(features)], 1)


def _label_inputs(size: int, g: torch.Generator) -> tuple:
    """B, F and C are all different, and C is below 10: a column for each of ten classes is another shape, no error.

    The highest class occurs at even sizes only, and the first label is always 2.
    """
    C = min(size + 4, 8)
    y = torch.randint(C - 1, (size + 1,), generator=g)
    y[0] = 2
    if size % 2 == 0:
        y[-1] = C - 1
    return normal(g, size + 1, size + 2), y, C


def _beside(columns):
    """The features with other columns on their right, a function of y and C."""
    return lambda features, y, num_classes: torch.cat([features, columns(y, num_classes).to(features)], 1)


def _one_hot_first(features, y, num_classes):
    return torch.cat([functional.one_hot(y, num_classes).to(features), features], 1)


EXERCISE_2 = Exercise(
    prompt="Write `with_label(features, y, num_classes)`: features (B, F) and labels y (B,), integers from 0 to C - 1, "
           "of C = num_classes classes. Return [features; e_y], the features with the label's one-hot vector on their "
           "right, (B, F + C), in the features' dtype. A batch need not have every class.",
    inputs=_label_inputs,
    reference=with_label,
    mistakes={
        "as wide as this batch's highest label": _beside(lambda y, C: functional.one_hot(y)),
        "as wide as the number of classes in this batch":
            _beside(lambda y, C: functional.one_hot(y.unique(return_inverse=True)[1])),
        "always ten columns": _beside(lambda y, C: functional.one_hot(y, 10)),
        "the label as one number": _beside(lambda y, C: y[:, None]),
        "the label as one number, divided by C": _beside(lambda y, C: y[:, None] / C),
        "the label in each of the C columns": _beside(lambda y, C: y[:, None].expand(-1, C)),
        "the label in front of the features": _one_hot_first,
        "classes counted from 1": _beside(lambda y, C: torch.eye(C)[y - 1]),
        "one column too many": _beside(lambda y, C: functional.one_hot(y, C + 1)),
        "one column too many, as classes are counted from 1": _beside(lambda y, C: functional.one_hot(y + 1, C + 1)),
        "no column for the first class": _beside(lambda y, C: functional.one_hot(y, C)[:, 1:]),
        "no column for the last class": _beside(lambda y, C: functional.one_hot(y, C)[:, :-1]),
        "-1 instead of 0": _beside(lambda y, C: 2 * functional.one_hot(y, C) - 1),
        "the one-hot vectors alone": lambda features, y, num_classes: functional.one_hot(y, num_classes),
        "the features alone": lambda features, y, num_classes: features,
    },
    why={
        "as wide as this batch's highest label":
            "F.one_hot without num_classes counts only up to the highest label in the batch. The network's weights "
            "have C columns for the label, whatever the batch.",
        "as wide as the number of classes in this batch":
            "A class has the same column in every batch: C columns, also where a class does not occur.",
        "always ten columns": "MNIST has ten classes, other images have fewer or more: num_classes columns.",
        "the label as one number":
            "One number puts the classes on a line, with 4 between 3 and 5: one weight could only push along it. "
            "A one-hot vector gives each class a weight of its own.",
        "the label as one number, divided by C":
            "One number puts the classes on a line. A one-hot vector gives each class a weight of its own.",
        "the label in each of the C columns": "e_y is 0 everywhere but in column y, where it is 1.",
        "the label in front of the features": "[features; e_y]: the features come first.",
        "classes counted from 1": "Labels are counted from 0: class 0 has the first column.",
        "one column too many": "The labels are 0 … C - 1: that makes C columns.",
        "one column too many, as classes are counted from 1":
            "Labels are counted from 0: class 0 has the first column, and there are C of them.",
        "no column for the first class": "Regressions leave one class out; here each class has a column, C in all.",
        "no column for the last class": "Regressions leave one class out; here each class has a column, C in all.",
        "-1 instead of 0": "e_y is 0 off its class: it picks w_y and no other, equation (4.3).",
        "the one-hot vectors alone": "Put them beside the features: torch.cat along axis 1.",
        "the features alone": "Put the label's one-hot vector beside them: torch.cat along axis 1.",
    },
)

# --- 4.3 -------------------------------------------------------------------------------------------------------------


def advantage(log_px, log_px_y, log_py, y):
    """Equation (4.4), less log p(x) of the other model."""
    return (log_px_y + log_py).logsumexp(1) - log_px


def _levels(g: torch.Generator, B: int) -> Tensor:
    """How likely the images are, in logs: the last so much less that no shift common to all saves them from exp."""
    return -900 - 20 * uniform(g, B) - 1000 * (torch.arange(B) == B - 1)


def _partly_underflowed(reference):
    """The sign of one shift for all images: right, but for NaN and infinity.

    In the last image some classes may underflow and others not, or the smallest floats cost digits.
    """

    def sign(*arguments) -> bool:
        want, got = reference(*arguments[:-1]), arguments[-1]
        allowed = torch.full_like(want, 1e-2)
        allowed[-1] = 10
        close = (got - want).abs() < allowed
        return got.shape == want.shape and bool((close | ~got.isfinite()).all())

    return sign


def _advantage_inputs(size: int, g: torch.Generator) -> tuple:
    """Logs so low that exp gives 0 in float64, too; every other image is worse in the conditional model."""
    B, C = size + 1, size + 3
    log_px, sign = _levels(g, B), (-1) ** torch.arange(B)
    log_px_y = (log_px + sign * (15 + 20 * uniform(g, B)))[:, None] + 1.5 * normal(g, B, C)
    return log_px, log_px_y, (1.5 * normal(g, C)).log_softmax(0), torch.randint(C, (B,), generator=g)


def _underflowed(log_px, log_px_y, log_py, y, result) -> bool:
    """Nothing but NaN or infinity, or log 0 patched with a small number: the same for each image, less log p(x)."""
    patched = len(result) > 1 and bool((result + log_px - result[0] - log_px[0]).abs().max() < 1e-3)
    return patched or not result.isfinite().any()


def _less_log_px(of_classes):
    """Another log p(x) of the conditional model, a function of log p(x|y) and log p(y), less the other model's."""
    return lambda log_px, log_px_y, log_py, y: of_classes(log_px_y, log_py) - log_px


EXERCISE_3 = Exercise(
    prompt="Write `advantage(log_px, log_px_y, log_py, y)`: log p(x) of B images in an unconditional model, (B,); in a "
           "conditional one log p(x|y') of each image with each of C labels y', (B, C); log p(y'), (C,); the images' "
           "own labels y, (B,). By how many nats does the conditional model explain each image better, when neither "
           "is told the label? Return (B,). Not every argument need be used. The log-probabilities are all "
           "below -800, and those of two images may differ by 1000.",
    inputs=_advantage_inputs,
    reference=advantage,
    signs={"exponentiated first": _underflowed, "one shift for all images": _partly_underflowed(advantage)},
    mistakes={
        "exponentiated first": _less_log_px(lambda log_px_y, log_py: (log_px_y + log_py).exp().sum(1).log()),
        "one shift for all images": _less_log_px(lambda log_px_y, log_py: (
            (log_px_y - log_px_y.max()).exp() @ log_py.exp()).log() + log_px_y.max()),
        "log p(x|y) compared with log p(x)": lambda log_px, log_px_y, log_py, y: _own(log_px_y, y) - log_px,
        "log p(x|y) compared with log p(x), and the wrong sign":
            lambda log_px, log_px_y, log_py, y: log_px - _own(log_px_y, y),
        "log p(x|y) compared with log p(x), and the mean over the images":
            lambda log_px, log_px_y, log_py, y: (_own(log_px_y, y) - log_px).mean(),
        "log p(x|y) compared with log p(x), less log C":
            lambda log_px, log_px_y, log_py, y: _own(log_px_y, y) - log(len(log_py)) - log_px,
        "log p(x|y) compared with log p(x) of every image":
            lambda log_px, log_px_y, log_py, y: _own(log_px_y, y)[:, None] - log_px,
        "log p(x|y) with the labels of all images":
            lambda log_px, log_px_y, log_py, y: log_px_y[:, y] - log_px[:, None],
        "log p(x|y) with the labels of all images, and log p(x) of every image":
            lambda log_px, log_px_y, log_py, y: log_px_y[:, y] - log_px,
        "log p(x, y) compared with log p(x)": lambda log_px, log_px_y, log_py, y: _own(log_px_y + log_py, y) - log_px,
        "log p(x|y) compared with log p(x) of the same model":
            lambda log_px, log_px_y, log_py, y: _own(log_px_y, y) - (log_px_y + log_py).logsumexp(1),
        "log p(y|x) instead": lambda log_px, log_px_y, log_py, y: _own((log_px_y + log_py).log_softmax(1), y),
        "p(y) is forgotten": _less_log_px(lambda log_px_y, log_py: log_px_y.logsumexp(1)),
        "each class counts the same":
            _less_log_px(lambda log_px_y, log_py: log_px_y.logsumexp(1) - log(len(log_py))),
        "p(y), and 1/C as well":
            _less_log_px(lambda log_px_y, log_py: (log_px_y + log_py).logsumexp(1) - log(len(log_py))),
        "the mean of log p(x|y) instead of the log of the mean":
            _less_log_px(lambda log_px_y, log_py: (log_py.exp() * log_px_y).sum(1)),
        "the mean of log p(x|y), without p(y)": _less_log_px(lambda log_px_y, log_py: log_px_y.mean(1)),
        "the best class's p(x|y)": _less_log_px(lambda log_px_y, log_py: log_px_y.amax(1)),
        "the best class's p(x, y)": _less_log_px(lambda log_px_y, log_py: (log_px_y + log_py).amax(1)),
        "p(y) added without its logarithm":
            _less_log_px(lambda log_px_y, log_py: (log_px_y + log_py.exp()).logsumexp(1)),
        "p(y) multiplies the logs": _less_log_px(lambda log_px_y, log_py: (log_px_y * log_py.exp()).logsumexp(1)),
        "p(y) is divided by": _less_log_px(lambda log_px_y, log_py: (log_px_y - log_py).logsumexp(1)),
        "no sum over the classes": lambda log_px, log_px_y, log_py, y: log_px_y + log_py - log_px[:, None],
        "the wrong sign": lambda *arguments: -advantage(*arguments),
        "log p(x) of the conditional model": lambda log_px, log_px_y, log_py, y: (log_px_y + log_py).logsumexp(1),
        "the ratio of the logs": lambda log_px, log_px_y, log_py, y: (log_px_y + log_py).logsumexp(1) / log_px,
        "the ratio of the probabilities": lambda *arguments: advantage(*arguments).exp(),
        "the mean over the images": lambda *arguments: advantage(*arguments).mean(),
    },
    why={
        "exponentiated first":
            "exp(-900) is too small for a float and becomes 0. Add and subtract the logs, and use torch.logsumexp.",
        "one shift for all images":
            "Two images' logs differ by 1000: what saves one from exp gives 0 or infinity for the other. "
            "torch.logsumexp takes out each image's largest.",
        "log p(x|y) compared with log p(x)":
            "Your conditional model is told the label, the other is not: it gets up to -log p(y) nats for nothing. "
            "Sum over the labels, equation (4.4).",
        "log p(x|y) compared with log p(x), and the wrong sign":
            "Your conditional model is told the label, the other is not: sum over the labels, equation (4.4). And its "
            "log p(x) comes first: positive where it explains the image better.",
        "log p(x|y) compared with log p(x), and the mean over the images":
            "Your conditional model is told the label, the other is not: sum over the labels, equation (4.4). And "
            "leave the batch axis: one number for each image.",
        "log p(x|y) compared with log p(x), less log C":
            "That takes log p(y) for -log C, and the true label's p(x, y) for p(x). Sum over all labels with their "
            "p(y), equation (4.4).",
        "log p(x|y) compared with log p(x) of every image":
            "(B, 1) less (B,) is (B, B), each image with each: squeeze the axis that `gather` leaves. And neither "
            "model is told the label: sum over the labels, equation (4.4).",
        "log p(x|y) with the labels of all images":
            "`log_px_y[:, y]` is (B, B), each image with each label of the batch. Sum over all C labels instead, "
            "equation (4.4).",
        "log p(x|y) with the labels of all images, and log p(x) of every image":
            "`log_px_y[:, y]` is (B, B), each image with each label of the batch. Sum over all C labels instead, "
            "equation (4.4).",
        "log p(x, y) compared with log p(x)":
            "That makes the conditional model explain the label, too. Sum p(x, y) over all labels, equation (4.4).",
        "log p(x|y) compared with log p(x) of the same model":
            "That is how much the label says about the image. Two models are compared: use log_px.",
        "log p(y|x) instead": "That is how well the label is read from the image. Two models' log p(x) are compared.",
        "p(y) is forgotten": "The sum (4.4) weighs each label with its frequency: add log p(y).",
        "each class counts the same": "The classes are not equally frequent: p(y) stands in the place of 1/C.",
        "p(y), and 1/C as well": "The p(y) sum to one already: the sum (4.4) has no 1/C.",
        "the mean of log p(x|y) instead of the log of the mean":
            "p(x) is the mean of p(x|y), and its log is not the mean of the logs, which is lower (Jensen).",
        "the mean of log p(x|y), without p(y)":
            "The sum (4.4) is of the probabilities, weighed with p(y), inside the logarithm.",
        "the best class's p(x|y)":
            "Choosing the label that fits best is telling the model. Sum over the labels, each weighed with p(y).",
        "the best class's p(x, y)": "The largest term is often close to the sum, but the others belong to it.",
        "p(y) added without its logarithm": "log_py is log p(y) already: add it as it is.",
        "p(y) multiplies the logs": "p(y) multiplies p(x|y): to its logarithm log p(y) is added.",
        "p(y) is divided by": "p(x, y) is p(x|y) *times* p(y): the logs add.",
        "no sum over the classes": "Sum the probabilities over the labels, with torch.logsumexp.",
        "the wrong sign": "The conditional model's log p(x) comes first: positive where it explains the image better.",
        "log p(x) of the conditional model": "Subtract log p(x) of the unconditional one.",
        "the ratio of the logs": "A number of nats is a difference of logs.",
        "the ratio of the probabilities": "The number of nats is its logarithm.",
        "the mean over the images": "Leave the batch axis: one number for each image.",
    },
)

# --- 4.4 -------------------------------------------------------------------------------------------------------------


def information_bound(log_probs, y):
    """Equation (4.5); xlogy(0, 0) is 0, the limit."""
    return _label_entropy(log_probs, y) + _own(log_probs, y).mean()


def _frequencies(log_probs, y):
    return torch.bincount(y, minlength=log_probs.shape[1]).to(log_probs) / len(y)


def _label_entropy(log_probs, y):
    return _entropy(_frequencies(log_probs, y))


def _entropy(p):
    return -torch.xlogy(p, p).sum(-1)


def _entropy_with_nan(log_probs, y):
    p = _frequencies(log_probs, y)
    return -(p * p.log()).sum()


def _entropy_of_counts(log_probs, y):
    counts = torch.bincount(y).to(log_probs)
    return -torch.xlogy(counts, counts).sum()


def _probe_inputs(size: int, g: torch.Generator) -> tuple:
    """More codes than classes, the first always misread. Class 0 is frequent; at odd sizes class 1 does not occur. At
    size 3 the probe is so bad that the bound is negative."""
    counts = torch.randint(1, 4, (size + 3,), generator=g)
    counts[0] += 4
    if size % 2:
        counts[1] = 0
    y = torch.arange(size + 3).repeat_interleave(counts)[torch.randperm(counts.sum(), generator=g)]
    logits = 1.5 * uniform(g, len(y), size + 3) + (-4 if size == 3 else 4) * functional.one_hot(y, size + 3)
    logits[0, (y[0] + 1) % (size + 3)] += 6
    return logits.log_softmax(1), y


def _with_entropy(entropy):
    """The bound with another entropy of the labels, a function of log_probs and y."""
    return lambda log_probs, y: entropy(log_probs, y) + _own(log_probs, y).mean()


def _with_fit(fit):
    """The bound with something else in the place of the mean of log p(y|z)."""
    return lambda log_probs, y: _label_entropy(log_probs, y) + fit(log_probs, y)


EXERCISE_4 = Exercise(
    prompt="Write `information_bound(log_probs, y)`: a probe's log p(y'|z) at N test codes with each of C labels y', "
           "(N, C), and the codes' own labels y, (N,). Return the lower bound (4.5) on I(z; y) in nats, one number. "
           "H(y) is the entropy of the labels' frequencies among these N; a class may be missing.",
    inputs=_probe_inputs,
    reference=information_bound,
    mistakes={
        "0 · log 0 gives NaN": _with_entropy(_entropy_with_nan),
        "log C instead of H(y)": _with_entropy(lambda log_probs, y: log(log_probs.shape[1])),
        "log 10 instead of H(y)": _with_entropy(lambda log_probs, y: log(10)),
        "the log of the number of classes that occur instead of H(y)":
            _with_entropy(lambda log_probs, y: log(len(y.unique()))),
        "minus the cross-entropy, without H(y)": _with_entropy(lambda log_probs, y: 0),
        "the cross-entropy alone": lambda log_probs, y: -_own(log_probs, y).mean(),
        "the entropy alone": _label_entropy,
        "the sum instead of the difference": _with_fit(lambda log_probs, y: -_own(log_probs, y).mean()),
        "the wrong sign": lambda log_probs, y: -information_bound(log_probs, y),
        "bits instead of nats": lambda log_probs, y: information_bound(log_probs, y) / log(2),
        "H(y) in bits": _with_entropy(lambda log_probs, y: _label_entropy(log_probs, y) / log(2)),
        "H(y) of the numbers instead of the frequencies": _with_entropy(_entropy_of_counts),
        "the entropy of the mean prediction instead of H(y)":
            _with_entropy(lambda log_probs, y: _entropy(log_probs.exp().mean(0))),
        "the entropy of the predictions instead of the cross-entropy":
            _with_fit(lambda log_probs, y: -_entropy(log_probs.exp()).mean()),
        "the mean over the whole table": _with_fit(lambda log_probs, y: log_probs.mean()),
        "the mean over the whole table, of which the labels pick N entries":
            _with_fit(lambda log_probs, y: _own(log_probs, y).mean() / log_probs.shape[1]),
        "each code with the labels of all codes": _with_fit(lambda log_probs, y: log_probs[:, y].mean()),
        "the sum over the codes instead of the mean": _with_fit(lambda log_probs, y: _own(log_probs, y).sum()),
        "no mean over the codes": _with_fit(_own),
        "the class that the probe prefers instead of the label":
            _with_fit(lambda log_probs, y: log_probs.amax(1).mean()),
        "the mean before the logarithm": _with_fit(lambda log_probs, y: _own(log_probs, y).exp().mean().log()),
        "the probability instead of its logarithm": _with_fit(lambda log_probs, y: _own(log_probs, y).exp().mean()),
        "the log-probabilities taken for probabilities":
            _with_fit(lambda log_probs, y: -functional.cross_entropy(log_probs.exp(), y)),
        "the share of the codes read rightly": lambda log_probs, y: (log_probs.argmax(1) == y).double().mean(),
        "cut off at 0": lambda log_probs, y: information_bound(log_probs, y).clamp(min=0),
    },
    why={
        "0 · log 0 gives NaN":
            "A class that does not occur adds 0 to H(y), the limit; a computer says 0 · (-∞) = NaN: use torch.xlogy.",
        "log C instead of H(y)": "H(y) is log C only if all classes are equally frequent, and less otherwise.",
        "log 10 instead of H(y)":
            "H(y) is log 10 only if there are ten classes, all equally frequent. Take the frequencies in y.",
        "the log of the number of classes that occur instead of H(y)":
            "H(y) is that only if these classes are equally frequent, and less otherwise.",
        "minus the cross-entropy, without H(y)":
            "What is learned is what was unknown before, H(y), less what is left, the cross-entropy.",
        "the cross-entropy alone": "That is what is left unknown. Subtract it from what was unknown before, H(y).",
        "the entropy alone": "That is what is unknown before. Subtract what is left, the probe's cross-entropy.",
        "the sum instead of the difference": "What the probe leaves unknown, the cross-entropy, is subtracted.",
        "the wrong sign": "A better probe has a lower cross-entropy, and its bound is higher.",
        "bits instead of nats": "Take natural logarithms, as log_probs are.",
        "H(y) in bits": "Take the natural logarithm in both terms.",
        "H(y) of the numbers instead of the frequencies": "Divide the counts by N: frequencies sum to one.",
        "the entropy of the mean prediction instead of H(y)": "H(y) is of the labels' own frequencies.",
        "the entropy of the predictions instead of the cross-entropy":
            "That is how sure the probe is of itself, right or wrong. Take log p(y|z) of the true label.",
        "the mean over the whole table": "Take one entry of each row, that of the true label.",
        "the mean over the whole table, of which the labels pick N entries":
            "The mean is over the N codes: do not divide by C, too.",
        "each code with the labels of all codes":
            "`log_probs[:, y]` is (N, N), each code with each label. One entry a row: log_probs[torch.arange(N), y].",
        "the sum over the codes instead of the mean": "The cross-entropy is a mean over the codes.",
        "no mean over the codes": "Take the mean over the N codes: one number.",
        "the class that the probe prefers instead of the label":
            "Where the probe is wrong, that hides it. Take log p(y|z) of the true label.",
        "the mean before the logarithm": "The cross-entropy is the mean of the logs. The log of the mean is larger.",
        "the probability instead of its logarithm": "The cross-entropy is the mean of -log p(y|z).",
        "the log-probabilities taken for probabilities":
            "F.cross_entropy takes logits or log-probabilities: give it log_probs without exp.",
        "the share of the codes read rightly": "The accuracy is no number of nats. The bound is H(y) - cross-entropy.",
        "cut off at 0":
            "max(0, ·) is a bound, too, but (4.5) itself is asked: a negative one tells of a bad probe.",
    },
)

# --- 4.5 -------------------------------------------------------------------------------------------------------------


def class_posterior(log_w, log_py):
    """Equation (4.6); the 1/S of the mean weight would cancel."""
    return (log_w.logsumexp(0) + log_py).log_softmax(1)


def _class_inputs(size: int, g: torch.Generator) -> tuple:
    """Weights so low that exp gives 0 in float64, too; S, B and C are all different, and classes 5 nats apart."""
    S, B, C = size + 2, size + 1, size + 3
    rank = uniform(g, B, C).argsort(1)
    log_w = _levels(g, B)[:, None] - 5 * rank + 1.5 * normal(g, S, B, C)
    return log_w, (1.5 * normal(g, C)).log_softmax(0)


def _posterior(log_px_y):
    """(4.6) with another log p(x|y), a function of the log weights."""
    return lambda log_w, log_py: (log_px_y(log_w) + log_py).log_softmax(1)


def _of_joint(combine):
    """A mistake that is a function of log p(x, y), (B, C)."""
    return lambda log_w, log_py: combine(log_w.logsumexp(0) - log(len(log_w)) + log_py)


def _all_alike(log_w, log_py, result) -> bool:
    return bool(result.isfinite().all()) and bool((result - result[0]).abs().max() < 1e-3) and len(result) > 1


EXERCISE_5 = Exercise(
    prompt="Write `class_posterior(log_w, log_py)`: the logs of importance weights, log p(x|z, y) + log p(z) - "
           "log q(z|x, y), of S draws z for each of B images with each of C labels, (S, B, C), and log p(y), (C,). The "
           "mean weight estimates p(x|y). Return log p(y|x) by (4.6), (B, C). The log weights are all below "
           "-800, and those of two images may differ by 1000.",
    inputs=_class_inputs,
    reference=class_posterior,
    signs={"exponentiated first": lambda log_w, log_py, result: not result.isfinite().any(),
           "one shift for all images": _partly_underflowed(class_posterior),
           "the same answer for each image": _all_alike},
    mistakes={
        "exponentiated first": _posterior(lambda log_w: log_w.exp().mean(0).log()),
        "one shift for all images": _posterior(lambda log_w: (log_w - log_w.max()).exp().mean(0).log()),
        "the same answer for each image": lambda log_w, log_py: log_py.expand(log_w.shape[1:]),
        "p(y) is forgotten": lambda log_w, log_py: log_w.logsumexp(0).log_softmax(1),
        "p(y) is forgotten, and the mean of the logs": lambda log_w, log_py: log_w.mean(0).log_softmax(1),
        "p(y) is forgotten, and the largest weight only": lambda log_w, log_py: log_w.amax(0).log_softmax(1),
        "p(y) multiplies the logs": lambda log_w, log_py: (log_w.logsumexp(0) * log_py.exp()).log_softmax(1),
        "not normalised": _of_joint(lambda joint: joint),
        "not normalised, and the sum of the weights": lambda log_w, log_py: log_w.logsumexp(0) + log_py,
        "not normalised, and p(y) is forgotten": lambda log_w, log_py: log_w.logsumexp(0) - log(len(log_w)),
        "p(y) added after normalising": lambda log_w, log_py: log_w.logsumexp(0).log_softmax(1) + log_py,
        "p(y) is divided by": lambda log_w, log_py: (log_w.logsumexp(0) - log_py).log_softmax(1),
        "p(y) added without its logarithm": lambda log_w, log_py: (log_w.logsumexp(0) + log_py.exp()).log_softmax(1),
        "p(y) counted S times": lambda log_w, log_py: (log_w.logsumexp(0) + len(log_w) * log_py).log_softmax(1),
        "the mean of the logs instead of the log of the mean": _posterior(lambda log_w: log_w.mean(0)),
        "the sum of the logs": _posterior(lambda log_w: log_w.sum(0)),
        "the largest weight only": _posterior(lambda log_w: log_w.amax(0)),
        "normalised over z instead of y": lambda log_w, log_py: (log_w + log_py).log_softmax(0),
        "normalised over z instead of y, and averaged":
            lambda log_w, log_py: (log_w + log_py).log_softmax(0).mean(0),
        "normalised over z instead of y, and summed": lambda log_w, log_py: log_w.log_softmax(0).sum(0),
        "normalised over z instead of y, averaged, and p(y) added":
            lambda log_w, log_py: log_w.log_softmax(0).mean(0) + log_py,
        "normalised over z, averaged, and normalised over y":
            _posterior(lambda log_w: log_w.log_softmax(0).mean(0)),
        "normalised over z, averaged, and normalised over y without p(y)":
            lambda log_w, log_py: log_w.log_softmax(0).mean(0).log_softmax(1),
        "normalised over z and y together":
            lambda log_w, log_py: (log_w + log_py) - (log_w + log_py).logsumexp((0, 2), keepdim=True),
        "the posteriors of single draws": lambda log_w, log_py: (log_w + log_py).log_softmax(2),
        "the mean of the single draws' posteriors":
            lambda log_w, log_py: (log_w + log_py).log_softmax(2).logsumexp(0) - log(len(log_w)),
        "the mean of the single draws' log posteriors":
            lambda log_w, log_py: (log_w + log_py).log_softmax(2).mean(0),
        "normalised over the images": _of_joint(lambda joint: joint.log_softmax(0)),
        "log p(x) instead": _of_joint(lambda joint: joint.logsumexp(1)),
        "the probabilities instead of their logs": _of_joint(lambda joint: joint.softmax(1)),
        "the most probable class": _of_joint(lambda joint: joint.argmax(1)),
        "the wrong sign": _of_joint(lambda joint: -joint.log_softmax(1)),
    },
    why={
        "exponentiated first":
            "exp(-900) is too small for a float and becomes 0, and 0/0 is NaN. Use torch.logsumexp and log_softmax.",
        "one shift for all images":
            "Two images' logs differ by 1000: what saves one from exp gives 0 or infinity for the other. "
            "torch.logsumexp takes out each image's largest.",
        "the same answer for each image":
            "Your result does not depend on the image. Has exp(-900) become 0, and a small number taken its place? "
            "Or were the weights normalised over z, so that their sum is always 1?",
        "p(y) is forgotten": "Bayes' rule (4.6) weighs p(x|y) with p(y): a rare class needs a better fit.",
        "p(y) is forgotten, and the mean of the logs":
            "Average the weights, not their logs: torch.logsumexp. And add log p(y), equation (4.6).",
        "p(y) is forgotten, and the largest weight only":
            "Average all weights: torch.logsumexp. And add log p(y), equation (4.6).",
        "p(y) multiplies the logs": "p(y) multiplies p(x|y): to its logarithm log p(y) is added.",
        "not normalised": "That is log p(x, y). Divide by p(x), the sum over y: log_softmax along the classes.",
        "not normalised, and the sum of the weights": "Divide by p(x), the sum over y: log_softmax along the classes.",
        "not normalised, and p(y) is forgotten": "That is log p(x|y). Add log p(y), and divide by the sum over y.",
        "p(y) added after normalising":
            "The sum over y is then not 1: add log p(y) first. p(x) is the sum of p(x|y) p(y), equation (4.4).",
        "p(y) is divided by": "p(x, y) is p(x|y) *times* p(y): the logs add.",
        "p(y) added without its logarithm": "log_py is log p(y) already: add it as it is.",
        "p(y) counted S times": "p(y) is a factor common to all draws: it counts once.",
        "the mean of the logs instead of the log of the mean":
            "That puts the ELBO in the place of log p(x|y), and it is not equally far below for each class. Average "
            "the weights: torch.logsumexp.",
        "the sum of the logs": "The weights are averaged, not their logs: torch.logsumexp.",
        "the largest weight only": "The largest weight is often most of the mean, but take all.",
        "normalised over z instead of y": "Axis 0 is the draws z: average over it. p(y|x) sums to one over y.",
        "normalised over z instead of y, and averaged":
            "Average the weights over z, axis 0, and normalise over y: p(y|x) sums to one over the classes.",
        "normalised over z instead of y, and summed":
            "Average the weights over z, axis 0, and normalise over y: p(y|x) sums to one over the classes.",
        "normalised over z instead of y, averaged, and p(y) added":
            "Over z nothing is normalised: that takes away how well each class fits. Average the weights, add log "
            "p(y), and normalise over y.",
        "normalised over z, averaged, and normalised over y":
            "Over z nothing is normalised: that takes away how well each class fits. Average the weights: "
            "torch.logsumexp along axis 0.",
        "normalised over z, averaged, and normalised over y without p(y)":
            "Over z nothing is normalised: that takes away how well each class fits. Average the weights: "
            "torch.logsumexp along axis 0. And add log p(y).",
        "normalised over z and y together": "Average over z first, axis 0; then normalise over y.",
        "the posteriors of single draws": "Average the weights over the draws, axis 0, before normalising.",
        "the mean of the single draws' posteriors":
            "The mean of quotients is not the quotient of means: average the weights first, then normalise.",
        "the mean of the single draws' log posteriors":
            "Average the weights first, inside the logarithm, and normalise their mean.",
        "normalised over the images": "Each image has a posterior of its own: normalise over y, the last axis.",
        "log p(x) instead": "That is the denominator of (4.6). Subtract it from log p(x, y).",
        "the probabilities instead of their logs": "The logs are asked: log_softmax.",
        "the most probable class": "All C log-probabilities are asked, not the largest one's place.",
        "the wrong sign": "log p(y|x) is never positive.",
    },
)

# --- 4.6 -------------------------------------------------------------------------------------------------------------


def in_all_classes(x, y, encode, decode, num_classes):
    """z holds the style, y the class: z of the digit's own label, decoded with every label."""
    return decode(encode(x, y)[0][:, None], torch.arange(num_classes))


def _style_inputs(size: int, g: torch.Generator) -> tuple:
    """B, C, D and K are all different, and C is below 10."""
    B, D, K, C = size + 1, size + 5, size + 2, min(size + 3, 8)
    x = (uniform(g, B, D) < 0.4).double()
    return x, torch.randint(C, (B,), generator=g), *_networks(D, K), C


def _with_code(code):
    """Another code drawn in all classes, a function of mu, log_var."""
    return lambda x, y, encode, decode, C: decode(code(*encode(x, y))[:, None], torch.arange(C))


def _with_labels(labels):
    """mu drawn with other labels, a function of y and C."""
    return lambda x, y, encode, decode, C: decode(encode(x, y)[0][:, None], labels(y, C))


def _of_images(change):
    """A mistake that is a function of the right answer, (B, C, D)."""
    return lambda *arguments: change(in_all_classes(*arguments))


def _original_kept(x, y, encode, decode, C):
    own = functional.one_hot(y, C).bool()[..., None]
    return torch.where(own, x[:, None], in_all_classes(x, y, encode, decode, C))


EXERCISE_6 = Exercise(
    prompt="Write `in_all_classes(x, y, encode, decode, num_classes)`: take the style of each written digit and draw "
           "it in all classes. Images x (B, D), labels y (B,), `encode(x, y)`, which gives the mean and the log σ² of "
           "q(z|x, y), both (B, K), and `decode(z, y)`, which makes of codes (…, K), and labels of a shape that "
           "broadcasts to (…), probabilities (…, D). Return (B, C, D): what `decode` makes of the mean of q(z|x, y) "
           "in each class 0 … C - 1, where C = num_classes.",
    inputs=_style_inputs,
    reference=in_all_classes,
    mistakes={
        "drawn with the digit's own label":
            lambda x, y, encode, decode, C: decode(encode(x, y)[0], y)[:, None].expand(-1, C, -1),
        "encoded with the label to be drawn": lambda x, y, encode, decode, C: (
            decode(encode(x[:, None], torch.arange(C))[0], torch.arange(C))),
        "no label for the encoder": lambda x, y, encode, decode, C: decode(encode(x)[0][:, None], torch.arange(C)),
        "no label for the decoder":
            lambda x, y, encode, decode, C: decode(encode(x, y)[0])[:, None].expand(-1, C, -1),
        "no label at all": lambda x, y, encode, decode, C: decode(encode(x)[0])[:, None].expand(-1, C, -1),
        "no label for the decoder, and one image instead of C":
            lambda x, y, encode, decode, C: decode(encode(x, y)[0]),
        "no label at all, and one image instead of C": lambda x, y, encode, decode, C: decode(encode(x)[0]),
        "no label for the encoder, and only the digit's own for the decoder":
            lambda x, y, encode, decode, C: decode(encode(x)[0], y),
        "no label for the encoder, and only the digit's own for the decoder, C times":
            lambda x, y, encode, decode, C: decode(encode(x)[0], y)[:, None].expand(-1, C, -1),
        "encoded with every label, and drawn with the digit's own": lambda x, y, encode, decode, C: (
            decode(encode(x[:, None], torch.arange(C))[0], y[:, None])),
        "always ten classes": _with_labels(lambda y, C: torch.arange(10)),
        "drawn with the batch's labels instead of all classes": _with_labels(lambda y, C: y),
        "classes counted from 1": _with_labels(lambda y, C: torch.arange(1, C + 1)),
        "one class too many": _with_labels(lambda y, C: torch.arange(C + 1)),
        "the last class is missing": _with_labels(lambda y, C: torch.arange(C - 1)),
        "the digit itself in its own class": _original_kept,
        "only the reconstruction": lambda x, y, encode, decode, C: decode(encode(x, y)[0], y),
        "z = 0 for every digit": _with_code(lambda mu, log_var: 0 * mu),
        "σ is added to the mean": _with_code(lambda mu, log_var: mu + (log_var / 2).exp()),
        "log σ² taken for the mean": _with_code(lambda mu, log_var: log_var),
        "the first two axes exchanged": _of_images(lambda images: images.transpose(0, 1)),
        "the classes stand last": _of_images(lambda images: images.transpose(1, 2)),
        "images and classes in one axis": _of_images(lambda images: images.flatten(0, 1)),
        "the mean over the images": _of_images(lambda images: images.mean(0)),
        "the mean over the classes": _of_images(lambda images: images.mean(1)),
        "black and white instead of probabilities": _of_images(lambda images: (images > 0.5).to(images)),
        "the sigmoid taken twice": _of_images(torch.sigmoid),
        "black and white exchanged": _of_images(lambda images: 1 - images),
    },
    why={
        "drawn with the digit's own label": "That is the reconstruction, C times. `decode` needs the class to draw.",
        "encoded with the label to be drawn":
            "The encoder is told what the digit is: its own label. With another one z must make up for the lie, and is "
            "not the same style for all classes.",
        "no label for the encoder": "The style is the mean of q(z|x, y): `encode` needs the digit's own label.",
        "no label for the decoder": "`decode` draws the class that it is told: give it each of 0 … C - 1.",
        "no label at all": "`encode` needs the digit's own label, `decode` the class to draw.",
        "no label for the decoder, and one image instead of C":
            "`decode` draws the class that it is told: give it each of 0 … C - 1.",
        "no label at all, and one image instead of C":
            "`encode` needs the digit's own label, `decode` each class to draw, 0 … C - 1.",
        "no label for the encoder, and only the digit's own for the decoder":
            "`encode` needs the digit's own label, `decode` each class to draw, 0 … C - 1.",
        "no label for the encoder, and only the digit's own for the decoder, C times":
            "`encode` needs the digit's own label, `decode` each class to draw, 0 … C - 1.",
        "encoded with every label, and drawn with the digit's own":
            "The other way round: `encode` is told what the digit is, `decode` what to draw.",
        "always ten classes": "MNIST has ten classes, other images have fewer or more: torch.arange(num_classes).",
        "drawn with the batch's labels instead of all classes":
            "All classes are torch.arange(num_classes). y is the labels of the images in this batch.",
        "classes counted from 1": "Classes are counted from 0: torch.arange(num_classes).",
        "one class too many": "Classes are counted from 0: 0 … C - 1.",
        "the last class is missing": "`range` and `arange` leave their end out: torch.arange(num_classes).",
        "the digit itself in its own class":
            "What `decode` makes of it is asked in its own class, too: the reconstruction, not x.",
        "only the reconstruction": "That is one class of C, the digit's own.",
        "z = 0 for every digit": "z is the style: take it from `encode`.",
        "σ is added to the mean": "The mean of q(z|x, y) is mu alone.",
        "log σ² taken for the mean": "`encode` returns two tensors, the mean first.",
        "the first two axes exchanged": "The images are axis 0, the classes axis 1: mu[:, None] makes room for them.",
        "the classes stand last": "The pixels are the last axis, the classes stand before them: axis 1.",
        "images and classes in one axis": "Keep them apart: (B, C, D).",
        "the mean over the images": "Each digit is drawn by itself: (B, C, D).",
        "the mean over the classes": "Each class is drawn by itself: (B, C, D).",
        "black and white instead of probabilities": "Return the probabilities that `decode` gives.",
        "the sigmoid taken twice": "`decode` returns probabilities: no further sigmoid is needed.",
        "black and white exchanged": "`decode` gives the probabilities that the pixels are white.",
    },
)

EXERCISES = {
    "4.1": EXERCISE_1, "4.2": EXERCISE_2, "4.3": EXERCISE_3, "4.4": EXERCISE_4, "4.5": EXERCISE_5, "4.6": EXERCISE_6,
}
