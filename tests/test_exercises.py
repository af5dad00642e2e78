"""The exercises: solutions pass, mistakes are named, stubs are stubs, and the engine tells what is wrong."""

import functools
import itertools
import math
import types

import numpy as np
import pytest
import torch
from torch.nn import functional

from aetutor import corruption
from aetutor.data import load
from aetutor.exercises import EXERCISES, Exercise, Verdict, check
from aetutor.exercises.engine import mark
from aetutor.exercises.notebook_01 import mnist_eigenvalues
from aetutor.likelihoods import gaussian
from aetutor.objectives import denoising_loss
from aetutor.verify import to_tensor

REPEAT = 20
SIGMOID = torch.sigmoid
FUNCTIONS = [number for number, exercise in EXERCISES.items() if exercise.inputs]
NUMBERS = [number for number, exercise in EXERCISES.items() if not exercise.inputs]
MISTAKES = [(number, name) for number, exercise in EXERCISES.items() for name in exercise.mistakes]
BY_NAME = {EXERCISES[number].reference.__name__: number for number in FUNCTIONS}


def draw(number, size=4, seed=0):
    return EXERCISES[number].inputs(size, torch.Generator().manual_seed(seed))


def right(number, answer, times=REPEAT):
    for _ in range(times):
        verdict = check(number, answer)
        assert verdict.passed is True and verdict.mistake is None, verdict


def named(number, answer, name, times=REPEAT):
    for _ in range(times):
        verdict = check(number, answer)
        assert verdict.passed is False and verdict.mistake == name, verdict


