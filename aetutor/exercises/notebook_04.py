"""The exercises of notebook 04."""

from functools import cache
from math import log

import torch
from torch import Tensor
from torch.nn import functional

from aetutor.exercises import notebook_03, slips
from aetutor.exercises.build import (
    ENCODE_AND_DECODE,
    Plain,
    at_rest,
    bound,
    bound_mistakes,
    decoded,
    held_out,
    train_plain,
)
from aetutor.exercises.engine import BuildExercise, Exercise, Mistake
from aetutor.exercises.notebook_03 import elbo_from_noise, kl_of_gaussians
from aetutor.exercises.random_inputs import levels, normal, uniform


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


def _with_label(mistake: Mistake) -> Mistake:
    """A mistake of exercise 3.3, made with the label given to both halves, and in its formulas."""
    why = mistake.why
    for old, new in (("(3.6)", "(4.2)"), ("q(z|x)", "q(z|x, y)"), ("p(x|z)", "p(x|z, y)")):
        why = why.replace(old, new)

    def answer(x, y, eps, encode, decode):
        return mistake.answer(x, *encode(x, y), eps, lambda z: decode(z, y))

    return Mistake(mistake.name, answer, why)


def _kl_by_samples(x, y, eps, encode, decode):
    """The first line of (4.2) over the S samples: E[log p(x|z, y) + log p(z) - log q(z|x, y)]."""
    mu, log_var = encode(x, y)
    z = mu + (log_var / 2).exp() * eps
    log_px_z = (x * decode(z, y).log() + (1 - x) * (1 - decode(z, y)).log()).sum(-1)
    return (log_px_z + (eps**2 + log_var - z**2).sum(-1) / 2).mean(0)


EXERCISE_1 = Exercise(
    prompt="Write `conditional_elbo(x, y, eps, encode, decode)`: black and white images x (B, D), labels y (B,), "
    "standard normal noise eps (S, B, K), `encode(x, y)`, which gives the means and the log σ² of q(z|x, y), "
    "both (B, K), and `decode(z, y)`, which makes of codes (S, B, K) and labels (B,) the probabilities "
    "(S, B, D) that the pixels are white. Return (4.2) for each image, (B,): its expectation by the mean over "
    "the S codes (3.8), its KL by (3.7).",
    inputs=_conditional_inputs,
    reference=conditional_elbo,
    mistakes=[
        Mistake(
            "the label is given to the encoder only",
            lambda x, y, eps, encode, decode: elbo_from_noise(x, *encode(x, y), eps, decode),
            "The bound's first term is E[log p(x|z, y)]: the decoder must know the label, or z has to carry it.",
        ),
        Mistake(
            "the label is given to the decoder only",
            lambda x, y, eps, encode, decode: elbo_from_noise(x, *encode(x), eps, lambda z: decode(z, y)),
            "With q(z|x) that is a bound on log p(x|y), too, but not (4.2), whose q(z|x, y) is told the label.",
        ),
        Mistake(
            "no label at all",
            lambda x, y, eps, encode, decode: elbo_from_noise(x, *encode(x), eps, decode),
            "That is the ELBO (3.6) of an unconditional model. Give y to `encode` and to `decode`.",
        ),
        Mistake(
            "the KL by samples, too",
            _kl_by_samples,
            "Unbiased as well, but noisier: use the closed form (3.7), as the task says.",
        ),
        *map(_with_label, notebook_03.EXERCISE_4.mistakes),
    ],
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
    mistakes=[
        Mistake(
            "as wide as this batch's highest label",
            _beside(lambda y, C: functional.one_hot(y)),
            "F.one_hot without num_classes counts only up to the highest label in the batch. The network's weights "
            "have C columns for the label, whatever the batch.",
        ),
        Mistake(
            "always ten columns",
            _beside(lambda y, C: functional.one_hot(y, 10)),
            "MNIST has ten classes, other images have fewer or more: num_classes columns.",
        ),
        Mistake(
            "the label as one number",
            _beside(lambda y, C: y[:, None]),
            "One number puts the classes on a line, with 4 between 3 and 5: one weight could only push along it. "
            "A one-hot vector gives each class a weight of its own.",
        ),
        Mistake("the label in front of the features", _one_hot_first, "[features; e_y]: the features come first."),
        Mistake(
            "classes counted from 1",
            _beside(lambda y, C: torch.eye(C)[y - 1]),
            "Labels are counted from 0: class 0 has the first column.",
        ),
        Mistake(
            "one column too many",
            _beside(lambda y, C: functional.one_hot(y, C + 1)),
            "The labels are 0 … C - 1: that makes C columns.",
        ),
        Mistake(
            "the one-hot vectors alone",
            lambda features, y, num_classes: functional.one_hot(y, num_classes),
            "Put them beside the features: torch.cat along axis 1.",
        ),
    ],
)

