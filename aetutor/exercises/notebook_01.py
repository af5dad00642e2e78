"""The exercises of notebook 01."""

from functools import cache
from math import log

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from aetutor.exercises import slips
from aetutor.exercises.build import ACCEPTS, code_size, outputs
from aetutor.exercises.engine import BuildExercise, Exercise, Mistake
from aetutor.exercises.random_inputs import normal, number, uniform


def _grey(generator: torch.Generator, *shape: int) -> Tensor:
    """Random grey images in [0, 1], a third of the pixels black, some white."""
    return (1.8 * uniform(generator, *shape) - 0.6).clamp(0, 1)


# --- 1.1 -------------------------------------------------------------------------------------------------------------


def cross_entropy_from_logits(a, x):
    """-x log σ(a) - (1 - x) log(1 - σ(a)), where log σ(a) = -softplus(-a) and log(1 - σ(a)) = -softplus(a)."""
    return _cross_entropies(a, x).sum(1)


def _cross_entropies(a, x):
    return softplus(a) - x * a


def _large_logits(size: int, g: torch.Generator) -> tuple:
    """The first image has logits near ±200, right and wrong ones; the other images have ordinary ones."""
    a, x = 2 * normal(g, size + 1, size + 3), 0.02 + 0.96 * _grey(g, size + 1, size + 3)
    a[0, :3] = torch.tensor([number(g, 150, 200), -number(g, 150, 200), number(g, 150, 200)])
    x[0, :3] = torch.tensor([number(g, 0.2, 0.6), number(g, 0.4, 0.8), 1.0])
    return a, x


def _of_probabilities(a, x):
    x_hat = a.sigmoid()
    return -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).sum(1)


def _clipped(a, x):
    return _of_probabilities(a.clamp(-16, 16), x)


def _only_first_not_finite(result) -> bool:
    return not result[0].isfinite() and bool(result[1:].isfinite().all())


def _first_too_small(a, x, result) -> bool:
    """Right but for the first image, whose large losses are cut off."""
    right = cross_entropy_from_logits(a.double(), x.double())
    return bool(0 <= result[0] < 0.8 * right[0]) and torch.allclose(result[1:], right[1:], rtol=1e-2)


EXERCISE_1 = Exercise(
    prompt="Write `cross_entropy_from_logits(a, x)`: logits a and pixels x in [0, 1], both (B, D). Return the cross-"
    "entropy of each image with sigmoid(a), in nats, (B,). It must be right for logits up to ±200, in float32, too: so "
    "do not take the logarithm of a sigmoid.",
    inputs=_large_logits,
    reference=cross_entropy_from_logits,
    mistakes=[
        Mistake(
            "the logarithm of a sigmoid",
            _of_probabilities,
            "sigmoid(200) is 1 for a computer, and log(1 - 1) is -∞. log(1 - sigmoid(a)) is -softplus(a): start there.",
            sign=lambda a, x, result: _only_first_not_finite(result),
        ),
        Mistake(
            "exp overflows",
            lambda a, x: (1 + a.exp()).log().sum(1) - (x * a).sum(1),
            "The formula is right, but exp(200) is too large for float32: softplus takes out the large part first.",
            sign=lambda a, x, result: (
                _only_first_not_finite(result) if a.dtype == torch.float32 else bool(result.isfinite().all())
            ),
        ),
        Mistake(
            "the probabilities are clipped",
            _clipped,
            "That keeps the loss finite, but at large logits it is wrong, and its gradient is 0: nothing is learnt "
            "there. log(1 - sigmoid(a)) is -softplus(a), and needs no clipping.",
            sign=_first_too_small,
        ),
        Mistake(
            "x and 1 - x exchanged",
            lambda a, x: cross_entropy_from_logits(a, 1 - x),
            "sigmoid(a) is the probability of white, x = 1: a large logit costs nothing where the pixel is white.",
        ),
        Mistake(
            "the second term is missing",
            lambda a, x: -(x * logsigmoid(a)).sum(1),
            "Black pixels count, too: where x = 0, -log(1 - sigmoid(a)) is left.",
        ),
        slips.wrong_sign(
            cross_entropy_from_logits, "The logarithm of a probability is negative, and the loss positive."
        ),
        slips.mean_of_pixels(cross_entropy_from_logits),
        *slips.one_number(cross_entropy_from_logits),
        slips.no_sum(_cross_entropies),
        slips.wrong_axis(_cross_entropies),
        slips.bits(cross_entropy_from_logits),
    ],
)

