"""The exercises of notebook 02."""

import torch

from aetutor.exercises.engine import Exercise
from aetutor.exercises.random_inputs import normal, number, uniform

# --- 2.1 -------------------------------------------------------------------------------------------------------------


def mask_with(x, u, level):
    """Masking: equation (2.1) gives its mean and variance."""
    return x * (u >= level)


def _masking_inputs(size: int, g: torch.Generator) -> tuple:
    """Grey values in [0.2, 0.9]; the first pixel is lost, the second kept, and their numbers and the level differ."""
    u, level = uniform(g, size, 2 * size + 2), number(g, 0.2, 0.4)
    u[0, :2] = torch.tensor([0.1, 0.9], dtype=torch.float64)
    return 0.2 + 0.7 * uniform(g, size, 2 * size + 2), u, level


def _looks_like_dropout(x, u, level, result):
    """Each pixel is 0 or x / (1 - level), whatever u says."""
    return ((result == 0) | torch.isclose(result, x.double() / (1 - level), rtol=1e-4)).all()


EXERCISE_1 = Exercise(
    prompt="Write `mask_with(x, u, level)`: a pixel of x is set to 0 where its number in u is below level, and stays "
           "as it is elsewhere. x and u have the same shape.",
    inputs=_masking_inputs,
    reference=mask_with,
    signs={"rescaled as dropout does": _looks_like_dropout},
    mistakes={
        "rescaled as dropout does": lambda x, u, level: mask_with(x, u, level) / (1 - level),
        "the level taken for the probability to keep": lambda x, u, level: x * (u < level),
        "the level taken for the probability to keep, with 1 - level": lambda x, u, level: x * (u >= 1 - level),
        "rescaled by the level": lambda x, u, level: mask_with(x, u, level) / level,
        "the level taken for the probability to keep, and rescaled": lambda x, u, level: x * (u < level) / level,
        "the mean instead of a draw": lambda x, u, level: (1 - level) * x,
        "lost pixels become white": lambda x, u, level: torch.where(u < level, torch.ones_like(x), x),
        "lost pixels become noise": lambda x, u, level: torch.where(u < level, u, x),
        "the mask itself": lambda x, u, level: (u >= level).to(x.dtype),
        "one mask for all images": lambda x, u, level: x * (u[:1] >= level),
        "dark pixels are lost": lambda x, u, level: x * (x >= level),
    },
    why={
        "rescaled as dropout does":
            "Dropout divides the survivors by 1 - level to keep the mean. Masking does not: its mean is (1 - level) x.",
        "the level taken for the probability to keep":
            "The level is the probability that a pixel is *lost*: it is kept where u is not below it.",
        "the level taken for the probability to keep, with 1 - level":
            "A pixel is lost where u < level. You lose it where u < 1 - level.",
        "rescaled by the level": "The survivors stay as they are.",
        "the level taken for the probability to keep, and rescaled":
            "The level is the probability that a pixel is *lost*, and the survivors stay as they are.",
        "the mean instead of a draw": "That is E[x_tilde|x], equation (2.1). Each pixel is either lost or as it was.",
        "lost pixels become white": "Lost pixels become 0, which is black.",
        "lost pixels become noise": "Lost pixels become 0.",
        "the mask itself": "Multiply the mask with the image.",
        "one mask for all images": "Every image has random numbers of its own.",
        "dark pixels are lost": "Which pixels are lost depends on u, not on the image.",
    },
)

# --- 2.2 -------------------------------------------------------------------------------------------------------------


def salt_and_pepper_variance(x, level):
    """E[x_tilde²|x] - E[x_tilde|x]²."""
    mean, mean_square = (1 - level) * x + level / 2, (1 - level) * x**2 + level / 2
    return mean_square - mean**2