# --- every exercise --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notebook", sorted({number.partition(".")[0] for number in EXERCISES}))
def test_a_notebook_has_five_exercises_or_more_counted_from_one(notebook):
    numbers = [number for number in EXERCISES if number.startswith(f"{notebook}.")]
    assert len(numbers) >= 5 and numbers == [f"{notebook}.{i}" for i in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("number", EXERCISES)
def test_the_reference_passes(number):
    right(number, EXERCISES[number].reference)


@pytest.mark.parametrize(("number", "name"), MISTAKES)
def test_each_mistake_is_recognised_by_its_own_name(number, name):
    named(number, EXERCISES[number].mistakes[name], name)


@pytest.mark.parametrize("number", EXERCISES)
def test_three_mistakes_or_more_each_with_its_why(number):
    exercise = EXERCISES[number]
    assert len(exercise.mistakes) >= 3 and exercise.mistakes.keys() == exercise.why.keys()
    assert exercise.prompt.endswith(".") and all(why.endswith((".", "?")) for why in exercise.why.values())


@pytest.mark.parametrize(("number", "name"), MISTAKES)
def test_a_recognised_mistake_is_explained(number, name):
    message = check(number, EXERCISES[number].mistakes[name]).message
    assert message.startswith(f"✗ Exercise {number}: not yet.")
    assert name in message and EXERCISES[number].why[name] in message


@pytest.mark.parametrize("number", FUNCTIONS)
def test_the_prompt_names_the_function_and_its_arguments(number):
    code = EXERCISES[number].reference.__code__
    signature = f"{code.co_name}({', '.join(code.co_varnames[:code.co_argcount])})"
    assert f"`{signature}`" in EXERCISES[number].prompt


@pytest.mark.parametrize("number", EXERCISES)
def test_a_right_answer_is_told_so(number):
    message = check(number, EXERCISES[number].reference).message
    assert message.startswith(f"✓ Exercise {number}: right")
    assert ("10 random inputs, in float32 and float64" in message) == (number in FUNCTIONS)


# --- the references, against something independent -------------------------------------------------------------------


def agrees(name, oracle, size=6):
    number = BY_NAME[name]
    for seed in range(5):
        arguments = draw(number, size, seed)
        result = EXERCISES[number].reference(*arguments)
        torch.testing.assert_close(result, torch.as_tensor(oracle(*arguments)), rtol=1e-10, atol=1e-10)


def test_cross_entropy_is_torchs():
    agrees("my_cross_entropy", lambda x, y: functional.binary_cross_entropy(y, x, reduction="none").sum(1))


def test_entropy_is_that_of_numpy_with_zero_times_log_zero_left_out():
    def entropy(x):
        terms = np.zeros(x.shape)
        for p in (x.numpy(), 1 - x.numpy()):
            terms[p > 0] -= p[p > 0] * np.log(p[p > 0])
        return terms.sum(1)

    agrees("my_entropy", entropy)


def test_logit_gradient_is_autograds():
    def gradient(a, x):
        a = a.clone().requires_grad_()
        loss = functional.binary_cross_entropy_with_logits(a, x, reduction="sum")
        return torch.autograd.grad(loss, a)[0]

    agrees("logit_gradient", gradient)


def test_batch_variance_is_that_of_all_batches():
    # unbiased: the mean of the estimates of all batches is the variance of all batches' means
    estimate = EXERCISES[BY_NAME["batch_variance"]].reference
    losses = 100 + 30 * torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for size in (2, 3, 7):
        batches = [losses[list(chosen)] for chosen in itertools.combinations(range(8), size)]
        variance = np.var([batch.mean().item() for batch in batches])
        assert np.mean([estimate(batch, 8).item() for batch in batches]) == pytest.approx(variance, rel=1e-12)


def test_masking_and_salt_and_pepper_have_the_moments_of_the_packages_own_draws():
    x = torch.linspace(0, 1, 11).double()
    draws = corruption.salt_and_pepper(x.expand(200_000, -1), 0.3, torch.Generator().manual_seed(0))
    deviations = (draws - draws.mean(0)).square()
    variance = EXERCISES[BY_NAME["salt_and_pepper_variance"]].reference(x, 0.3)
    error = deviations.std(0) / len(draws) ** 0.5
    assert ((deviations.mean(0) - variance).abs() < 4 * error).all() and (error < 0.001).all()
    u = torch.rand(9, 9, generator=torch.Generator().manual_seed(1))
    noisy = corruption.mask(torch.ones(9, 9), 0.4, torch.Generator().manual_seed(1))
    assert torch.equal(EXERCISES[BY_NAME["mask_with"]].reference(torch.ones(9, 9), u, 0.4), noisy)


def test_denoising_objective_is_the_packages_loss_less_the_gaussians_constant():
    x, x_tilde, r = draw(BY_NAME["denoising_objective"], 4)
    model = types.SimpleNamespace(encode=lambda images: images, decode=lambda z: gaussian(r(z.flatten(-3)).unflatten(
        -1, (1, 1, -1)), sigma=0.5**0.5))
    each = iter(x_tilde[:, :, None, None])
    loss = denoising_loss(model, x[:, None, None], lambda clean: next(each), samples=len(x_tilde))
    result = EXERCISES[BY_NAME["denoising_objective"]].reference(x, x_tilde, r)
    torch.testing.assert_close(result, loss - x.shape[1] / 2 * math.log(math.pi), rtol=1e-10, atol=1e-10)


def test_posterior_means_minimise_the_expected_squared_error():
    prior, likelihood, images = draw(BY_NAME["posterior_means"], 5)
    outputs = torch.zeros(likelihood.shape[1], images.shape[1], dtype=torch.float64, requires_grad=True)
    error = (prior[:, None] * likelihood * (images[:, None] - outputs).square().sum(-1)).sum()
    # one Newton step of a quadratic: its Hessian is 2 q(x_tilde) in each of the row's entries
    step = torch.autograd.grad(error, outputs)[0] / (2 * prior @ likelihood)[:, None]
    result = EXERCISES[BY_NAME["posterior_means"]].reference(prior, likelihood, images)
    torch.testing.assert_close(result, (outputs - step).detach())


def test_the_memory_is_the_mean_under_bayes_rule():
    agrees("softmax_memory", lambda *arguments: torch.stack(memory_by_torch_distributions(*arguments)))


def test_the_score_of_the_perfect_denoiser_of_a_gaussian():
    # x ~ N(2, 3²), x_tilde ~ N(x, σ²): the posterior mean is the precision-weighted one, and x_tilde ~ N(2, 3² + σ²)
    x_tilde, sigma = torch.linspace(-4, 8, 13).double()[:, None], 0.6
    restored = (x_tilde / sigma**2 + 2 / 9) / (1 / sigma**2 + 1 / 9)
    score = EXERCISES[BY_NAME["score_of_denoiser"]].reference(x_tilde, restored, sigma)
    torch.testing.assert_close(score, -(x_tilde - 2) / (9 + sigma**2))


def test_pca_loss_is_that_of_the_best_projection():
    def projected(covariance, size):
        vectors, values, _ = np.linalg.svd(covariance.numpy())
        kept = vectors[:, :size]
        left = np.eye(len(values)) - kept @ kept.T
        return np.trace(left @ covariance.numpy() @ left)

    agrees("pca_loss", projected)


def test_no_random_projection_beats_pca_loss():
    covariance, size = draw(BY_NAME["pca_loss"], 6)
    best = EXERCISES[BY_NAME["pca_loss"]].reference(covariance, size)
    for seed in range(50):
        basis = torch.linalg.qr(torch.randn(len(covariance), size, generator=torch.Generator().manual_seed(seed),
                                            dtype=torch.float64))[0]
        left = torch.eye(len(covariance), dtype=torch.float64) - basis @ basis.T
        assert (left @ covariance @ left).trace() > best


def test_memory_is_the_nearest_by_search():
    agrees("my_memory", lambda x, train: torch.stack([
        min(train, key=lambda image: math.dist(image.tolist(), one.tolist())) for one in x]))


@pytest.mark.parametrize("seed", range(3))
def test_entropys_inputs_hold_black_and_grey_pixels(seed):
    # without a black pixel nobody meets 0 · log 0; with no grey one the entropy is 0, and any rounding looks wrong
    for number in range(1000):
        (x,) = draw(BY_NAME["my_entropy"], 1, 1000 * seed + number)
        assert (x == 0).any() and ((x > 0.01) & (x < 0.99)).any()


# --- the number of dimensions ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spectra():
    """Eigenvalues, descending, of the covariance and of the second moments of the MNIST training images, by numpy."""
    x = load("mnist").train_x.flatten(1).numpy()
    mean = x.mean(0, dtype=np.float64) / 255
    second = sum(part.T @ part for part in (chunk / 255 for chunk in np.array_split(x, 12))) / len(x)
    return np.linalg.eigvalsh(second - np.outer(mean, mean))[::-1], np.linalg.eigvalsh(second)[::-1]


def smallest_k(eigenvalues):
    """How many of the eigenvalues, in this order, leave at most a tenth of their sum."""
    left = eigenvalues.sum() - np.cumsum(eigenvalues)
    return int(np.argmax(left <= 0.1 * eigenvalues.sum())) + 1


def test_the_number_of_dimensions_and_its_mistakes_are_mnists(spectra):
    number, (eigenvalues, not_centred) = NUMBERS[0], spectra
    k = smallest_k(eigenvalues)
    assert EXERCISES[number].reference == k == 87
    assert EXERCISES[number].mistakes == {
        "counted from zero": k - 1,
        "one too many": k + 1,
        "the smallest eigenvalues are kept": smallest_k(eigenvalues[::-1]),
        "10 % of the pixels": int(0.1 * 784),
        "90 % of the pixels": round(0.9 * 784),
        "the images are not centred": smallest_k(not_centred),
    }


def test_mnists_eigenvalues_are_numpys(spectra):
    np.testing.assert_allclose(mnist_eigenvalues().numpy(), spectra[0], rtol=1e-8, atol=1e-10)
    assert mnist_eigenvalues().sum().item() == pytest.approx(52.7, abs=0.1)


@pytest.mark.parametrize("answer", [87, 87.0, np.int64(87), np.array(87), torch.tensor(87), torch.tensor([87]), [87],
                                    lambda: 87],
                         ids=["int", "float", "int64", "array", "tensor", "tensor of one", "list", "function"])
def test_a_number_may_come_in_any_form(answer):
    right(NUMBERS[0], answer, times=1)


@pytest.mark.parametrize("answer", [12, -87, 0, 87.5, math.nan, math.inf])
def test_another_number_is_wrong_without_a_known_reason(answer):
    verdict = check(NUMBERS[0], answer)
    assert verdict.passed is False and verdict.mistake is None
    direction = ": it is larger" if answer < 87 else ": it is smaller" if answer > 87 else ""
    assert verdict.message == f"✗ Exercise {NUMBERS[0]}: not yet. {answer:g} is not the number{direction}."


# --- right in other words --------------------------------------------------------------------------------------------


def by_loops(x, y):
    return [float(sum(-a * math.log(b) - (1 - a) * math.log(1 - b) for a, b in zip(p, q, strict=True)))
            for p, q in zip(x.tolist(), y.tolist(), strict=True)]


def cross_entropy_in_numpy(x, y):
    x, y = x.numpy(), y.numpy()
    return -(x * np.log(y) + (1 - x) * np.log1p(-y)).sum(-1)


def gradient_by_autograd(a, x):
    a.requires_grad_()
    functional.binary_cross_entropy_with_logits(a, x, reduction="sum").backward()
    return a.grad


def pca_in_numpy(covariance, size):
    return np.linalg.svd(covariance.numpy().astype(float), compute_uv=False)[size:].sum()


def _mean(x, level):
    return (1 - level) * x + level / 2


def memory_by_torch_distributions(x_tilde, images, sigma):
    likelihood = torch.distributions.Normal(images, sigma).log_prob(x_tilde[:, None]).sum(-1).exp()
    return [(row[:, None] * images).sum(0) / row.sum() for row in likelihood]


RIGHT = {
    "my_cross_entropy": [
        lambda x, y: functional.binary_cross_entropy(y, x, reduction="none").sum(-1),
        lambda x, y: -torch.distributions.Bernoulli(probs=y, validate_args=False).log_prob(x).sum(1),
        lambda x, y: -(x * y.log() + (1 - x) * (1 - y).log()).sum(1, keepdim=True),
        lambda x, y: -(x * y.log() + (1 - x) * (1 - y).log()).sum(1)[None],
        lambda x, y: -(x.float() * y.float().log() + (1 - x.float()) * (1 - y.float()).log()).sum(1),
        lambda x, y: -(x * y.log() + (1 - x) * (1 - y).log()).sum(1).requires_grad_(),
        cross_entropy_in_numpy, by_loops, lambda x, y: tuple(by_loops(x, y)),
    ],
    "my_entropy": [
        lambda x: (torch.special.entr(x) + torch.special.entr(1 - x)).sum(1),
        lambda x: functional.binary_cross_entropy(x, x, reduction="none").sum(1),
        lambda x: np.where((x == 0) | (x == 1), 0, -x * (x + 1e-30).log() - (1 - x) * (1 - x + 1e-30).log()).sum(1),
    ],
    "logit_gradient": [
        lambda a, x: 1 / (1 + torch.exp(-a)) - x, lambda a, x: (a.sigmoid() - x).numpy(), gradient_by_autograd,
        lambda a, x: 0.5 * (1 + torch.tanh(a / 2)) - x,
    ],
    "batch_variance": [
        lambda batch, N: batch.var() * (1 / len(batch) - 1 / N),
        lambda batch, N: np.var(batch.numpy(), ddof=1) / len(batch) * (1 - len(batch) / N),
        lambda batch, N: float(((batch - batch.mean()) ** 2).sum() / (len(batch) - 1) * (1 / len(batch) - 1 / N)),
        lambda batch, N: (batch.var() / len(batch) * (1 - len(batch) / N)).view(1, 1),
    ],
    "pca_loss": [
        lambda C, K: C.trace() - torch.linalg.eigvalsh(C)[-K:].sum(), pca_in_numpy,
        lambda C, K: torch.linalg.svdvals(C)[K:].sum().item(),
    ],
    "my_memory": [
        lambda x, train: train[((x[:, None] - train) ** 2).sum(-1).argmin(1)],
        lambda x, train: [train[(train - image).norm(dim=1).argmin()].tolist() for image in x],
        lambda x, train: train.numpy()[np.linalg.norm(x.numpy()[:, None] - train.numpy(), axis=2).argmin(1)],
    ],
    "mask_with": [
        lambda x, u, level: torch.where(u < level, 0.0, x), lambda x, u, level: x.masked_fill(u < level, 0),
        lambda x, u, level: np.where(u.numpy() < level, 0, x.numpy()),
    ],
    "salt_and_pepper_variance": [
        # the law of total variance, given whether the pixel is replaced
        lambda x, level: level / 4 + level * (1 - level) * (x - 0.5) ** 2,
        lambda x, level: (1 - level) * (x - _mean(x, level)) ** 2 + level / 2 * (
            _mean(x, level) ** 2 + (1 - _mean(x, level)) ** 2),
    ],
    "denoising_objective": [
        lambda x, x_tilde, r: sum(((r(noisy) - x) ** 2).sum(1) for noisy in x_tilde) / len(x_tilde),
        lambda x, x_tilde, r: (torch.cdist(r(x_tilde)[:, :, None], x[None, :, None]) ** 2).squeeze().mean(0),
        lambda x, x_tilde, r: torch.einsum("sbd,sbd->b", r(x_tilde) - x, r(x_tilde) - x) / len(x_tilde),
    ],
    "posterior_means": [
        lambda prior, likelihood, images: torch.stack(
            [(prior * column) @ images / (prior * column).sum() for column in likelihood.T]),
        lambda prior, likelihood, images: (prior.log()[:, None] + likelihood.log()).softmax(0).T @ images,
        lambda prior, likelihood, images: (likelihood.T @ (prior[:, None] * images)) / (prior @ likelihood)[:, None],
    ],
    "softmax_memory": [
        lambda x_tilde, images, sigma: (-torch.cdist(x_tilde, images) ** 2 / (2 * sigma**2)).softmax(1) @ images,
        memory_by_torch_distributions,
    ],
    "score_of_denoiser": [
        lambda x_tilde, restored, sigma: torch.sub(restored, x_tilde) * sigma**-2,
        lambda x_tilde, restored, sigma: (restored.numpy() - x_tilde.numpy()) / sigma / sigma,
    ],
}


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT for answer in RIGHT[name]])
def test_any_correct_formulation_is_right(name, answer):
    right(BY_NAME[name], answer)