# --- 1.2 -------------------------------------------------------------------------------------------------------------


def loss_without_a_code(x):
    """The best single image is the mean image, and its cross-entropy the entropy of each mean pixel, summed."""
    return _entropies(x.mean(0)).sum()


def _entropies(p):
    return torch.special.entr(p) + torch.special.entr(1 - p)


def _with_constant_pixels(size: int, g: torch.Generator) -> tuple:
    """The first pixel is black in all images, the second white."""
    x = _grey(g, size + 2, size + 4)
    x[:, 0], x[:, 1], x[0, 2] = 0, 1, 0.4
    return (x,)


def _entropies_with_nan(x):
    p = x.mean(0)
    return -(p * p.log() + (1 - p) * (1 - p).log()).sum()


EXERCISE_2 = Exercise(
    prompt="Write `loss_without_a_code(x)`: images (N, D) in [0, 1]. Without any code a decoder answers every image "
    "with one and the same image. Return the smallest mean cross-entropy that it can reach on these N images, in nats, "
    "one number. Some pixels are black in all images, some white: 0 · log 0 is 0.",
    inputs=_with_constant_pixels,
    reference=loss_without_a_code,
    mistakes=[
        Mistake(
            "the floor of a perfect copy",
            lambda x: _entropies(x).sum(1).mean(),
            "The mean of the entropies H(x) is what remains of a perfect copy. Without a code the decoder cannot tell "
            "the images apart: take the entropy of the mean image.",
        ),
        Mistake(
            "0 · log 0 gives NaN",
            _entropies_with_nan,
            "In the limit 0 · log 0 is 0, but a computer says 0 · (-∞) = NaN: use torch.xlogy.",
            sign=lambda x, result: bool(result.isnan()) and result.dim() == 0,
        ),
        Mistake(
            "every pixel answered with ½",
            lambda x: x.shape[1] * log(2),
            "That costs log 2 a pixel. The mean image costs less: most of its pixels are nearly black.",
        ),
        Mistake(
            "the second term is missing",
            lambda x: torch.special.entr(x.mean(0)).sum(),
            "A pixel has two outcomes, white with probability p and black with 1 - p.",
        ),
        Mistake(
            "the squared error of the mean image",
            lambda x: x.var(0, correction=0).sum(),
            "That is the variance, the smallest squared error. The smallest cross-entropy is asked.",
        ),
        Mistake(
            "the sum over the images",
            lambda x: len(x) * loss_without_a_code(x),
            "The *mean* cross-entropy is asked: it does not grow with N.",
        ),
        Mistake(
            "one number for each pixel",
            lambda x: _entropies(x.mean(0)),
            "The pixels' losses add: sum over all of them.",
        ),
        slips.mean_of_pixels(loss_without_a_code),
        slips.wrong_sign(loss_without_a_code, "Entropy is never negative: -p log p is positive on (0, 1)."),
        slips.bits(loss_without_a_code),
    ],
)

# --- 1.3 -------------------------------------------------------------------------------------------------------------


def decoder_gradient(V, c, z, x):
    """By the chain rule: the loss's derivative with respect to the logits, x_hat - x, times that of the logits, z."""
    return (torch.sigmoid(z @ V.T + c) - x).T @ z / len(x)


def _decoder_inputs(size: int, g: torch.Generator) -> tuple:
    """D, K and B are all different, so that a wrong axis shows."""
    D, K, B = size + 4, size + 2, size + 1
    return normal(g, D, K), normal(g, D), normal(g, B, K), _grey(g, B, D)


def _from_errors(change):
    """The gradient with another error in the place of x_hat - x, a function of x_hat and x."""
    return lambda V, c, z, x: change(torch.sigmoid(z @ V.T + c), x).T @ z / len(x)