EXERCISE_2 = Exercise(
    prompt="Write `salt_and_pepper_variance(x, level)`: the variance of each pixel of x_tilde given x, for grey values "
           "x of any shape, under salt and pepper.",
    inputs=lambda size, g: (0.05 + 0.9 * uniform(g, size, size + 1), number(g, 0.2, 0.8)),
    reference=salt_and_pepper_variance,
    mistakes={
        "the variance of masking": lambda x, level: level * (1 - level) * x**2,
        "E[x_tilde²] without the square of the mean": lambda x, level: (1 - level) * x**2 + level / 2,
        "the mean": lambda x, level: (1 - level) * x + level / 2,
        "the standard deviation": lambda x, level: salt_and_pepper_variance(x, level).sqrt(),
        "all salt": lambda x, level: (1 - level) * x**2 + level - ((1 - level) * x + level) ** 2,
        "the square of ½ instead of the mean of the squares":
            lambda x, level: (1 - level) * x**2 + level / 4 - ((1 - level) * x + level / 2) ** 2,
        "(1 - level)² in the mean of the squares":
            lambda x, level: ((1 - level) * x) ** 2 + level / 2 - ((1 - level) * x + level / 2) ** 2,
        "salt is forgotten in the mean": lambda x, level: (1 - level) * x**2 + level / 2 - ((1 - level) * x) ** 2,
        "½ for the weight of salt": lambda x, level: (1 - level) * x**2 + 0.5 - ((1 - level) * x + 0.5) ** 2,
        "the mean is not changed by the noise": lambda x, level: (1 - level) * x**2 + level / 2 - x**2,
        "the wrong sign": lambda x, level: -salt_and_pepper_variance(x, level),
    },
    why={
        "the variance of masking": "With salt and pepper half of the replaced pixels become 1, not 0.",
        "E[x_tilde²] without the square of the mean": "Var[X] = E[X²] - E[X]².",
        "the mean": "That is E[x_tilde|x]. Var[X] = E[X²] - E[X]².",
        "the standard deviation": "The variance is asked: no square root.",
        "all salt": "Only half of the replaced pixels become white; the probability of white is level / 2.",
        "the square of ½ instead of the mean of the squares":
            "A replaced pixel is 0 or 1, never ½: the mean of its square is (0² + 1²) / 2 = ½.",
        "(1 - level)² in the mean of the squares":
            "The pixel stays x with probability 1 - level: that probability is not squared, only x is.",
        "salt is forgotten in the mean": "The mean has level / 2 from the white pixels.",
        "½ for the weight of salt": "A pixel becomes white with probability level / 2, not ½.",
        "the mean is not changed by the noise": "E[x_tilde|x] = (1 - level) x + level / 2, which is not x.",
        "the wrong sign": "A variance is never negative: E[X²] - E[X]².",
    },
)

# --- 2.3 -------------------------------------------------------------------------------------------------------------


def denoising_objective(x, x_tilde, r):
    """The third line of (2.3), for each image."""
    return (r(x_tilde) - x).square().sum(-1).mean(0)


def restore(images):
    """A denoiser to try the answers with: every output depends on two pixels, and not linearly."""
    return torch.sigmoid(3 * images.roll(1, -1) - images)


def _objective_inputs(size: int, g: torch.Generator) -> tuple:
    """S, B and D are all different, so that a mean over the wrong axis shows."""
    x = uniform(g, size + 1, size + 3)
    return x, x + 0.7 * normal(g, size + 2, *x.shape), restore


