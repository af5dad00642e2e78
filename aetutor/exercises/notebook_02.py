"""The exercises of notebook 02."""

from functools import cache
from math import isfinite, log10

import torch
from torch import Tensor

from aetutor import corruption
from aetutor.evaluation import median_filter
from aetutor.exercises import slips
from aetutor.exercises.build import ACCEPTS, outputs
from aetutor.exercises.engine import BuildExercise, Exercise, Mistake
from aetutor.exercises.random_inputs import normal, number, uniform

# --- 2.1 -------------------------------------------------------------------------------------------------------------


def salt_and_pepper_variance(x, level):
    """E[x_tilde²|x] - E[x_tilde|x]²."""
    mean, mean_square = (1 - level) * x + level / 2, (1 - level) * x**2 + level / 2
    return mean_square - mean**2


EXERCISE_1 = Exercise(
    prompt="Write `salt_and_pepper_variance(x, level)`: the variance of each pixel of x_tilde given x, for grey values "
    "x of any shape, under salt and pepper.",
    inputs=lambda size, g: (0.05 + 0.9 * uniform(g, size, size + 1), number(g, 0.2, 0.8)),
    reference=salt_and_pepper_variance,
    mistakes=[
        Mistake(
            "the variance of masking",
            lambda x, level: level * (1 - level) * x**2,
            "With salt and pepper half of the replaced pixels become 1, not 0.",
        ),
        Mistake(
            "E[x_tilde²] without the square of the mean",
            lambda x, level: (1 - level) * x**2 + level / 2,
            "Var[X] = E[X²] - E[X]².",
        ),
        Mistake(
            "the mean", lambda x, level: (1 - level) * x + level / 2, "That is E[x_tilde|x]. Var[X] = E[X²] - E[X]²."
        ),
        Mistake(
            "the standard deviation",
            lambda x, level: salt_and_pepper_variance(x, level).sqrt(),
            "The variance is asked: no square root.",
        ),
        Mistake(
            "all salt",
            lambda x, level: (1 - level) * x**2 + level - ((1 - level) * x + level) ** 2,
            "Only half of the replaced pixels become white; the probability of white is level / 2.",
        ),
        Mistake(
            "the square of ½ instead of the mean of the squares",
            lambda x, level: (1 - level) * x**2 + level / 4 - ((1 - level) * x + level / 2) ** 2,
            "A replaced pixel is 0 or 1, never ½: the mean of its square is (0² + 1²) / 2 = ½.",
        ),
        Mistake(
            "salt is forgotten in the mean",
            lambda x, level: (1 - level) * x**2 + level / 2 - ((1 - level) * x) ** 2,
            "The mean has level / 2 from the white pixels.",
        ),
        slips.wrong_sign(salt_and_pepper_variance, "A variance is never negative: E[X²] - E[X]²."),
    ],
)

# --- 2.2 -------------------------------------------------------------------------------------------------------------


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


EXERCISE_2 = Exercise(
    prompt="Write `denoising_objective(x, x_tilde, r)`: x (B, D), x_tilde (S, B, D) holds S corruptions of each image, "
    "r restores images (…, D). Return the third line of (2.3) for each image, (B,), with the squared error, "
    "summed over the pixels.",
    inputs=_objective_inputs,
    reference=denoising_objective,
    mistakes=[
        Mistake(
            "the target is corrupted, too",
            lambda x, x_tilde, r: (r(x_tilde) - x_tilde).square().sum(-1).mean(0),
            "The target is the clean x. Against x_tilde the network would learn to copy, noise and all.",
        ),
        Mistake(
            "the clean image is restored",
            lambda x, x_tilde, r: (r(x) - x).square().sum(-1),
            "The input is the corrupted image: r(x_tilde).",
        ),
        Mistake(
            "the outputs are averaged instead of the losses",
            lambda x, x_tilde, r: (r(x_tilde).mean(0) - x).square().sum(-1),
            "The expectation is over losses. Averaging the outputs first hides how much they scatter: the squared "
            "error of a mean is never larger than the mean of the squared errors.",
        ),
        Mistake(
            "the inputs are averaged instead of the losses",
            lambda x, x_tilde, r: (r(x_tilde.mean(0)) - x).square().sum(-1),
            "The mean of S noisy copies is a much cleaner image than any of them, and not what the network will meet.",
        ),
        slips.mean_of_pixels(denoising_objective, "Sum over the D pixels; the mean is only over samples."),
        Mistake(
            "the sum over the samples instead of the mean",
            lambda x, x_tilde, r: (r(x_tilde) - x).square().sum(-1).sum(0),
            "(2.3) has 1/S: the estimate must not grow with S.",
        ),
        Mistake(
            "the mean over the images instead of the samples",
            lambda x, x_tilde, r: (r(x_tilde) - x).square().sum(-1).mean(1),
            "After the sum over the pixels the losses are (S, B): the samples are axis 0.",
        ),
        *slips.one_number(denoising_objective),
        Mistake(
            "only the first sample",
            lambda x, x_tilde, r: (r(x_tilde[0]) - x).square().sum(-1),
            "Use all S samples; with more of them the variance is smaller, equation (2.4).",
        ),
        Mistake(
            "nothing is restored",
            lambda x, x_tilde, r: (x_tilde - x).square().sum(-1).mean(0),
            "That is how much noise there is. Restore the noisy images with r first.",
        ),
    ],
)