@pytest.mark.parametrize("name", RIGHT)
def test_rounding_in_float32_stays_far_below_the_tolerance(name):
    exercise = EXERCISES[BY_NAME[name]]
    for seed, size in itertools.product(range(100), (1, 2, 3, 5, 8)):
        arguments = [a.float() if isinstance(a, torch.Tensor) else a for a in draw(BY_NAME[name], size, seed)]
        want = exercise.reference(*(a.double() if isinstance(a, torch.Tensor) else a for a in arguments))
        for answer in [exercise.reference, *RIGHT[name]]:
            copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
            error = (to_tensor(answer(*copies)).view_as(want) - want).abs().max()
            assert error < exercise.rtol / 4 * want.abs().max(), f"{error} of {want}, size {size}, seed {seed}"


def test_every_function_has_other_formulations_here():
    assert RIGHT.keys() == BY_NAME.keys()


@pytest.mark.parametrize("answer", [
    lambda x: functional.binary_cross_entropy(x, x, reduction="none").sum(1),
    lambda x: torch.distributions.Bernoulli(probs=x).entropy().sum(1),
    lambda x: -(x * (x + 1e-12).log() + (1 - x) * (1 - x + 1e-12).log()).sum(1),
])
def test_entropies_that_are_right_up_to_rounding_are_right_on_black_and_white_images_too(answer):
    black_and_white = Exercise(**vars(EXERCISES[BY_NAME["my_entropy"]]) | {
        "inputs": lambda size, g: (torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.5, 1.0]], dtype=torch.float64),)})
    assert mark("1.2", black_and_white, answer).passed