EXERCISE_3 = Exercise(
    prompt="Write `denoising_objective(x, x_tilde, r)`: x (B, D), x_tilde (S, B, D) holds S corruptions of each image, "
           "r restores images (…, D). Return the third line of (2.3) for each image, (B,), with the squared error, "
           "summed over the pixels.",
    inputs=_objective_inputs,
    reference=denoising_objective,
    mistakes={
        "the target is corrupted, too": lambda x, x_tilde, r: (r(x_tilde) - x_tilde).square().sum(-1).mean(0),
        "the clean image is restored": lambda x, x_tilde, r: (r(x) - x).square().sum(-1),
        "the target is corrupted, too, and the mean is taken over the pixels":
            lambda x, x_tilde, r: (r(x_tilde) - x_tilde).square().mean(-1).mean(0),
        "the outputs are averaged instead of the losses, and the mean is taken over the pixels":
            lambda x, x_tilde, r: (r(x_tilde).mean(0) - x).square().mean(-1),
        "the sum over everything": lambda x, x_tilde, r: (r(x_tilde) - x).square().sum(),
        "the outputs are averaged instead of the losses":
            lambda x, x_tilde, r: (r(x_tilde).mean(0) - x).square().sum(-1),
        "the inputs are averaged instead of the losses":
            lambda x, x_tilde, r: (r(x_tilde.mean(0)) - x).square().sum(-1),
        "the mean over the pixels instead of the sum": lambda x, x_tilde, r: (r(x_tilde) - x).square().mean(-1).mean(0),
        "the sum over the samples instead of the mean": lambda x, x_tilde, r: (r(x_tilde) - x).square().sum(-1).sum(0),
        "the sum over the images instead of the mean over the samples":
            lambda x, x_tilde, r: (r(x_tilde) - x).square().sum(-1).sum(1),
        "the mean over the images instead of the samples":
            lambda x, x_tilde, r: (r(x_tilde) - x).square().sum(-1).mean(1),
        "the sum over the images instead of the pixels": lambda x, x_tilde, r: (r(x_tilde) - x).square().sum(1).mean(0),
        "one number for the batch": lambda x, x_tilde, r: denoising_objective(x, x_tilde, r).mean(),
        "the mean over everything": lambda x, x_tilde, r: (r(x_tilde) - x).square().mean(),
        "only the first sample": lambda x, x_tilde, r: (r(x_tilde[0]) - x).square().sum(-1),
        "the losses of single samples": lambda x, x_tilde, r: (r(x_tilde) - x).square().sum(-1),
        "nothing is restored": lambda x, x_tilde, r: (x_tilde - x).square().sum(-1).mean(0),
        "the square root of the squared error": lambda x, x_tilde, r: (r(x_tilde) - x).norm(dim=-1).mean(0),
        "half of it": lambda x, x_tilde, r: denoising_objective(x, x_tilde, r) / 2,
    },
    why={
        "the target is corrupted, too":
            "The target is the clean x. Against x_tilde the network would learn to copy, noise and all.",
        "the target is corrupted, too, and the mean is taken over the pixels":
            "The target is the clean x, and L is summed over the D pixels.",
        "the outputs are averaged instead of the losses, and the mean is taken over the pixels":
            "Take the loss of each output first, summed over the pixels, and then the mean of the losses.",
        "the sum over everything": "Sum over the pixels, mean over the samples, and leave the images apart.",
        "the clean image is restored": "The input is the corrupted image: r(x_tilde).",
        "the outputs are averaged instead of the losses":
            "The expectation is over losses. Averaging the outputs first hides how much they scatter: the squared "
            "error of a mean is never larger than the mean of the squared errors.",
        "the inputs are averaged instead of the losses":
            "The mean of S noisy copies is a much cleaner image than any of them, and not what the network will meet.",
        "the mean over the pixels instead of the sum": "Sum over the D pixels; the mean is only over samples.",
        "the sum over the samples instead of the mean": "(2.3) has 1/S: the estimate must not grow with S.",
        "the sum over the images instead of the mean over the samples":
            "After the sum over the pixels the losses are (S, B): take the mean over axis 0.",
        "the mean over the images instead of the samples":
            "After the sum over the pixels the losses are (S, B): the samples are axis 0.",
        "the sum over the images instead of the pixels":
            "r(x_tilde) - x is (S, B, D): the pixels are the last axis, -1.",
        "one number for the batch": "Leave the batch axis: one number for each image.",
        "the mean over everything": "Sum over the pixels, mean over the samples, and leave the images apart.",
        "only the first sample": "Use all S samples; with more of them the variance is smaller, equation (2.4).",
        "the losses of single samples": "Take the mean over the samples, axis 0.",
        "nothing is restored": "That is how much noise there is. Restore the noisy images with r first.",
        "the square root of the squared error": "The squared error is asked, not the distance: no root.",
        "half of it": "The ½ belongs to the Gaussian log-likelihood; here the squared error itself is asked.",
    },
)