# --- 2.3 -------------------------------------------------------------------------------------------------------------


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


EXERCISE_3 = Exercise(
    prompt="Write `posterior_means(prior, likelihood, images)`: prior (N,), likelihood q_D(x_tilde|x) (N, T), images "
    "(N, D). Return E[x|x_tilde] for each of the T corrupted images, (T, D).",
    inputs=_table_inputs,
    reference=posterior_means,
    mistakes=[
        Mistake(
            "the prior is missing",
            lambda prior, likelihood, images: (likelihood / likelihood.sum(0)).T @ images,
            "Bayes' rule weighs each image by how common it is: prior times likelihood.",
        ),
        Mistake(
            "not divided by q(x_tilde)",
            lambda prior, likelihood, images: (prior[:, None] * likelihood).T @ images,
            "Divide by the sum over x, so that each x_tilde's weights sum to one.",
        ),
        Mistake(
            "divided by the sum without the prior",
            lambda prior, likelihood, images: (prior[:, None] * likelihood / likelihood.sum(0)).T @ images,
            "q(x_tilde) is the sum of the *joint* over x: prior times likelihood.",
        ),
        Mistake(
            "the likelihood taken for the posterior",
            lambda prior, likelihood, images: likelihood.T @ images,
            "q_D(x_tilde|x) is not q(x|x_tilde). Multiply by the prior and divide each *column* by its sum, as the "
            "posterior is a distribution over x: dividing the rows gives the likelihood back.",
        ),
        Mistake(
            "the most probable image",
            _most_probable,
            "That is the mode. The best output under both losses is the mean.",
        ),
        Mistake(
            "the mean of all images",
            lambda prior, likelihood, images: (prior @ images).expand(likelihood.shape[1], -1),
            "That ignores x_tilde.",
        ),
        Mistake(
            "softmax over probabilities",
            lambda prior, likelihood, images: (prior[:, None] * likelihood).softmax(0).T @ images,
            "Softmax takes log-probabilities. These are probabilities: divide them by their sum.",
        ),
    ],
)

# --- 2.4 -------------------------------------------------------------------------------------------------------------


def softmax_memory(x_tilde, images, sigma):
    """Equation (2.6)."""
    return (-_squared_distances(x_tilde, images) / (2 * sigma**2)).softmax(1) @ images


def _squared_distances(x_tilde, images):
    return (x_tilde[:, None] - images).square().sum(-1)


def _weights(x_tilde, images, sigma):
    return (-_squared_distances(x_tilde, images) / (2 * sigma**2)).exp()


def _noisy_inputs(size: int, g: torch.Generator) -> tuple:
    """The first noisy image lies so far behind the first image that all its weights underflow, in float64, too."""
    x_tilde, images = uniform(g, size + 1, size + 2), uniform(g, size + 4, size + 2)
    images[:, 0] *= 0.7
    images[0, 0] = 1
    x_tilde[0, 0] = 60
    return x_tilde, images, number(g, 0.3, 0.7)


def _only_first_is_nan(x_tilde, images, sigma, result) -> bool:
    return bool(result[0].isnan().all() and result[1:].isfinite().all())


def _memory(logits):
    """The memory with other logits, a function of the squared distances (B, N) and sigma."""
    return lambda x_tilde, images, sigma: logits(_squared_distances(x_tilde, images), sigma).softmax(1) @ images


def _nearest(x_tilde, images, sigma):
    return images[_squared_distances(x_tilde, images).argmin(1)]