EXERCISE_3 = Exercise(
    prompt="Write `decoder_gradient(V, c, z, x)` without autograd: weights V (D, K), biases c (D,), codes z (B, K), "
    "pixels x in [0, 1] (B, D). The decoder is sigmoid(V z + c). Return the gradient with respect to V, (D, K), of the "
    "cross-entropy L_H(x, sigmoid(V z + c)), summed over the pixels and averaged over the batch.",
    inputs=_decoder_inputs,
    reference=decoder_gradient,
    mistakes=[
        Mistake(
            "the sum over the batch",
            lambda V, c, z, x: len(x) * decoder_gradient(V, c, z, x),
            "The loss is the mean over the batch, and so is its gradient: divide by B.",
        ),
        Mistake(
            "transposed",
            lambda V, c, z, x: decoder_gradient(V, c, z, x).T,
            "A gradient has the shape of what it belongs to: V is (D, K), and yours is (K, D).",
        ),
        Mistake(
            "the sigmoid's derivative is kept",
            _from_errors(lambda x_hat, x: (x_hat - x) * x_hat * (1 - x_hat)),
            "The factor x̂ (1 - x̂) belongs to the squared error; in the cross-entropy it cancels.",
        ),
        Mistake(
            "the gradient of the squared error",
            _from_errors(lambda x_hat, x: 2 * (x_hat - x) * x_hat * (1 - x_hat)),
            "The factors 2 and x̂ (1 - x̂) belong to the squared error; in the cross-entropy x̂ - x is left.",
        ),
        Mistake(
            "the biases are forgotten",
            lambda V, c, z, x: decoder_gradient(V, 0 * c, z, x),
            "The logits are V z + c: c shifts them, and with them x̂.",
        ),
        Mistake(
            "the sigmoid is forgotten",
            lambda V, c, z, x: (z @ V.T + c - x).T @ z / len(x),
            "x is compared with x̂ = sigmoid(V z + c), a number in (0, 1), and not with the logit.",
        ),
        slips.wrong_sign(decoder_gradient, "Where x̂ is larger than x, lowering the logit lowers the loss: x̂ - x."),
        Mistake(
            "the mean over the pixels, too",
            lambda V, c, z, x: decoder_gradient(V, c, z, x) / x.shape[1],
            "The loss is a *sum* over the pixels: divide by B only.",
        ),
        Mistake(
            "the gradient with respect to z",
            lambda V, c, z, x: (torch.sigmoid(z @ V.T + c) - x) @ V / len(x),
            "That is what the encoder gets. The derivative of a logit with respect to V is z, not V.",
        ),
        Mistake(
            "the gradient with respect to c",
            lambda V, c, z, x: (torch.sigmoid(z @ V.T + c) - x).mean(0),
            "That belongs to the biases. The derivative of a logit with respect to V has z as a factor.",
        ),
    ],
)

# --- 1.4 -------------------------------------------------------------------------------------------------------------


def my_memory(x, stored):
    """Encoder: the number of the nearest stored image; decoder: look it up."""
    return stored[torch.cdist(x, stored).argmin(1)]


def _images_to_store(size: int, g: torch.Generator) -> tuple:
    """Next to the first image there are three: the nearest in |·|, in (·)², and by the largest difference."""
    x, stored = uniform(g, size, size + 3), uniform(g, size + 4, size + 3)
    x[0] = 0.2 * x[0]
    stored[:3] = x[0] + 0.005 * stored[:3]
    stored[0, 0] += 0.5
    stored[1, :2] += 0.3
    stored[2, :4] += 0.29
    stored[3:] = 0.5 + stored[3:] / 2
    return x, stored[torch.randperm(len(stored), generator=g)]