# --- 2.4 -------------------------------------------------------------------------------------------------------------


def posterior_means(prior, likelihood, images):
    """Equation (2.5) over a table."""
    joint = prior[:, None] * likelihood
    return (joint / joint.sum(0)).T @ images


def _table_inputs(size: int, g: torch.Generator) -> tuple:
    """N, T and D are all different; the rows of the likelihood sum to one."""
    prior, likelihood = uniform(g, size + 1) + 0.1, uniform(g, size + 1, size + 3) + 0.1
    return prior / prior.sum(), likelihood / likelihood.sum(1, keepdim=True), uniform(g, size + 1, size + 2)


def _most_probable(prior, likelihood, images):
    return images[(prior[:, None] * likelihood).argmax(0)]


EXERCISE_4 = Exercise(
    prompt="Write `posterior_means(prior, likelihood, images)`: prior (N,), likelihood q_D(x_tilde|x) (N, T), images "
           "(N, D). Return E[x|x_tilde] for each of the T corrupted images, (T, D).",
    inputs=_table_inputs,
    reference=posterior_means,
    mistakes={
        "the prior is missing": lambda prior, likelihood, images: (likelihood / likelihood.sum(0)).T @ images,
        "not divided by q(x_tilde)": lambda prior, likelihood, images: (prior[:, None] * likelihood).T @ images,
        "divided by the sum without the prior":
            lambda prior, likelihood, images: (prior[:, None] * likelihood / likelihood.sum(0)).T @ images,
        "the likelihood taken for the posterior": lambda prior, likelihood, images: likelihood.T @ images,
        "the most probable image": _most_probable,
        "the mean of all images": lambda prior, likelihood, images: (prior @ images).expand(likelihood.shape[1], -1),
        "softmax over probabilities":
            lambda prior, likelihood, images: (prior[:, None] * likelihood).softmax(0).T @ images,
    },
    why={
        "the prior is missing": "Bayes' rule weighs each image by how common it is: prior times likelihood.",
        "not divided by q(x_tilde)": "Divide by the sum over x, so that each x_tilde's weights sum to one.",
        "divided by the sum without the prior": "q(x_tilde) is the sum of the *joint* over x: prior times likelihood.",
        "the likelihood taken for the posterior":
            "q_D(x_tilde|x) is not q(x|x_tilde). Multiply by the prior and divide each *column* by its sum, as the "
            "posterior is a distribution over x: dividing the rows gives the likelihood back.",
        "the most probable image": "That is the mode. The best output under both losses is the mean.",
        "the mean of all images": "That ignores x_tilde.",
        "softmax over probabilities":
            "Softmax takes log-probabilities. These are probabilities: divide them by their sum.",
    },
)

# --- 2.5 -------------------------------------------------------------------------------------------------------------


def softmax_memory(x_tilde, images, sigma):
    """Equation (2.6)."""
    return (-_squared_distances(x_tilde, images) / (2 * sigma**2)).softmax(1) @ images


def _squared_distances(x_tilde, images):
    return (x_tilde[:, None] - images).square().sum(-1)


def _weights(x_tilde, images, sigma):
    return (-_squared_distances(x_tilde, images) / (2 * sigma**2)).exp()


def _memory(logits):
    """The memory with other logits, a function of the squared distances (B, N) and sigma."""
    return lambda x_tilde, images, sigma: logits(_squared_distances(x_tilde, images), sigma).softmax(1) @ images