# --- 4.3 -------------------------------------------------------------------------------------------------------------


def in_all_classes(x, y, encode, decode, num_classes):
    """z holds the style, y the class: z of the digit's own label, decoded with every label."""
    return decode(encode(x, y)[0][:, None], torch.arange(num_classes))


def _style_inputs(size: int, g: torch.Generator) -> tuple:
    """B, C, D and K are all different, and C is below 10."""
    B, D, K, C = size + 1, size + 5, size + 2, min(size + 3, 8)
    x = (uniform(g, B, D) < 0.4).double()
    return x, torch.randint(C, (B,), generator=g), *_networks(D, K), C


def _with_labels(labels):
    """mu drawn with other labels, a function of y and C."""
    return lambda x, y, encode, decode, C: decode(encode(x, y)[0][:, None], labels(y, C))


def _of_images(change):
    """A mistake that is a function of the right answer, (B, C, D)."""
    return lambda *arguments: change(in_all_classes(*arguments))


EXERCISE_3 = Exercise(
    prompt="Write `in_all_classes(x, y, encode, decode, num_classes)`: take the style of each written digit and draw "
    "it in all classes. Images x (B, D), labels y (B,), `encode(x, y)`, which gives the mean and the log σ² of "
    "q(z|x, y), both (B, K), and `decode(z, y)`, which makes of codes (…, K), and labels of a shape that "
    "broadcasts to (…), probabilities (…, D). Return (B, C, D): what `decode` makes of the mean of q(z|x, y) "
    "in each class 0 … C - 1, where C = num_classes.",
    inputs=_style_inputs,
    reference=in_all_classes,
    mistakes=[
        Mistake(
            "drawn with the digit's own label",
            lambda x, y, encode, decode, C: decode(encode(x, y)[0], y)[:, None].expand(-1, C, -1),
            "That is the reconstruction, C times. `decode` needs the class to draw.",
        ),
        Mistake(
            "encoded with the label to be drawn",
            lambda x, y, encode, decode, C: decode(encode(x[:, None], torch.arange(C))[0], torch.arange(C)),
            "The encoder is told what the digit is: its own label. With another one z must make up for the lie, and is "
            "not the same style for all classes.",
        ),
        Mistake(
            "no label for the encoder",
            lambda x, y, encode, decode, C: decode(encode(x)[0][:, None], torch.arange(C)),
            "The style is the mean of q(z|x, y): `encode` needs the digit's own label.",
        ),
        Mistake(
            "no label for the decoder",
            lambda x, y, encode, decode, C: decode(encode(x, y)[0])[:, None].expand(-1, C, -1),
            "`decode` draws the class that it is told: give it each of 0 … C - 1.",
        ),
        Mistake(
            "always ten classes",
            _with_labels(lambda y, C: torch.arange(10)),
            "MNIST has ten classes, other images have fewer or more: torch.arange(num_classes).",
        ),
        Mistake(
            "drawn with the batch's labels instead of all classes",
            _with_labels(lambda y, C: y),
            "All classes are torch.arange(num_classes). y is the labels of the images in this batch.",
        ),
        Mistake(
            "classes counted from 1",
            _with_labels(lambda y, C: torch.arange(1, C + 1)),
            "Classes are counted from 0: torch.arange(num_classes).",
        ),
        Mistake(
            "only the reconstruction",
            lambda x, y, encode, decode, C: decode(encode(x, y)[0], y),
            "That is one class of C, the digit's own.",
        ),
        Mistake(
            "the first two axes exchanged",
            _of_images(lambda images: images.transpose(0, 1)),
            "The images are axis 0, the classes axis 1: mu[:, None] makes room for them.",
        ),
        Mistake(
            "black and white instead of probabilities",
            _of_images(lambda images: (images > 0.5).to(images)),
            "Return the probabilities that `decode` gives.",
        ),
    ],
)