EXERCISE_4 = Exercise(
    prompt="Write `my_memory(x, stored)`: images x (B, D) and stored images (N, D). Return the stored image nearest to "
    "each x by squared distance, (B, D).",
    inputs=_images_to_store,
    reference=my_memory,
    mistakes=[
        Mistake(
            "the index instead of the image",
            lambda x, stored: torch.cdist(x, stored).argmin(1),
            "That is the code. The decoder looks it up: `stored[index]`.",
        ),
        Mistake(
            "the distance instead of the image",
            lambda x, stored: torch.cdist(x, stored).amin(1),
            "Take `argmin`, not `min`, and look the index up in `stored`.",
        ),
        Mistake(
            "another distance",
            lambda x, stored: stored[torch.cdist(x, stored, p=1).argmin(1)],
            "That is the sum of the *absolute* differences. The squared distance weighs large ones more: square first.",
        ),
        Mistake(
            "the farthest image",
            lambda x, stored: stored[torch.cdist(x, stored).argmax(1)],
            "`argmin`, not `argmax`: the nearest image has the smallest distance.",
        ),
        Mistake(
            "the smallest distance along the wrong axis",
            lambda x, stored: stored[torch.cdist(x, stored).argmin(0)],
            "In the (B, N) distances axis 0 runs over the images x, axis 1 over the stored images.",
        ),
        Mistake(
            "the largest product instead of the smallest distance",
            lambda x, stored: stored[(x @ stored.T).argmax(1)],
            "A large scalar product favours images with much ink.",
        ),
        Mistake(
            "the image itself",
            lambda x, stored: x,
            "The identity is exact everywhere, but it does not pass through a code of one number.",
        ),
        Mistake(
            "the mean of the stored images",
            lambda x, stored: stored.mean(0).expand_as(x),
            "That is the best answer without any code at all.",
        ),
    ],
)

# --- 1.5 -------------------------------------------------------------------------------------------------------------


@cache
def mnist_pca() -> tuple[Tensor, Tensor, Tensor]:
    """Of the MNIST training images in [0, 1], in float64: their mean (784,), the eigenvalues of their covariance,
    descending, (784,), and the principal components, the columns of (784, 784)."""
    from aetutor.data import load

    images = load("mnist").train_x.flatten(1).float()
    # 256 images at a time: whole numbers so small that float32 adds them exactly
    second = sum((part.T @ part).double() for part in images.split(256)) / len(images) / 255**2
    mean = images.double().mean(0) / 255
    eigenvalues, components = torch.linalg.eigh(second - mean.outer(mean))
    return mean, eigenvalues.flip(0), components.flip(1)


def mnist_eigenvalues() -> Tensor:
    """The eigenvalues of the covariance of the MNIST training images in [0, 1], descending, (784,)."""
    return mnist_pca()[1]


EXERCISE_5 = Exercise(
    prompt="How many dimensions must PCA keep so that its loss on the MNIST training images is at most 10 % of what it "
    "is with no dimension at all? Give the smallest such K.",
    reference=87,
    mistakes=[
        Mistake(
            "counted from zero",
            86,
            "`argmax` gives an index that starts at 0; the number of dimensions is one more.",
        ),
        Mistake("one too many", 88, "Is the loss with one dimension fewer not already small enough?"),
        Mistake(
            "the smallest eigenvalues are kept",
            783,
            "PCA keeps the largest; torch.linalg.eigvalsh gives the smallest first.",
        ),
        Mistake("10 % of the pixels", 78, "It is not a share of the number of pixels but of the summed variance."),
        Mistake("90 % of the pixels", 706, "It is not a share of the number of pixels but of the summed variance."),
        Mistake("the images are not centred", 53, "Subtract the mean image first: PCA is about the covariance."),
    ],
)

# --- 1.6 -------------------------------------------------------------------------------------------------------------


def pca_reconstruct(train, x, K):
    """Centre, project on the eigenvectors with the K largest eigenvalues, and add the mean again."""
    mean = train.mean(0)
    return (x - mean) @ _projection(train - mean, K) + mean


def _projection(centred, K):
    """The (D, D) matrix that projects on the first K principal components; eigh gives the largest eigenvalue last."""
    components = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, centred.shape[1] - K :]
    return components @ components.T


def _pca_inputs(size: int, g: torch.Generator) -> tuple:
    """The standard deviations along the components fall evenly from 0.3 to 0.1: no two eigenvalues are close."""
    N, D, B = size + 6, size + 3, size + 1
    scores, _ = torch.linalg.qr(torch.cat([torch.ones(N, 1, dtype=torch.float64), normal(g, N, D)], 1))
    axes, _ = torch.linalg.qr(normal(g, D, D))
    spread = torch.linspace(0.3, 0.1, D, dtype=torch.float64)
    mean = 0.3 + 0.4 * uniform(g, D)
    train = mean + N**0.5 * scores[:, 1:] * spread @ axes.T  # the first column of scores is constant
    return train, mean + 0.3 * normal(g, B, D), int(torch.randint(1, D, (), generator=g))