@np.errstate(divide="ignore", invalid="ignore")
def entropy_with_nan(x):
    x = x.numpy()
    return -(x * np.log(x) + (1 - x) * np.log(1 - x)).sum(1)


WRONG = [
    ("my_cross_entropy", lambda x, y: functional.binary_cross_entropy(y, x), "the mean over pixels and batch"),
    ("my_cross_entropy", lambda x, y: functional.binary_cross_entropy(y, x).exp(), None),
    ("my_cross_entropy", lambda x, y: functional.binary_cross_entropy(y, x, reduction="none").mean(1),
     "the mean over the pixels instead of the sum"),
    ("my_cross_entropy", lambda x, y: functional.binary_cross_entropy(x, y, reduction="none").sum(1),
     "x and y exchanged"),
    ("my_entropy", entropy_with_nan, "0 · log 0 gives NaN"),
    ("my_entropy", lambda x: -(x * x.log()).nansum(1), "the second term is missing"),
    ("logit_gradient", lambda a, x: (SIGMOID(a) - x) / (SIGMOID(a) * (1 - SIGMOID(a))),
     "the derivative with respect to y"),
    ("logit_gradient", lambda a, x: -x / SIGMOID(a) + (1 - x) / (1 - SIGMOID(a)), "the derivative with respect to y"),
    ("logit_gradient", lambda a, x: 2 * (SIGMOID(a) - x) * SIGMOID(a) * (1 - SIGMOID(a)),
     "the gradient of the squared error"),
    ("batch_variance", lambda batch, N: np.var(batch.numpy(), ddof=1) / len(batch), "drawn with replacement"),
    ("batch_variance", lambda batch, N: np.var(batch.numpy()) / len(batch) * (1 - len(batch) / N),
     "the sample variance divided by B instead of B - 1"),
    ("pca_loss", lambda C, K: torch.linalg.svdvals(C)[:K].sum(), "the variance kept instead of the loss"),
    ("pca_loss", lambda C, K: torch.linalg.svdvals(C)[K:].mean(), None),
    ("my_memory", lambda x, train: ((x[:, None] - train) ** 2).sum(-1).argmin(1), "the index instead of the image"),
]