# --- 4.4 -------------------------------------------------------------------------------------------------------------


LEAST, AGREEMENT = -128.0, 0.9


@cache
def _judge() -> torch.nn.Module:
    """A classifier of binarised digits, which names 96 % of the test images rightly: two seconds."""
    from aetutor.data import binarize, load
    from aetutor.networks import mlp
    from aetutor.training import Trainer

    def loss(network, x, y):
        return torch.nn.functional.cross_entropy(network(x.flatten(1)), y, reduction="none")

    mnist = load("mnist")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trainer = Trainer(mlp(784, 256, 10), loss, device="cpu")
        trainer.fit(mnist.train_x, mnist.train_y, epochs=1, lr=5e-3, prepare=binarize, progress=False)
    return trainer.model.requires_grad_(False)


def measured(answer) -> dict[str, float]:
    """What a CVAE reaches on 5,000 test images (see `build.bound`), and in what share of 1,000 new digits a judge sees
    the label that was asked for."""
    facts = bound(answer, *held_out())
    z = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    y = torch.arange(10).repeat(100)
    with at_rest(answer):
        pixels = decoded(answer, z.double(), y).sigmoid()
    named = _judge()(pixels.float()).argmax(1)
    return facts | {"agreement": (named == y).float().mean().item()}


@cache
def _trained_cvae():
    from aetutor.models import CVAE

    return train_plain(CVAE)


class _DeafDecoder(Plain):
    """Its decoder draws a 3, whatever the label."""

    def decode(self, z, y):
        return super().decode(z, 0 * y + 3)


EXERCISE_4 = BuildExercise(
    prompt="Turn your VAE of exercise 3.5 into a CVAE: `encode(x, y)` gives the mean and the log σ² of q(z|x, y), both "
    "(B, 2), `decode(z, y)` the logits of the pixels; y are the labels (B,), integers. Train it on the 60,000 "
    "binarised training images; one or two minutes are enough. On 5,000 test images its ELBO, in nats, must be -128 or "
    "more, which no VAE of ours reached, and of 1,000 new digits a judge must see 90 % as what was asked for.",
    reference=Plain(_trained_cvae),
    measure=measured,
    report="ELBO {elbo:.1f} nats on 5,000 test images, of which the KL is {kl:.1f}; -128 are asked. The judge sees "
    "{agreement:.0%} of the new digits as what was asked for; 90% are asked.",
    passes=lambda facts: facts["elbo"] >= LEAST and facts["agreement"] >= AGREEMENT,
    accepts=ENCODE_AND_DECODE.format(y=", y", labels=" and labels (B,)"),
    mistakes=[
        *bound_mistakes(_trained_cvae),
        Mistake(
            "the decoder does not hear the label",
            _DeafDecoder(_trained_cvae),
            "Your new digits do not follow the label that they are asked for: does it enter the decoder, beside z?",
            sign=lambda facts: facts["agreement"] < 0.3,
        ),
    ],
)