def _pca_with(projection):
    """PCA with another projection, a function of the centred training images and K."""
    return lambda train, x, K: (x - train.mean(0)) @ projection(train - train.mean(0), K) + train.mean(0)


def _components(centred, K):
    """The first K principal components by the singular value decomposition, a row each: (K, D)."""
    return torch.linalg.svd(centred, full_matrices=False).Vh[:K]


def _of_smallest(centred, K):
    components = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, :K]
    return components @ components.T


def _of_rows(centred, K):
    rows = torch.linalg.svd(centred, full_matrices=False).Vh.T[:K]
    return rows.T @ rows


EXERCISE_6 = Exercise(
    prompt="Write `pca_reconstruct(train, x, K)`: training images (N, D), images x (B, D), and a number K with "
    "1 ≤ K < min(N, D). Return what PCA makes of x, (B, D): the mean of `train`, plus the projection of the rest on "
    "the first K principal components of `train`.",
    inputs=_pca_inputs,
    reference=pca_reconstruct,
    mistakes=[
        Mistake(
            "the mean is not subtracted",
            lambda train, x, K: x @ _projection(train, K),
            "Without the mean taken out, the first component points at the mean image. Centre `train` and x first.",
        ),
        Mistake(
            "x is not centred",
            lambda train, x, K: x @ _projection(train - train.mean(0), K) + train.mean(0),
            "The components are directions from the mean: subtract it from x, too, before you project.",
        ),
        Mistake(
            "the mean is not added back",
            lambda train, x, K: (x - train.mean(0)) @ _projection(train - train.mean(0), K),
            "That is the reconstruction of x less the mean: add the mean of `train`.",
        ),
        Mistake(
            "x is centred by its own mean",
            lambda train, x, K: (x - x.mean(0)) @ _projection(train - train.mean(0), K) + x.mean(0),
            "The mean belongs to the autoencoder, as the components do: take that of `train`.",
        ),
        Mistake(
            "the components of x instead of `train`",
            lambda train, x, K: (x - x.mean(0)) @ _projection(x - x.mean(0), K) + x.mean(0),
            "PCA is fitted to `train`, once; x is only encoded and decoded.",
        ),
        Mistake(
            "the K smallest eigenvalues",
            _pca_with(_of_smallest),
            "torch.linalg.eigh gives the eigenvalues in ascending order: the first components are the last columns.",
        ),
        Mistake(
            "rows instead of columns",
            _pca_with(_of_rows),
            "The components are the *columns* of V, or the rows of Vᵀ, which torch.linalg.svd returns as Vh.",
        ),
        Mistake(
            "the codes instead of the reconstructions",
            lambda train, x, K: (x - train.mean(0)) @ _components(train - train.mean(0), K).T,
            "These are the codes, (B, K). The decoder multiplies them with the components and adds the mean.",
            sign=lambda train, x, K, result: result.shape == (len(x), K),
        ),
        Mistake(
            "one component too many",
            _pca_with(lambda centred, K: _projection(centred, K + 1)),
            "K components are kept: `[:K]` of a descending order, `[-K:]` of an ascending one.",
        ),
        Mistake(
            "one component too few",
            _pca_with(lambda centred, K: _projection(centred, K - 1)),
            "K components are kept: `[:K]` of a descending order, `[-K:]` of an ascending one.",
        ),
    ],
)

# --- 1.7 -------------------------------------------------------------------------------------------------------------

CODE = 8  # numbers


@cache
def _test_images() -> Tensor:
    from aetutor.data import load, to_unit

    return to_unit(load("mnist").test_x)


def _pca(images: Tensor) -> Tensor:
    """What PCA with K = 8 makes of images, (B, 784)."""
    mean, _, components = mnist_pca()
    kept = components[:, :CODE]
    return (images.flatten(1).double() - mean) @ kept @ kept.T + mean