@pytest.mark.parametrize(("name", "answer", "mistake"), WRONG)
def test_a_mistake_is_recognised_in_other_words_too(name, answer, mistake):
    named(BY_NAME[name], answer, mistake)


# --- stubs -----------------------------------------------------------------------------------------------------------


def dots(*_):
    ...


def nothing(*_):
    pass


def not_implemented(*_):
    raise NotImplementedError("your turn")


@pytest.mark.parametrize("number", EXERCISES)
@pytest.mark.parametrize("stub", [None, ..., dots, nothing, not_implemented, lambda *_: None, lambda *_: ...],
                         ids=["None", "...", "dots", "pass", "NotImplementedError", "lambda None", "lambda ..."])
def test_a_stub_is_not_attempted_yet(number, stub):
    assert check(number, stub) == Verdict(None, None, f"… Exercise {number}: not attempted yet.")


def test_a_stub_whose_source_cannot_be_read_is_not_attempted_yet():
    cell = {}
    exec("def stub(*_):\n    raise NotImplementedError", cell)
    assert check(FUNCTIONS[0], cell["stub"]).passed is None


def unsupported(x):
    return x.long().softmax(1)


def test_an_operation_that_torch_does_not_implement_is_an_attempt():
    verdict = check(BY_NAME["my_entropy"], unsupported)
    assert verdict.passed is False and "NotImplementedError" in verdict.message