def _nearest(x_tilde, images, sigma):
    return images[_squared_distances(x_tilde, images).argmin(1)]


EXERCISE_5 = Exercise(
    prompt="Write `softmax_memory(x_tilde, images, sigma)`: noisy images (B, D), training images (N, D), the noise's "
           "standard deviation. Return (2.6), the posterior means, (B, D).",
    inputs=lambda size, g: (uniform(g, size + 1, size + 2), uniform(g, size + 4, size + 2), number(g, 0.3, 0.7)),
    reference=softmax_memory,
    mistakes={
        "σ where σ² belongs": _memory(lambda d, sigma: -d / (2 * sigma)),
        "the ½ is missing": _memory(lambda d, sigma: -d / sigma**2),
        "σ where σ² belongs, and the ½ is missing": _memory(lambda d, sigma: -d / sigma),
        "the distance is not squared, and σ where σ² belongs": _memory(lambda d, sigma: -d.sqrt() / (2 * sigma)),
        "2σ squared instead of 2σ²": _memory(lambda d, sigma: -d / (2 * sigma) ** 2),
        "multiplied by 2σ² (brackets)": _memory(lambda d, sigma: -d / 2 * sigma**2),
        "the distance is not squared": _memory(lambda d, sigma: -d.sqrt() / (2 * sigma**2)),
        "the wrong sign": _memory(lambda d, sigma: d / (2 * sigma**2)),
        "σ is forgotten": _memory(lambda d, sigma: -d),
        "the mean over the pixels instead of the sum":
            lambda x_tilde, images, sigma: softmax_memory(x_tilde, images, sigma * x_tilde.shape[1] ** 0.5),
        "softmax over the noisy images": lambda x_tilde, images, sigma: (
            (-_squared_distances(x_tilde, images) / (2 * sigma**2)).softmax(0) @ images),
        "not normalised": lambda x_tilde, images, sigma: _weights(x_tilde, images, sigma) @ images,
        "normalised over everything": lambda x_tilde, images, sigma: (
            _weights(x_tilde, images, sigma) / _weights(x_tilde, images, sigma).sum() @ images),
        "the nearest image": _nearest,
        "the weights instead of the images": lambda x_tilde, images, sigma: (
            (-_squared_distances(x_tilde, images) / (2 * sigma**2)).softmax(1)),
    },
    why={
        "σ where σ² belongs": "The Gaussian has the variance in its exponent: 2σ².",
        "the ½ is missing": "The exponent is -‖x_tilde - x‖² / 2σ², with a 2.",
        "σ where σ² belongs, and the ½ is missing": "The exponent is -‖x_tilde - x‖² / 2σ².",
        "the distance is not squared, and σ where σ² belongs": "The exponent is -‖x_tilde - x‖² / 2σ², both squared.",
        "2σ squared instead of 2σ²": "2σ² is 2 times σ², not (2σ)² = 4σ².",
        "multiplied by 2σ² (brackets)": "`a / 2 * sigma**2` multiplies by sigma²: write a / (2 * sigma**2).",
        "the distance is not squared": "torch.cdist gives the distance; the exponent has its square.",
        "the wrong sign": "Near images must weigh more: the exponent is negative.",
        "σ is forgotten": "Divide the squared distances by 2σ².",
        "the mean over the pixels instead of the sum": "‖x_tilde - x‖² is a sum over the pixels.",
        "softmax over the noisy images": "The weights of the training images, axis 1, sum to one for each noisy image.",
        "normalised over everything": "Each noisy image, a row of the (B, N) weights, has a sum of its own.",
        "not normalised": "Divide by the sum of the weights: that is what softmax does.",
        "the nearest image": "That is the limit σ → 0. The posterior mean weighs all images.",
        "the weights instead of the images": "Multiply the weights, (B, N), with the images, (N, D).",
    },
)

# --- 2.6 -------------------------------------------------------------------------------------------------------------