def _squared_error(x_hat: Tensor, images: Tensor) -> float:
    return (x_hat - images.flatten(1)).square().sum(1).mean().item()


@cache
def _errors_to_beat() -> dict[str, float]:
    """The squared errors on the test images of PCA, and of the mean image for every image."""
    images = _test_images().double()
    mean = mnist_pca()[0].expand(len(images), -1)
    return {"pca": _squared_error(_pca(images), images), "mean image": _squared_error(mean, images)}


def measured(answer) -> dict[str, float]:
    """What an autoencoder does with the 10,000 test images; "pca" and "mean_image" are the errors of those two."""
    images = _test_images()
    x_hat = outputs(answer, images)
    half = len(images) // 2
    between = outputs(answer, (images[:half] + images[half:]) / 2)  # the images halfway between two
    bend = _squared_error(between, (x_hat[:half] + x_hat[half:]) / 2)
    return {
        "error": _squared_error(x_hat, images),
        "as_logits": _squared_error(x_hat.sigmoid(), images),  # the error, if these are logits
        "as_bytes": _squared_error(x_hat / 255, images),
        "spread": x_hat.var(0).sum().item(),  # how much the outputs differ from image to image
        "bend": bend,  # 0 for a linear function
        "code": code_size(answer, images) or 0,
        **_errors_to_beat(),
    }


@cache
def _quadratic_decoder() -> Tensor:
    """Weights (45, 784) with which the squares and products of the codes of PCA give the pixels, by least squares."""
    from aetutor.data import load, to_unit

    features, pixels = 0.0, 0.0
    for images in to_unit(load("mnist").train_x).split(5000):
        f = _products(images)
        features, pixels = features + f.T @ f, pixels + f.T @ images.flatten(1).double()
    return torch.linalg.solve(features, pixels)


def _products(images: Tensor) -> Tensor:
    """1, the 8 codes of PCA, and the products of any two of them: (B, 45)."""
    mean, _, components = mnist_pca()
    codes = (images.flatten(1).double() - mean) @ components[:, :CODE]
    codes = torch.cat([torch.ones_like(codes[:, :1]), codes], 1)
    first, second = torch.triu_indices(CODE + 1, CODE + 1)
    return codes[:, first] * codes[:, second]


def quadratic_autoencoder(x):
    """The codes of PCA, and a decoder that is not linear: it beats PCA without any training."""
    return (_products(x) @ _quadratic_decoder()).clamp(0, 1)


class _WideCode:
    """An autoencoder whose code has 784 numbers."""

    encode = staticmethod(lambda x: x.flatten(1))
    decode = staticmethod(lambda z: 0.8 * z)