# --- what the student's code raises ----------------------------------------------------------------------------------


def misspelled(x, y):
    z = x + y
    return z.summ(1)


def deep(x, y):
    return torch.linalg.inv(x[:, :1])  # not square


def helper(x):
    return x.nowhere


def with_helper(x, y):
    first = x.sum(1)
    return first + helper(x)


class Callable:
    def __call__(self, x, y):
        return x.nothing_like_it


def three(k, x, y):
    return x.nothing_at_all


@pytest.mark.parametrize(("answer", "error", "line"), [
    (misspelled, "AttributeError", "return z.summ(1)"),
    (deep, "LinAlgError|RuntimeError", "return torch.linalg.inv(x[:, :1])  # not square"),
    (with_helper, "AttributeError", "return x.nowhere"),
    (lambda x, y: x @ y, "RuntimeError", "(lambda x, y: x @ y,"),
    (Callable(), "AttributeError", "return x.nothing_like_it"),
    (functools.partial(three, 1), "AttributeError", "return x.nothing_at_all"),
    (Callable().__call__, "AttributeError", "return x.nothing_like_it"),
], ids=["function", "inside torch", "helper", "lambda", "object", "partial", "method"])
def test_an_exception_is_shown_short_with_the_students_own_line(answer, error, line):
    verdict = check(BY_NAME["my_cross_entropy"], answer)
    assert verdict.passed is False and verdict.mistake is None
    first, _, second = verdict.message.partition("\n")
    assert any(f"your code raised {name}: " in first for name in error.split("|"))
    assert second.strip().startswith("line ") and line in second and "\n" not in second


@pytest.mark.parametrize(("answer", "raising", "below", "line"), [
    (misspelled, misspelled, 2, "return z.summ(1)"), (with_helper, helper, 1, "return x.nowhere"),
], ids=["in the function", "in a helper"])
def test_the_line_number_is_that_of_the_line(answer, raising, below, line):
    number = raising.__code__.co_firstlineno + below
    assert f"line {number}: {line}" in check(BY_NAME["my_cross_entropy"], answer).message


@pytest.mark.parametrize("answer", [lambda: 1, lambda x: x, lambda x, y, z: x, 1 .__add__, dict])
def test_a_function_that_cannot_be_called_as_asked_is_reported(answer):
    verdict = check(BY_NAME["my_cross_entropy"], answer)
    assert verdict.passed is False and "Error" in verdict.message