EXERCISE_4 = Exercise(
    prompt="Write `softmax_memory(x_tilde, images, sigma)`: noisy images (B, D), training images (N, D), the noise's "
    "standard deviation. Return (2.6), the posterior means, (B, D), also where all the exponentials underflow.",
    inputs=_noisy_inputs,
    reference=softmax_memory,
    mistakes=[
        Mistake(
            "exp underflows to 0",
            lambda x_tilde, images, sigma: (
                _weights(x_tilde, images, sigma) / _weights(x_tilde, images, sigma).sum(1, keepdim=True) @ images
            ),
            "Where all distances are large, as they are with 784 pixels, each exp(-d / 2σ²) is 0 for a computer, and "
            "0 / 0 is NaN. torch.softmax takes out the largest first.",
            sign=_only_first_is_nan,
        ),
        Mistake(
            "σ where σ² belongs",
            _memory(lambda d, sigma: -d / (2 * sigma)),
            "The Gaussian has the variance in its exponent: 2σ².",
        ),
        Mistake(
            "the ½ is missing",
            _memory(lambda d, sigma: -d / sigma**2),
            "The exponent is -‖x_tilde - x‖² / 2σ², with a 2.",
        ),
        Mistake(
            "multiplied by 2σ² (brackets)",
            _memory(lambda d, sigma: -d / 2 * sigma**2),
            "`a / 2 * sigma**2` multiplies by sigma²: write a / (2 * sigma**2).",
        ),
        Mistake(
            "the distance is not squared",
            _memory(lambda d, sigma: -d.sqrt() / (2 * sigma**2)),
            "torch.cdist gives the distance; the exponent has its square.",
        ),
        Mistake(
            "the wrong sign",
            _memory(lambda d, sigma: d / (2 * sigma**2)),
            "Near images must weigh more: the exponent is negative.",
        ),
        Mistake("σ is forgotten", _memory(lambda d, sigma: -d), "Divide the squared distances by 2σ²."),
        Mistake(
            "softmax over the noisy images",
            lambda x_tilde, images, sigma: (-_squared_distances(x_tilde, images) / (2 * sigma**2)).softmax(0) @ images,
            "The weights of the training images, axis 1, sum to one for each noisy image.",
        ),
        Mistake(
            "not normalised",
            lambda x_tilde, images, sigma: _weights(x_tilde, images, sigma) @ images,
            "Divide by the sum of the weights: that is what softmax does.",
        ),
        Mistake("the nearest image", _nearest, "That is the limit σ → 0. The posterior mean weighs all images."),
    ],
)

# --- 2.5 -------------------------------------------------------------------------------------------------------------


def denoise_with(log_density, x_tilde, sigma):
    """Tweedie's formula (2.7): uphill by sigma² times the slope of the log-density."""
    return x_tilde + sigma**2 * _slope(log_density, x_tilde)


def _slope(log_density, x_tilde):
    """The gradient of log_density, `(B, D)` -> `(B,)`, at each x_tilde, (B, D)."""
    x_tilde = x_tilde.detach().clone().requires_grad_()
    return torch.autograd.grad(log_density(x_tilde).sum(), x_tilde)[0]


def two_hills(x):
    """The log of a density with two hills, of different widths, (B, D) -> (B,), up to a constant."""
    return torch.logaddexp(-2 * (x - 1).square().sum(1), -0.5 * (x + 1).square().sum(1) - 0.3)


EXERCISE_5 = Exercise(
    prompt="Write `denoise_with(log_density, x_tilde, sigma)`: log_density takes noisy images (B, D) and returns log "
    "q_sigma of each, (B,). Return the best output for each of the noisy images x_tilde, (B, D), by Tweedie's formula.",
    inputs=lambda size, g: (two_hills, normal(g, size + 1, size), number(g, 0.3, 0.8)),
    reference=denoise_with,
    mistakes=[
        Mistake(
            "downhill",
            lambda f, x, sigma: x - sigma**2 * _slope(f, x),
            "The score points to where noisy images are more probable: go uphill, with a plus.",
        ),
        Mistake(
            "σ where σ² belongs",
            lambda f, x, sigma: x + sigma * _slope(f, x),
            "Tweedie's formula has sigma²: the score is one over a grey value, and the step is a grey value.",
        ),
        Mistake(
            "the step without the starting point",
            lambda f, x, sigma: sigma**2 * _slope(f, x),
            "That is the correction. The best output is x_tilde plus the correction.",
        ),
        Mistake(
            "the score itself", lambda f, x, sigma: _slope(f, x), "Multiply the score by sigma² and add it to x_tilde."
        ),
        Mistake("σ² is forgotten", lambda f, x, sigma: x + _slope(f, x), "The step is sigma² times the score."),
        Mistake(
            "the slope of the density",
            lambda f, x, sigma: x + sigma**2 * _slope(lambda z: f(z).exp(), x),
            "The score is the gradient of the *log*-density, which log_density gives already: no exp.",
        ),
        Mistake(
            "the gradient of the mean over the batch",
            lambda f, x, sigma: x + sigma**2 * _slope(f, x) / len(x),
            "The mean divides each gradient by B. Differentiate the sum: each term depends on its own row only.",
        ),
    ],
)