EXERCISE_7 = BuildExercise(
    prompt="Build an autoencoder with a code of 8 numbers or fewer, and write its training loop yourself: it must beat "
    "PCA. Train on the 60,000 training images, in [0, 1]; a minute is enough. Give the trained model, or a function "
    "from images (B, 1, 28, 28) to reconstructions (B, 1, 28, 28) or (B, 784). Its squared error, summed over the "
    "pixels, is measured on the 10,000 test images: PCA with K = 8 has 29.35.",
    reference=quadratic_autoencoder,
    measure=measured,
    report="Squared error {error:.1f} on 10,000 test images; PCA with K = 8 has {pca:.2f}.",
    passes=lambda facts: facts["error"] < facts["pca"],
    accepts=ACCEPTS,
    mistakes=[
        Mistake(
            "the outputs are not numbers",
            lambda x: x * float("nan"),
            "The training has diverged, to NaN or infinity: start again with a lower learning rate.",
            sign=lambda facts: not facts["error"] < float("inf"),
        ),
        Mistake(
            "the code is too wide",
            _WideCode(),
            "`encode` gives more than 8 numbers an image.",
            sign=lambda facts: facts["code"] > CODE,
        ),
        Mistake(
            "the image passes by the code",
            lambda x: x,
            "Nothing gets so near with 8 numbers: the output is computed from more than the code.",
            sign=lambda facts: facts["error"] < 5,
        ),
        Mistake(
            "the outputs are logits",
            lambda x: quadratic_autoencoder(x).clamp(1e-4, 1 - 1e-4).logit(),
            "A loss of logits takes the sigmoid itself. A reconstruction is a grey value: return sigmoid(logits).",
            sign=lambda facts: facts["as_logits"] < min(facts["error"] / 3, facts["as_bytes"]),
        ),
        Mistake(
            "the outputs are not in the scale of the images",
            lambda x: 255 * quadratic_autoencoder(x),
            "The images are in [0, 1]; yours look like bytes, 0 … 255. Divide by 255 before training.",
            sign=lambda facts: facts["as_bytes"] < facts["error"] / 3,
        ),
        Mistake(
            "the mean image, whatever the input",
            lambda x: mnist_pca()[0].expand(len(x), -1),
            "Your decoder ignores the code. Does the gradient reach the encoder? Or have its units died, at too high a "
            "learning rate?",
            sign=lambda facts: facts["spread"] < 1 and facts["error"] < 1.05 * facts["mean image"],
        ),
        Mistake(
            "one image, whatever the input",
            lambda x: torch.full((len(x), 784), 0.5),
            "Your outputs hardly depend on the input. Is this the model that you have trained?",
            sign=lambda facts: facts["spread"] < 1,
        ),
        Mistake(
            "a linear autoencoder",
            _pca,
            "No linear one beats PCA, the best of them. Put a nonlinear layer between the code and the pixels.",
            sign=lambda facts: facts["bend"] < 1e-4 * facts["spread"],
        ),
    ],
)

# --- 1.8 -------------------------------------------------------------------------------------------------------------


def batch_variance(batch, N):
    """Equation (1.5) with σ² = (N - 1)/N · E[sample variance]."""
    B = len(batch)
    return batch.var() / B * (N - B) / N


def _batch_and_number(size: int, g: torch.Generator) -> tuple:
    """Losses whose spread is as large as a half of their mean, so that nothing cancels."""
    noise = normal(g, size + 1)
    noise = (noise - noise.mean()) / noise.std(correction=0)
    return 100 + number(g, 40, 60) * noise, size + 1 + int(torch.randint(1, 2 * size + 2, (), generator=g))


EXERCISE_8 = Exercise(
    prompt="Write `batch_variance(batch, N)`: the losses (B,) of one minibatch, drawn without replacement from N "
    "images. Return an unbiased estimate of the variance of its mean, a number.",
    inputs=_batch_and_number,
    reference=batch_variance,
    mistakes=[
        Mistake(
            "drawn with replacement",
            lambda batch, N: batch.var() / len(batch),
            "An image cannot come twice into a batch, so the variance must be 0 at B = N: a factor is missing.",
        ),
        Mistake(
            "the sample variance divided by B instead of B - 1",
            lambda batch, N: batch.var(correction=0) / len(batch) * (N - len(batch)) / N,
            "The mean of the batch lies closer to its own losses than J does; dividing by B - 1 makes up for it.",
        ),
        Mistake(
            "the sample variance put in for σ²",
            lambda batch, N: batch.var() / len(batch) * (N - len(batch)) / (N - 1),
            "Its expectation is not σ² but σ² N/(N - 1), when the batch is drawn without replacement.",
        ),
        Mistake(
            "the standard deviation instead of the variance",
            lambda batch, N: batch_variance(batch, N).sqrt(),
            "Leave out the square root.",
        ),
        Mistake(
            "the variance of one loss, not of the mean",
            lambda batch, N: batch_variance(batch, N) * len(batch),
            "The mean of B losses has about 1/B of one loss's variance.",
        ),
        Mistake(
            "divided by B² instead of B",
            lambda batch, N: batch_variance(batch, N) / len(batch),
            "The mean has a factor 1/B, its square 1/B²; but B terms are summed, and one B cancels.",
        ),
    ],
)

EXERCISES = {
    "1.1": EXERCISE_1,
    "1.2": EXERCISE_2,
    "1.3": EXERCISE_3,
    "1.4": EXERCISE_4,
    "1.5": EXERCISE_5,
    "1.6": EXERCISE_6,
    "1.7": EXERCISE_7,
    "1.8": EXERCISE_8,
}