def score_of_denoiser(x_tilde, restored, sigma):
    """Equation (2.7), solved for the score."""
    return (restored - x_tilde) / sigma**2


EXERCISE_6 = Exercise(
    prompt="Write `score_of_denoiser(x_tilde, restored, sigma)`: noisy images, what a perfect denoiser makes of them, "
           "both (B, D), and the noise's standard deviation. Return the score at each noisy image, (B, D).",
    inputs=lambda size, g: (normal(g, size, size + 1), normal(g, size, size + 1), number(g, 0.3, 0.7)),
    reference=score_of_denoiser,
    mistakes={
        "the wrong sign": lambda x_tilde, restored, sigma: (x_tilde - restored) / sigma**2,
        "σ where σ² belongs": lambda x_tilde, restored, sigma: (restored - x_tilde) / sigma,
        "the wrong sign, and σ where σ² belongs": lambda x_tilde, restored, sigma: (x_tilde - restored) / sigma,
        "σ² is missing": lambda x_tilde, restored, sigma: restored - x_tilde,
        "the wrong sign, and σ² is missing": lambda x_tilde, restored, sigma: x_tilde - restored,
        "the wrong sign, and divided by 2σ²": lambda x_tilde, restored, sigma: (x_tilde - restored) / (2 * sigma**2),
        "the wrong sign, and multiplied by σ²": lambda x_tilde, restored, sigma: sigma**2 * (x_tilde - restored),
        "multiplied by σ": lambda x_tilde, restored, sigma: sigma * (restored - x_tilde),
        "divided by 2σ": lambda x_tilde, restored, sigma: (restored - x_tilde) / (2 * sigma),
        "multiplied by σ²": lambda x_tilde, restored, sigma: sigma**2 * (restored - x_tilde),
        "divided by 2σ²": lambda x_tilde, restored, sigma: (restored - x_tilde) / (2 * sigma**2),
        "the noisy image is not subtracted": lambda x_tilde, restored, sigma: restored / sigma**2,
        "added instead of subtracted": lambda x_tilde, restored, sigma: (restored + x_tilde) / sigma**2,
        "the brackets are missing": lambda x_tilde, restored, sigma: restored - x_tilde / sigma**2,
        "not solved for the score": lambda x_tilde, restored, sigma: x_tilde + sigma**2 * restored,
    },
    why={
        "the wrong sign": "The score points uphill, from the noisy image towards the restored one.",
        "σ where σ² belongs":
            "The score is one over a grey value, so a difference of grey values must be divided by σ² to give it.",
        "the wrong sign, and σ where σ² belongs": "It points to the restored image, and has σ² below.",
        "σ² is missing": "The correction is σ² times the score: divide by σ².",
        "the wrong sign, and σ² is missing": "It points to the restored image, and has σ² below.",
        "the wrong sign, and divided by 2σ²": "It points to the restored image, and has σ² below, without a 2.",
        "the wrong sign, and multiplied by σ²": "It points to the restored image, and has σ² below.",
        "multiplied by σ": "The correction is σ² times the score: to get the score, divide by σ².",
        "divided by 2σ": "Divide by σ², without a 2.",
        "multiplied by σ²": "The correction is σ² times the score: to get the score, divide.",
        "divided by 2σ²": "The ½ of the Gaussian's exponent is gone after the derivative.",
        "the noisy image is not subtracted": "Bring x_tilde to the other side first.",
        "added instead of subtracted": "Bring x_tilde to the other side first: it changes its sign.",
        "the brackets are missing": "Subtract first: (restored - x_tilde) / sigma**2.",
        "not solved for the score": "That is (2.7) with the restored image in the score's place.",
    },
)

EXERCISES = {
    "2.1": EXERCISE_1, "2.2": EXERCISE_2, "2.3": EXERCISE_3, "2.4": EXERCISE_4, "2.5": EXERCISE_5, "2.6": EXERCISE_6,
}