def test_an_empty_exception_is_reported():
    def silent(x, y):
        raise ValueError

    assert "your code raised ValueError: no message" in check(BY_NAME["my_cross_entropy"], silent).message


def test_ctrl_c_is_not_swallowed():
    def interrupted(x, y):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(BY_NAME["my_cross_entropy"], interrupted)


# --- answers of the wrong kind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", FUNCTIONS)
@pytest.mark.parametrize("value", [3.0, torch.ones(3), "cross_entropy", [1, 2]],
                         ids=["number", "tensor", "text", "list"])
def test_a_value_where_a_function_is_asked(number, value):
    verdict = check(number, value)
    assert verdict.passed is False and verdict.mistake is None
    assert "it asks for a function; got" in verdict.message and "without calling it" in verdict.message


@pytest.mark.parametrize("result", ["text", {"loss": 1}, object(), [1.0, [2.0, 3.0]], [None, None]],
                         ids=["text", "dict", "object", "ragged", "list of None"])
def test_a_result_that_is_no_number_is_named(result):
    verdict = check(BY_NAME["my_cross_entropy"], lambda x, y: result)
    assert verdict.passed is False and "the result must be a number, an array or a tensor; got" in verdict.message


def test_a_text_is_not_a_number():
    verdict = check(NUMBERS[0], "87")
    assert verdict.passed is False and "got '87'" in verdict.message


@pytest.mark.parametrize("number", ["9.9", "1.99", "", 1.2, None])
def test_an_unknown_exercise_lists_the_known_ones(number):
    with pytest.raises(ValueError, match=f"no exercise {number!r}: give one of the texts '1.1', '1.2'"):
        check(number, 1)


# --- the engine ------------------------------------------------------------------------------------------------------

SUM = Exercise(prompt="The sum.", reference=lambda x: x.sum(), mistakes={"the mean": lambda x: x.mean()},
               why={"the mean": "Do not divide."}, inputs=lambda size, g: (torch.arange(float(size)).double() + 0.5,))


def test_a_verdict_shows_itself():
    verdict = check("1.1", None)
    assert repr(verdict) == verdict.message


def test_the_smallest_failing_input_is_shown():
    verdict = mark("0.1", SUM, lambda x: x.sum() if len(x) < 3 else x.sum() + 1)
    assert (verdict.passed, verdict.mistake) == (False, None)
    assert verdict.message == ("✗ Exercise 0.1: not yet. The smallest input that shows it: x = [0.5, 1.5, 2.5]. "
                               "Your result: 5.5; expected: 4.5.")


def test_a_failing_float_type_is_shown_at_its_size():
    message = mark("0.1", SUM, lambda x: x.sum() if x.dtype == torch.float64 else x.sum() + 1).message
    assert "smallest input that shows it (in float32): x = [0.5]. Your result: 1.5; expected: 0.5." in message


def test_an_unknown_mistake_in_an_exercise_shows_its_smallest_input():
    seen = []

    def wrong(losses, batch_size):
        seen.append((losses, batch_size))
        return 12345.5 if len(losses) > 5 else EXERCISES[BY_NAME["batch_variance"]].reference(losses, batch_size)

    verdict = check(BY_NAME["batch_variance"], wrong)
    losses, batch_size = next((losses, b) for losses, b in seen if len(losses) > 5)
    assert verdict.passed is False and verdict.mistake is None
    shown = str(losses.double().round(decimals=4).tolist())
    wanted = f"The smallest input that shows it: batch = {shown}, N = {batch_size}. Your result: 12345.5;"
    assert wanted in verdict.message


def test_a_result_of_another_shape_is_told_both_shapes():
    message = mark("0.1", SUM, lambda x: torch.stack([x.sum(), x.sum()])).message
    assert "Your result of shape (2,): [0.5, 0.5]; expected of shape (): 0.5." in message


def test_large_tensors_are_not_printed():
    big = Exercise(**vars(SUM) | {"inputs": lambda size, g: (torch.ones(13, dtype=torch.float64),)})
    assert "shows it: x = a tensor of shape (13,). Your result: 99;" in mark("0.1", big, lambda x: 99.0).message