# --- 4.5 -------------------------------------------------------------------------------------------------------------


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


EXERCISE_5 = Exercise(
    prompt="Write `information_bound(log_probs, y)`: a probe's log p(y'|z) at N test codes with each of C labels y', "
    "(N, C), and the codes' own labels y, (N,). Return the lower bound (4.5) on I(z; y) in nats, one number. "
    "H(y) is the entropy of the labels' frequencies among these N; a class may be missing.",
    inputs=_probe_inputs,
    reference=information_bound,
    mistakes=[
        Mistake(
            "0 · log 0 gives NaN",
            _with_entropy(_entropy_with_nan),
            "A class that does not occur adds 0 to H(y), the limit; a computer says 0 · (-∞) = NaN: use torch.xlogy.",
        ),
        Mistake(
            "log C instead of H(y)",
            _with_entropy(lambda log_probs, y: log(log_probs.shape[1])),
            "H(y) is log C only if all classes are equally frequent, and less otherwise.",
        ),
        Mistake(
            "minus the cross-entropy, without H(y)",
            _with_entropy(lambda log_probs, y: 0),
            "What is learned is what was unknown before, H(y), less what is left, the cross-entropy.",
        ),
        Mistake(
            "the cross-entropy alone",
            lambda log_probs, y: -_own(log_probs, y).mean(),
            "That is what is left unknown. Subtract it from what was unknown before, H(y).",
        ),
        slips.wrong_sign(information_bound, "A better probe has a lower cross-entropy, and its bound is higher."),
        slips.bits(information_bound, "Take natural logarithms, as log_probs are."),
        Mistake(
            "the entropy of the predictions instead of the cross-entropy",
            _with_fit(lambda log_probs, y: -_entropy(log_probs.exp()).mean()),
            "That is how sure the probe is of itself, right or wrong. Take log p(y|z) of the true label.",
        ),
        Mistake(
            "each code with the labels of all codes",
            _with_fit(lambda log_probs, y: log_probs[:, y].mean()),
            "`log_probs[:, y]` is (N, N), each code with each label. One entry a row: log_probs[torch.arange(N), y].",
        ),
        Mistake(
            "the sum over the codes instead of the mean",
            _with_fit(lambda log_probs, y: _own(log_probs, y).sum()),
            "The cross-entropy is a mean over the codes.",
        ),
        Mistake(
            "the class that the probe prefers instead of the label",
            _with_fit(lambda log_probs, y: log_probs.amax(1).mean()),
            "Where the probe is wrong, that hides it. Take log p(y|z) of the true label.",
        ),
        Mistake(
            "the share of the codes read rightly",
            lambda log_probs, y: (log_probs.argmax(1) == y).double().mean(),
            "The accuracy is no number of nats. The bound is H(y) - cross-entropy.",
        ),
        Mistake(
            "cut off at 0",
            lambda log_probs, y: information_bound(log_probs, y).clamp(min=0),
            "max(0, ·) is a bound, too, but (4.5) itself is asked: a negative one tells of a bad probe.",
        ),
    ],
)

# --- 4.6 -------------------------------------------------------------------------------------------------------------


def class_posterior(log_w, log_py):
    """Equation (4.6); the 1/S of the mean weight would cancel."""
    return (log_w.logsumexp(0) + log_py).log_softmax(1)


def _class_inputs(size: int, g: torch.Generator) -> tuple:
    """Weights so low that exp gives 0 in float64, too; S, B and C are all different, and classes 5 nats apart."""
    S, B, C = size + 2, size + 1, size + 3
    rank = uniform(g, B, C).argsort(1)
    log_w = levels(g, B)[:, None] - 5 * rank + 1.5 * normal(g, S, B, C)
    return log_w, (1.5 * normal(g, C)).log_softmax(0)


def _posterior(log_px_y):
    """(4.6) with another log p(x|y), a function of the log weights."""
    return lambda log_w, log_py: (log_px_y(log_w) + log_py).log_softmax(1)