# --- 2.6 -------------------------------------------------------------------------------------------------------------

LEVEL = 0.5  # of salt and pepper


@cache
def _noisy_test_images() -> tuple[Tensor, Tensor]:
    """The clean test images, and the same with salt and pepper, always the same draw."""
    from aetutor.data import load, to_unit

    clean = to_unit(load("mnist").test_x)
    return clean, corruption.salt_and_pepper(clean, LEVEL, torch.Generator().manual_seed(0))


def measured(answer) -> dict[str, float]:
    """The PSNR in dB of all 10,000 restored test images together; "median" is the median filter's."""
    clean, noisy = _noisy_test_images()
    restored = outputs(answer, noisy)
    error = (restored - clean.flatten(1)).square().mean().item()
    return {
        "psnr": -10 * log10(max(error, 1e-30)) if isfinite(error) else float("nan"),
        "copied": (restored - noisy.flatten(1)).square().mean().item(),
        "as_bytes": (restored / 255 - clean.flatten(1)).square().mean().item(),
        "spread": restored.var(0).sum().item(),
        "error": error,
        "median": _median_filters_psnr(),
    }


@cache
def _median_filters_psnr() -> float:
    clean, noisy = _noisy_test_images()
    return -10 * (median_filter(noisy) - clean).square().mean().log10().item()


def _always_the_mean(x):
    return _noisy_test_images()[0].mean(0).expand_as(x)


@cache
def _linear_map() -> Tensor:
    """Weights (785, 784) of the linear map from noisy to clean pixels that is best on 20,000 training images."""
    from aetutor.data import load, to_unit

    clean = to_unit(load("mnist").train_x[:20_000])
    noisy = _with_one(corruption.salt_and_pepper(clean, LEVEL, torch.Generator().manual_seed(1)))
    return torch.linalg.solve(noisy.T @ noisy, noisy.T @ clean.flatten(1).double())


def _with_one(x: Tensor) -> Tensor:
    """A constant beside the pixels, (B, 785), in float64."""
    rows = x.flatten(1).double()
    return torch.cat([torch.ones_like(rows[:, :1]), rows], 1)


def linear_denoiser(x):
    """Linear regression from noisy to clean pixels: it reaches 14 dB without any network."""
    return (_with_one(x) @ _linear_map()).clamp(0, 1)


ASKED = 14.0  # dB: the median filter and the mean image reach no more than 11.7

EXERCISE_6 = BuildExercise(
    prompt="Train a denoising autoencoder of your own that reaches a PSNR of 14 dB on test images with salt and pepper "
    "at level 0.5, where the median filter has 11.7 dB. Train on the 60,000 training images, in [0, 1]; a minute is "
    "enough. Give the trained model, or a function from noisy images (B, 1, 28, 28) to restored ones, "
    "(B, 1, 28, 28) or (B, 784).",
    reference=linear_denoiser,
    measure=measured,
    report="PSNR {psnr:.1f} dB on 10,000 test images; 14 dB are asked, and the median filter has {median:.1f} dB.",
    passes=lambda facts: facts["psnr"] >= ASKED,
    accepts=ACCEPTS,
    mistakes=[
        Mistake(
            "the outputs are not numbers",
            lambda x: x * float("nan"),
            "Some are NaN or infinite: the training has diverged. Lower the learning rate.",
            sign=lambda facts: not isfinite(facts["error"]),
        ),
        Mistake(
            "the noisy image itself",
            lambda x: x,
            "The output is its input, noise and all: the target of the training must be the clean image.",
            sign=lambda facts: facts["copied"] < 1e-3,
        ),
        Mistake(
            "one output for all images",
            _always_the_mean,
            "All outputs are the same. Is the learning rate too large, or does the network not see its input?",
            sign=lambda facts: facts["spread"] < 1,
        ),
        Mistake(
            "bytes instead of grey values in [0, 1]",
            lambda x: 255 * linear_denoiser(x),
            "The outputs reach 255: train on images in [0, 1], with aetutor.to_unit.",
            sign=lambda facts: facts["error"] > 1 and facts["as_bytes"] < 0.1,
        ),
    ],
)

EXERCISES = {
    "2.1": EXERCISE_1,
    "2.2": EXERCISE_2,
    "2.3": EXERCISE_3,
    "2.4": EXERCISE_4,
    "2.5": EXERCISE_5,
    "2.6": EXERCISE_6,
}