def test_inputs_are_fresh_each_time():
    seen = []
    answer = EXERCISES[BY_NAME["my_entropy"]].reference
    for _ in range(2):
        check(BY_NAME["my_entropy"], lambda x: seen.append(x) or answer(x))
    first, second = seen[:10], seen[10:]
    assert len(second) == 10 and not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_several_sizes_and_both_float_types_are_tried_smallest_first():
    seen = []
    check("1.1", lambda x, y: seen.append((x.numel(), x.dtype)) or torch.zeros(len(x)))
    sizes = [size for size, _ in seen[:10]]  # one call more finds out whether the answer repeats itself
    assert sizes == sorted(sizes) and len(set(sizes)) == 5
    assert all({dtype for s, dtype in seen if s == size} == {torch.float32, torch.float64} for size in sizes)


def test_an_answer_that_is_right_in_one_float_type_only_is_wrong():
    reference = EXERCISES["1.1"].reference
    assert check("1.1", lambda x, y: reference(x, y) * (1 if x.dtype == torch.float64 else 1.01)).passed is False


def test_an_answer_may_change_its_arguments():
    def greedy(x, y):
        result = EXERCISES["1.1"].reference(x, y)
        x.zero_()
        y.zero_()
        return result

    right("1.1", greedy, times=3)


def test_a_fixed_case_does_not_pass():
    x, y = draw("1.1")
    constant = EXERCISES["1.1"].reference(x, y)
    assert check("1.1", lambda *_: constant).passed is False


def test_the_callers_random_state_is_untouched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check("1.1", EXERCISES["1.1"].reference)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("factor", "passed"), [(1 + 1e-5, True), (1 - 1e-5, True), (1.001, False), (0.999, False)])
def test_the_tolerance_is_one_in_ten_thousand(factor, passed):
    for number in FUNCTIONS:
        reference = EXERCISES[number].reference
        assert check(number, lambda *a, r=reference: factor * r(*a)).passed is passed


def test_nan_is_not_a_right_answer():
    for number in FUNCTIONS:
        reference = EXERCISES[number].reference
        assert check(number, lambda *a, r=reference: math.nan * r(*a)).passed is False


def test_a_verdict_is_true_only_when_the_answer_is_right():
    number = BY_NAME["my_memory"]
    assert check(number, EXERCISES[number].reference)
    assert not check(number, lambda x, stored: x) and not check(number, None)


def test_a_complex_result_is_named():
    verdict = check(BY_NAME["pca_loss"], lambda C, K: torch.linalg.eigvals(C)[K:].sum())
    assert verdict.passed is False and "the result is complex" in verdict.message


@pytest.mark.parametrize("number", EXERCISES)
def test_an_exercise_prints_its_prompt(number):
    assert repr(EXERCISES[number]) == EXERCISES[number].prompt


# --- stubs, random answers, counterexamples --------------------------------------------------------------------------


def forgot_the_return(x, u, level):
    x * (u >= level)


def only_a_docstring(x, u, level):
    """To do."""


def passes(x, u, level):
    pass


@pytest.mark.parametrize(("answer", "hint"), [(forgot_the_return, True), (only_a_docstring, False), (passes, False),
                                              (lambda x, u, level: ..., False), (lambda x, u, level: None, False)])
def test_a_missing_return_is_told_from_a_stub(answer, hint):
    verdict = check(BY_NAME["mask_with"], answer)
    assert verdict.passed is None and ("is the `return` missing?" in verdict.message) == hint


def test_dropout_is_recognised_though_it_draws_its_own_random_numbers():
    named(BY_NAME["mask_with"], lambda x, u, level: functional.dropout(x, level), "rescaled as dropout does")


@pytest.mark.parametrize("answer", [lambda x, u, level: torch.where(torch.rand_like(x) < level, 1.0, x),
                                    lambda x, u, level: x * (torch.rand_like(x) >= level)])
def test_an_answer_with_random_numbers_of_its_own_is_told_so(answer):
    verdict = check(BY_NAME["mask_with"], answer)
    assert verdict.passed is False and "draws random numbers of its own" in verdict.message


def test_a_counterexample_names_its_arguments_and_rounds_its_numbers():
    message = check(BY_NAME["denoising_objective"], lambda x, x_tilde, r: 7.0).message
    assert "x = [[" in message and "x_tilde = " in message and "r = the function restore. Your" in message
    message = check(BY_NAME["softmax_memory"], lambda x_tilde, images, sigma: 7.0).message
    sigma = message.partition("sigma = ")[2].partition(". Your")[0]
    assert len(sigma) <= 6 and 0.3 <= float(sigma) <= 0.7