def _of_joint(combine):
    """A mistake that is a function of log p(x, y), (B, C)."""
    return lambda log_w, log_py: combine(log_w.logsumexp(0) - log(len(log_w)) + log_py)


def _all_alike(log_w, log_py, result) -> bool:
    return bool(result.isfinite().all()) and bool((result - result[0]).abs().max() < 1e-3) and len(result) > 1


EXERCISE_6 = Exercise(
    prompt="Write `class_posterior(log_w, log_py)`: the logs of importance weights, log p(x|z, y) + log p(z) - "
    "log q(z|x, y), of S draws z for each of B images with each of C labels, (S, B, C), and log p(y), (C,). The "
    "mean weight estimates p(x|y). Return log p(y|x) by (4.6), (B, C). The log weights are all below "
    "-800, and those of two images may differ by 1000.",
    inputs=_class_inputs,
    reference=class_posterior,
    mistakes=[
        Mistake(
            "exponentiated first",
            lambda log_w, log_py: log_w.exp().mean(0).log() + log_py,
            "exp(-900) is too small for a float and becomes 0, and log 0 is -∞. Use torch.logsumexp and log_softmax.",
            sign=lambda log_w, log_py, result: bool(result.isinf().all()),
        ),
        slips.log_of_a_log(_posterior(lambda log_w: log_w.log().mean(0))),
        slips.one_shift(class_posterior, _posterior(lambda log_w: (log_w - log_w.max()).exp().mean(0).log())),
        Mistake(
            "the same answer for each image",
            lambda log_w, log_py: log_py.expand(log_w.shape[1:]),
            "Your result does not depend on the image. Has exp(-900) become 0, and a small number taken its place? "
            "Or were the weights normalised over z, so that their sum is always 1?",
            sign=_all_alike,
        ),
        Mistake(
            "p(y) is forgotten",
            lambda log_w, log_py: log_w.logsumexp(0).log_softmax(1),
            "Bayes' rule (4.6) weighs p(x|y) with p(y): a rare class needs a better fit.",
        ),
        Mistake(
            "not normalised",
            _of_joint(lambda joint: joint),
            "That is log p(x, y). Divide by p(x), the sum over y: log_softmax along the classes.",
        ),
        Mistake(
            "the mean of the logs instead of the log of the mean",
            _posterior(lambda log_w: log_w.mean(0)),
            "That puts the ELBO in the place of log p(x|y), and it is not equally far below for each class. Average "
            "the weights: torch.logsumexp.",
        ),
        Mistake(
            "normalised over z instead of y",
            lambda log_w, log_py: (log_w + log_py).log_softmax(0),
            "Axis 0 is the draws z: average over it. p(y|x) sums to one over y.",
        ),
        Mistake(
            "the posteriors of single draws",
            lambda log_w, log_py: (log_w + log_py).log_softmax(2),
            "Average the weights over the draws, axis 0, before normalising.",
        ),
        Mistake(
            "the mean of the single draws' posteriors",
            lambda log_w, log_py: (log_w + log_py).log_softmax(2).logsumexp(0) - log(len(log_w)),
            "The mean of quotients is not the quotient of means: average the weights first, then normalise.",
        ),
        Mistake(
            "log p(x) instead",
            _of_joint(lambda joint: joint.logsumexp(1)),
            "That is the denominator of (4.6). Subtract it from log p(x, y).",
        ),
        Mistake(
            "the probabilities instead of their logs",
            _of_joint(lambda joint: joint.softmax(1)),
            "The logs are asked: log_softmax.",
        ),
    ],
)

# --- 4.7 -------------------------------------------------------------------------------------------------------------


def nats_bought(mu, log_var, y, class_mean, class_log_var):
    """The KL (3.7) to N(0, I) less the KL of exercise 3.3 to the prior of each image's class."""
    to_normal = kl_of_gaussians(mu, log_var, 0 * mu, 0 * mu)
    return to_normal - kl_of_gaussians(mu, log_var, class_mean[y], class_log_var[y])


def _priors_inputs(size: int, g: torch.Generator) -> tuple:
    """B, K and C are all different; with few digits, so that a counterexample is short."""
    B, K, C = size + 2, size + 1, min(size + 3, 8)
    numbers = (normal(g, B, K), 0.5 * normal(g, B, K) - 1, normal(g, C, K), 0.5 * normal(g, C, K))
    mu, log_var, class_mean, class_log_var = (t.round(decimals=1) for t in numbers)
    return mu, log_var, torch.randint(C, (B,), generator=g), class_mean, class_log_var


def _bought(of_kls):
    """A function of the KL to N(0, I) and of that to the class's prior."""

    def answer(mu, log_var, y, class_mean, class_log_var):
        to_class = kl_of_gaussians(mu, log_var, class_mean[y], class_log_var[y])
        return of_kls(kl_of_gaussians(mu, log_var, 0 * mu, 0 * mu), to_class)

    return answer


EXERCISE_7 = Exercise(
    prompt="Write `nats_bought(mu, log_var, y, class_mean, class_log_var)`: mean and log σ² of q(z|x, y), both (B, K), "
    "the labels (B,), and the means and log σ² of a Gaussian prior for each class, both (C, K). By how many nats does "
    "the ELBO of each image rise when the prior N(0, I) gives way to that of its class? Return (B,).",
    inputs=_priors_inputs,
    reference=nats_bought,
    mistakes=[
        Mistake(
            "the new KL instead of the gain",
            _bought(lambda to_normal, to_class: to_class),
            "That is what the code costs under the new prior. The ELBO rises by the old KL less the new one.",
        ),
        slips.wrong_sign(nats_bought, "The ELBO *rises* where the new KL is the smaller one."),
        Mistake(
            "the sum of the two KLs",
            _bought(lambda to_normal, to_class: to_normal + to_class),
            "The gain is a difference: the KL to N(0, I) less the KL to the class's prior.",
        ),
        Mistake(
            "the prior of the wrong row",
            lambda mu, log_var, y, class_mean, class_log_var: nats_bought(
                mu, log_var, y * 0, class_mean, class_log_var
            ),
            "Each image has the prior of its own class: class_mean[y].",
        ),
        Mistake(
            "the variances of the classes are forgotten",
            lambda mu, log_var, y, class_mean, class_log_var: nats_bought(
                mu, log_var, y, class_mean, 0 * class_log_var
            ),
            "The new prior has a variance of its own, class_log_var[y].",
        ),
        Mistake(
            "log σ² taken for log σ",
            lambda mu, log_var, y, class_mean, class_log_var: nats_bought(
                mu, 2 * log_var, y, class_mean, 2 * class_log_var
            ),
            "σ is exp(log_var / 2), and torch's Normal takes σ.",
        ),
        Mistake(
            "the KL the other way round",
            lambda mu, log_var, y, class_mean, class_log_var: (
                kl_of_gaussians(0 * mu, 0 * mu, mu, log_var)
                - kl_of_gaussians(class_mean[y], class_log_var[y], mu, log_var)
            ),
            "The expectation is over q: KL(q ‖ prior).",
        ),
        Mistake(
            "the mean over the latent dimensions",
            lambda *a: nats_bought(*a) / a[0].shape[1],
            "The KL of independent dimensions is the sum of theirs.",
        ),
        *slips.one_number(nats_bought),
    ],
)

EXERCISES = {
    "4.1": EXERCISE_1,
    "4.2": EXERCISE_2,
    "4.3": EXERCISE_3,
    "4.4": EXERCISE_4,
    "4.5": EXERCISE_5,
    "4.6": EXERCISE_6,
    "4.7": EXERCISE_7,
}
