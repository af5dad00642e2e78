"""The exercises as a whole and the engine: solutions pass, mistakes are named, and what is wrong is told shortly.

Each exercise's own mathematics is in test_exercises_answers.py.
"""

import functools
import math
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from aetutor import corruption
from aetutor.data import binarize, load, to_unit
from aetutor.exercises import EXERCISES, Exercise, Mistake, Verdict, check
from aetutor.exercises.build import code_size, outputs
from aetutor.exercises.engine import BuildExercise, NotAnAnswer, mark
from aetutor.exercises.notebook_01 import quadratic_autoencoder
from aetutor.models import VAE, Autoencoder
from aetutor.objectives import elbo, reconstruction_loss
from aetutor.training import Trainer

FUNCTIONS = [number for number, exercise in EXERCISES.items() if exercise.inputs]
BUILDS = [number for number, exercise in EXERCISES.items() if isinstance(exercise, BuildExercise)]
MISTAKES = [(number, mistake) for number, exercise in EXERCISES.items() for mistake in exercise.mistakes]
IDS = [f"{number} {mistake.name}" for number, mistake in MISTAKES]


def draw(number, size=4, seed=0):
    return EXERCISES[number].inputs(size, torch.Generator().manual_seed(seed))


# --- every exercise --------------------------------------------------------------------------------------------------


def test_the_exercises_of_a_notebook_are_counted_from_one():
    for notebook, count in (("1", 8), ("2", 6), ("3", 7), ("4", 7)):
        numbers = [number for number in EXERCISES if number.startswith(f"{notebook}.")]
        assert numbers == [f"{notebook}.{i}" for i in range(1, count + 1)]


@pytest.mark.parametrize("number", EXERCISES)
def test_the_reference_is_right(number):
    for _ in range(3 if number in FUNCTIONS else 1):
        verdict = check(number, EXERCISES[number].reference)
        assert verdict.passed is True and verdict.mistake is None and verdict.arguments is None, verdict
        assert verdict.message.startswith(f"✓ Exercise {number}: right")
        assert ("10 random inputs, in float32 and float64" in verdict.message) == (number in FUNCTIONS)


@pytest.mark.parametrize("number", EXERCISES)
def test_an_exercise_has_three_mistakes_or_more_by_name_each_explained(number):
    exercise = EXERCISES[number]
    names = [mistake.name for mistake in exercise.mistakes]
    assert len(names) >= 3 and len(set(names)) == len(names)
    assert not any(", and " in name for name in names)  # one mistake each
    assert repr(exercise) == exercise.prompt and exercise.prompt.endswith(".")
    assert all(mistake.why.endswith((".", "?")) for mistake in exercise.mistakes)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "mistake"), MISTAKES, ids=IDS)
def test_each_mistake_is_recognised_by_its_own_name(number, mistake):
    for _ in range(10 if number in FUNCTIONS else 1):
        verdict = check(number, mistake.answer)
        assert verdict.passed is False and verdict.mistake == mistake.name, verdict
        assert verdict.message.startswith(
            f"✗ Exercise {number}: not yet. A typical mistake: {mistake.name}. {mistake.why}"
        )


@pytest.mark.parametrize("number", FUNCTIONS)
def test_the_prompt_names_the_function_and_its_arguments(number):
    code = EXERCISES[number].reference.__code__
    signature = f"{code.co_name}({', '.join(code.co_varnames[: code.co_argcount])})"
    assert f"`{signature}`" in EXERCISES[number].prompt


@pytest.mark.parametrize("number", FUNCTIONS)
def test_the_tolerance_is_small_and_nan_is_not_right(number):
    reference = EXERCISES[number].reference
    for factor, passed in ((1 + 1e-6, True), (1.001, False), (0.999, False), (math.nan, False)):
        assert check(number, lambda *a, by=factor: by * reference(*a)).passed is passed


@pytest.mark.parametrize("number", FUNCTIONS)
def test_a_counterexample_is_short(number):
    message = check(number, lambda *arguments: torch.full((7, 7, 7), 3.25)).message
    assert len(message) < 450 and ("a tensor of shape" in message.partition("Your result")[0]) <= (
        "verdict.arg" in message
    )


# --- the engine ------------------------------------------------------------------------------------------------------

SUM = Exercise(
    prompt="The sum.",
    reference=lambda x: x.sum(),
    mistakes=[Mistake("the mean", lambda x: x.mean(), "Do not divide.")],
    inputs=lambda size, g: (torch.arange(float(size)).double() + 0.5,),
)


def like_sum(**changes):
    return Exercise(**vars(SUM) | changes)


def test_the_smallest_failing_input_is_shown_and_kept():
    verdict = mark("0.1", SUM, lambda x: x.sum() if len(x) < 3 else x.sum() + 1)
    assert (verdict.passed, verdict.mistake) == (False, None)
    assert verdict.message == (
        "✗ Exercise 0.1: not yet. The smallest input that shows it: x = [0.5, 1.5, 2.5]. "
        "Your result: 5.5; expected: 4.5."
    )
    assert verdict.arguments.keys() == {"x"} and verdict.arguments["x"].tolist() == [0.5, 1.5, 2.5]
    assert repr(verdict) == verdict.message and not verdict


def test_the_arguments_show_the_mistake_again():
    wrong = lambda V, c, z, x: EXERCISES["1.3"].reference(V, c, z, x) + (len(x) > 3)  # noqa: E731
    verdict = check("1.3", wrong)
    right = EXERCISES["1.3"].reference(**verdict.arguments)
    assert torch.equal(wrong(**verdict.arguments), right + 1) and len(verdict.arguments["x"]) == 4
    assert "`verdict.arguments`" in verdict.message


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("1.8", lambda batch, N: batch.var() / len(batch)),  # a known mistake
        ("1.8", lambda batch, N: batch.nowhere),
        ("1.8", lambda batch, N: "text"),
        ("1.8", lambda batch, N: torch.rand(())),
    ],
)
def test_the_arguments_are_kept_whatever_is_wrong(number, answer):
    arguments = check(number, answer).arguments
    assert arguments.keys() == {"batch", "N"} and len(arguments["batch"]) == 2


def test_a_failing_float_type_is_shown_at_its_size():
    verdict = mark("0.1", SUM, lambda x: x.sum() if x.dtype == torch.float64 else x.sum() + 1)
    assert "shows it (in float32): x = [0.5]. Your result: 1.5; expected: 0.5." in verdict.message
    assert verdict.arguments["x"].dtype == torch.float32


def test_a_known_mistake_is_named_with_its_reason():
    verdict = mark("0.1", SUM, lambda x: x.numpy().mean())
    assert verdict.mistake == "the mean"
    assert verdict.message == "✗ Exercise 0.1: not yet. A typical mistake: the mean. Do not divide."


def test_a_mistake_is_known_by_its_sign_only_where_each_trial_shows_it():
    sign = lambda x, result: bool(result > 1000)  # noqa: E731
    large = like_sum(mistakes=[Mistake("large", lambda x: x.sum(), "It is large.", sign=sign)])
    assert mark("0.1", large, lambda x: 5000 + len(x)).mistake == "large"
    assert mark("0.1", large, lambda x: 5000 if len(x) > 1 else 3).mistake is None
    assert mark("0.1", large, lambda x: torch.full((2,), 5000.0)).mistake is None  # the sign cannot judge it


def test_a_result_of_another_shape_is_told_both_shapes():
    message = mark("0.1", SUM, lambda x: torch.stack([x.sum(), x.sum()])).message
    assert "Your result of shape (2,): [0.5, 0.5]; expected of shape (): 0.5." in message
    message = mark("0.1", SUM, lambda x: torch.ones(2, 8)).message
    assert "Your result: a tensor of shape (2, 8); expected of shape (): 0.5." in message


def test_large_tensors_are_not_printed_but_kept():
    verdict = mark("0.1", like_sum(inputs=lambda size, g: (torch.ones(7).double(),)), lambda x: 99.0)
    assert "shows it: x = a tensor of shape (7,). Your result: 99; expected: 7. To try it: verdict" in verdict.message
    assert verdict.arguments["x"].shape == (7,)


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([((0, 5), 0.25)], "at [0, 5]: 0.25 instead of 1."),
        ([((0, 5), 0.25), ((1, 7), 3.0)], "at [1, 7]: 3 instead of 1."),
        ([((0, 5), 0.25), ((1, 0), math.nan)], "at [1, 0]: nan instead of 1."),
        ([((0, 5), 0.25), ((1, 2), -math.inf)], "at [1, 2]: -inf instead of 1."),
    ],
)
def test_of_a_large_result_the_entry_that_differs_most_is_shown(places, told):
    def answer(x):
        result = torch.ones(2, 8)
        for place, value in places:
            result[place] = value
        return result[:, None]  # axes of length 1 do not matter

    message = mark("0.1", like_sum(reference=lambda x: torch.ones(2, 8), mistakes=[]), answer).message
    assert message.endswith(f"Your result, a tensor of shape (2, 8), is furthest off {told}")


def test_integers_are_shown_as_integers_and_functions_by_name():
    labels = like_sum(reference=lambda x, f: x.sum(), inputs=lambda size, g: (torch.arange(2, size + 3), draw))
    message = mark("0.1", labels, lambda x, f: x.sum() + 7).message
    assert "shows it: x = [2, 3], f = the function draw. Your result: 12; expected: 5. To try it" in message


def test_inputs_are_fresh_and_grow_and_come_in_both_float_types():
    seen = []
    for _ in range(2):
        check("1.2", lambda x: seen.append(x) or EXERCISES["1.2"].reference(x))
    assert not any(torch.equal(a, b) for a, b in zip(seen[:10], seen[10:], strict=True))
    sizes = [x.numel() for x in seen[:10]]
    assert sizes == sorted(sizes) and len(set(sizes)) == 5
    assert [x.dtype for x in seen[:10]] == 5 * [torch.float64, torch.float32]


def test_an_answer_that_is_right_in_one_float_type_only_is_wrong():
    factors = {torch.float32: 1.01, torch.float64: 1.0}
    assert check("1.2", lambda x: EXERCISES["1.2"].reference(x) * factors[x.dtype]).passed is False


def test_an_answer_may_change_its_arguments():
    def greedy(x, stored):
        result = EXERCISES["1.4"].reference(x, stored)
        x.zero_()
        stored.zero_()
        return result

    assert check("1.4", greedy)


def test_the_callers_random_state_is_untouched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check("1.2", EXERCISES["1.2"].reference)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("2.1", lambda x, level: torch.rand_like(x)),
        ("3.4", lambda x, mu, v, eps, f: EXERCISES["3.4"].reference(x, mu, v, torch.randn_like(eps), f)),
    ],
)
def test_an_answer_with_random_numbers_of_its_own_is_told_so(number, answer):
    verdict = check(number, answer)
    assert verdict.passed is False and "draws random numbers of its own" in verdict.message


@pytest.mark.parametrize("number", ["9.9", "1.99", "", 1.2, None])
def test_an_unknown_exercise_lists_the_known_ones(number):
    with pytest.raises(ValueError, match=f"no exercise {number!r}: give one of the texts '1.1', '1.2'"):
        check(number, 1)


# --- stubs -----------------------------------------------------------------------------------------------------------


def dots(*_): ...


def only_a_docstring(*_):
    """To do."""


def not_implemented(*_):
    raise NotImplementedError("your turn")


@torch.no_grad()
def decorated(*_):
    pass


def forgot_the_return(x, level):
    x * (1 - level)


STUBS = [None, ..., dots, only_a_docstring, not_implemented, decorated, lambda *_: None, functools.partial(dots, 1)]


@pytest.mark.parametrize("number", EXERCISES)
def test_a_stub_is_not_attempted_yet(number):
    for stub in STUBS:
        assert check(number, stub) == Verdict(None, None, f"… Exercise {number}: not attempted yet.")


def test_a_stub_whose_source_cannot_be_read_is_not_attempted_yet():
    cell = {}
    exec("def stub(*_):\n    raise NotImplementedError", cell)
    assert check("1.1", cell["stub"]).passed is None


def test_a_missing_return_is_told_from_a_stub():
    for answer in (forgot_the_return, torch.no_grad()(forgot_the_return)):
        verdict = check("2.1", answer)
        assert verdict.passed is None and "is the `return` missing?" in verdict.message


@pytest.mark.parametrize("answer", [lambda x: x.long().softmax(1), nn.Module()], ids=["an operation", "no forward"])
def test_what_torch_does_not_implement_is_an_attempt(answer):
    verdict = check("1.2", answer)
    assert verdict.passed is False and "NotImplementedError" in verdict.message


# --- what the student's code raises ----------------------------------------------------------------------------------


def misspelled(a, x):
    z = a + x
    return z.summ(1)


def deep(a, x):
    return torch.linalg.inv(x[:, :1])  # not square


def in_library(a, x):
    return functional.binary_cross_entropy(x, x[:, :1])  # not of one shape


def helper(x):
    return x.nowhere


def with_helper(a, x):
    first = x.sum(1)
    return first + helper(x)


class Callable:
    def __call__(self, a, x):
        return x.nothing_like_it


class Model(nn.Module):
    def forward(self, a, x):
        return x.nothing_like_it


def three(k, a, x):
    return x.nothing_at_all


@pytest.mark.parametrize(
    ("answer", "error", "line"),
    [
        (misspelled, "AttributeError", "return z.summ(1)"),
        (deep, "LinAlgError|RuntimeError", "return torch.linalg.inv(x[:, :1])  # not square"),
        (in_library, "ValueError", "return functional.binary_cross_entropy(x, x[:, :1])  # not of one shape"),
        (with_helper, "AttributeError", "return x.nowhere"),
        (torch.no_grad()(misspelled), "AttributeError", "return z.summ(1)"),
        (functools.lru_cache(misspelled), "AttributeError", "return z.summ(1)"),
        (functools.partial(torch.no_grad()(three), 1), "AttributeError", "return x.nothing_at_all"),
        (lambda a, x: a @ x, "RuntimeError", "(lambda a, x: a @ x,"),
        (Callable(), "AttributeError", "return x.nothing_like_it"),
        (Callable().__call__, "AttributeError", "return x.nothing_like_it"),
        (Model(), "AttributeError", "return x.nothing_like_it"),
        (lambda a, x: sys.exit(1), "SystemExit", "lambda a, x: sys.exit(1)"),
    ],
)
def test_an_exception_is_shown_short_with_the_students_own_line(answer, error, line):
    verdict = check("1.1", answer)
    assert verdict.passed is False and verdict.mistake is None
    first, _, second = verdict.message.partition("\n")
    assert any(f"your code raised {name}: " in first for name in error.split("|"))
    assert second.strip().startswith("line ") and line in second and "\n" not in second


def test_the_line_number_is_that_of_the_line():
    assert f"line {helper.__code__.co_firstlineno + 1}: return x.nowhere" in check("1.1", with_helper).message


@pytest.mark.parametrize("answer", [lambda: 1, lambda x: x, lambda x, y, z: x, (1).__add__, dict])
def test_a_function_that_cannot_be_called_as_asked_is_reported(answer):
    verdict = check("1.1", answer)
    assert verdict.passed is False and "Error" in verdict.message


class Mute(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("error", "name"), [(ValueError, "ValueError"), (Mute, "Mute"), (GeneratorExit, "GeneratorExit")]
)
def test_an_exception_without_a_message_is_reported(error, name):
    def silent(a, x):
        raise error

    assert f"your code raised {name}: no message" in check("1.1", silent).message


def test_ctrl_c_is_not_swallowed():
    def interrupted(a, x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("1.1", interrupted)


# --- answers of the wrong kind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3.0, torch.ones(3), "cross_entropy", [1, 2]], ids=str)
def test_a_value_where_a_function_is_asked(value):
    verdict = check("1.1", value)
    assert verdict.passed is False and verdict.mistake is None
    assert "it asks for a function; got" in verdict.message and "without calling it" in verdict.message


class Hostile:
    def __repr__(self):
        raise RuntimeError

    def __getattr__(self, name):
        raise RuntimeError

    def __array__(self, *arguments, **settings):
        raise RuntimeError


def odd_results():
    yield from ("text", {"loss": 1}, object(), [1.0, [2.0, 3.0]], [None, None], Hostile(), 10**400)
    yield from (torch.eye(2).to_sparse(), torch.ones(2, device="meta"), [torch.ones(2, device="meta")])
    yield from (torch.eye(2).to_sparse_csr(), torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))
    yield torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_result_that_is_no_number_is_named():
    for result in odd_results():
        for verdict in (check("1.1", lambda a, x, r=result: r), check("1.5", result), check("1.5", lambda r=result: r)):
            assert verdict.passed is False and verdict.mistake is None
            assert "ordinary dense tensor; got" in verdict.message or isinstance(result, Hostile)
        assert not check("1.7", result) and not check("1.7", lambda x, r=result: r)


def test_a_text_is_not_a_number():
    assert "got '87'" in check("1.5", "87").message


@pytest.mark.parametrize("operation", [torch.min, torch.sort, torch.median])
def test_values_and_indices_are_told_apart(operation):
    verdict = check("1.4", lambda x, stored: operation(torch.cdist(x, stored), 1))
    assert verdict.passed is False and "returns a pair (values, indices)" in verdict.message


def test_a_complex_result_is_named():
    verdict = check("1.2", lambda x: torch.fft.fft(x).sum())
    assert verdict.passed is False and "the result is complex" in verdict.message


# --- models ----------------------------------------------------------------------------------------------------------

IMAGES = torch.rand(1500, 1, 28, 28, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """A network of a student: batch norm and dropout show its mode; its call is the reconstruction."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(784), nn.Dropout(0.5), nn.Linear(784, 8), nn.Linear(8, 784)
        )
        self.net[2].eval()  # modes may be mixed

    def forward(self, x):
        assert not torch.is_grad_enabled() and len(x) <= 1000
        return self.net(x)


class Halves:
    """Neither a module nor callable."""

    def encode(self, x):
        return x.flatten(1)[:, :8]

    def decode(self, z):
        return torch.cat([z, z.new_zeros(len(z), 776)], 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_is_asked_at_rest_and_left_as_it_was(dtype):
    model = Small().to(dtype)
    modes = [module.training for module in model.modules()]
    statistics = model.net[1].running_mean.clone()
    result = outputs(model, IMAGES)
    assert result.shape == (1500, 784) and result.dtype == torch.float64 and not result.requires_grad
    assert torch.equal(result, outputs(model, IMAGES)) and torch.equal(model.net[1].running_mean, statistics)
    assert [module.training for module in model.modules()] == modes
    for seen in (model.forward, model.__call__):  # a method's module is known, too
        assert torch.equal(outputs(seen, IMAGES), result)


def test_a_model_that_fails_is_left_as_it_was():
    model = Small()
    with pytest.raises(NotAnAnswer, match="your code raised"):
        outputs(model, IMAGES[:, :, :20])
    assert model.training


def test_reconstruct_comes_before_the_call_and_halves_will_do():
    model = Autoencoder(latent_dim=8)
    with torch.no_grad():
        expected = model.reconstruct(IMAGES[:9]).flatten(1).double()
    assert torch.equal(outputs(model, IMAGES[:9]), expected)
    assert torch.equal(outputs(Halves(), IMAGES[:9])[:, :8], IMAGES[:9].flatten(1)[:, :8].double())


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: x,
        lambda x: x.flatten(1),
        lambda x: x[:, 0],
        lambda x: x.numpy(),
        lambda x: torch.distributions.Normal(x, 1),
    ],
    ids=["images", "rows", "no channel", "numpy", "distribution"],
)
def test_reconstructions_come_in_many_forms(answer):
    assert torch.equal(outputs(answer, IMAGES), IMAGES.flatten(1).double())


def test_the_images_are_copies():
    before = IMAGES.clone()
    outputs(lambda x: x.zero_(), IMAGES)
    assert torch.equal(IMAGES, before)


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (Autoencoder(latent_dim=3), 3),
        (VAE(latent_dim=5), 5),
        (Halves(), 8),
        (VAE(latent_dim=5).reconstruct, 5),
        (Small(), None),
    ],
)
def test_the_size_of_the_code_is_seen_where_there_is_an_encode(model, size):
    assert code_size(model, IMAGES) == size


def test_of_a_pair_of_mean_and_spread_the_mean_is_the_code():
    model = Halves()
    model.encode = lambda x: (x.flatten(1)[:, :4], x.flatten(1)[:, :4])
    assert code_size(model, IMAGES) == 4


def test_a_build_exercise_tells_what_was_measured():
    verdict = check("1.7", quadratic_autoencoder)
    assert verdict.message == (
        "✓ Exercise 1.7: right. Squared error 23.4 on 10,000 test images; PCA with K = 8 has 29.35."
    )
    verdict = check("1.7", lambda x: 0.5 * quadratic_autoencoder(x))
    assert verdict.passed is False and verdict.mistake is None
    assert "not yet. Squared error " in verdict.message and verdict.message.endswith("PCA with K = 8 has 29.35.")


def test_the_error_of_pca_is_that_of_numpy_and_the_report_that_of_the_images():
    data = load("mnist")
    train, test = (images.flatten(1).numpy() / np.float32(255) for images in (data.train_x, data.test_x))
    mean = train.mean(0)
    rows = np.linalg.eigh((train - mean).T @ (train - mean))[1][:, -8:].T
    error = np.square((test - mean) - (test - mean) @ rows.T @ rows).sum(1).mean()
    facts = EXERCISES["1.7"].measure(lambda x: 0 * x + 0.1)
    assert facts["pca"] == pytest.approx(error, rel=1e-4) and facts["pca"] == pytest.approx(29.35, abs=0.005)
    assert facts["error"] == pytest.approx(
        (to_unit(data.test_x) - 0.1).square().flatten(1).sum(1).mean().item(), rel=1e-5
    )
    assert facts["mean image"] == pytest.approx(np.square(test - mean).sum(1).mean(), rel=1e-4)


def test_the_psnr_of_the_median_filter_is_that_of_numpy_on_images_with_the_packages_noise():
    clean = to_unit(load("mnist").test_x)
    noisy = corruption.salt_and_pepper(clean, 0.5, torch.Generator().manual_seed(0)).numpy()
    padded = np.pad(noisy, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    error = np.square(np.median(windows, axis=(-2, -1)) - clean.numpy()).mean()
    facts = EXERCISES["2.6"].measure(lambda x: 0 * x)
    assert facts["median"] == pytest.approx(-10 * np.log10(error), abs=1e-3)
    assert facts["psnr"] == pytest.approx(-10 * math.log10(clean.square().mean().item()), abs=1e-3)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Small, "got the class Small: make a model of it, and train it."),
        (3.0, "got an object of type float."),
        (nn.Module(), "got an object of type Module."),
        (lambda x: (x, x), "for images (1000, 1, 28, 28) your model gives (2, 1000, 1, 28, 28)."),
        (lambda x: x[:, :, :14], "your model gives (1000, 1, 14, 28)."),
        (lambda x: x.nowhere, "your code raised AttributeError"),
        (nn.Linear(784, 784), "your code raised RuntimeError"),
    ],
    ids=["class", "number", "no forward", "pair", "shape", "raises", "rows"],
)
def test_a_build_exercise_says_what_it_takes(answer, told):
    verdict = check("1.7", answer)
    assert verdict.passed is False and told in verdict.message
    assert "a trained model with `reconstruct(x)` (its call will do), or a function" in verdict.message


def plain_vae(**changed):
    """A small VAE whose encoder says little: `encode` and `decode` as exercise 3.5 asks for, or changed."""
    torch.manual_seed(0)
    vae = VAE(latent_dim=2, hidden=(10,)).requires_grad_(False)
    methods = {
        "encode": lambda x: (vae.encode(x).mean, vae.encode(x).variance.log()),
        "decode": lambda z: vae.decode(z).base_dist.logits,
    }
    return types.SimpleNamespace(**methods | changed), vae


def test_the_elbo_of_a_built_vae_is_that_of_the_package():
    model, vae = plain_vae()
    facts, x = EXERCISES["3.5"].measure(model), binarize(load("mnist").test_x[:5000])
    assert facts["elbo"] == pytest.approx(elbo(vae, x, samples=5).elbo.mean().item(), rel=1e-3)
    assert facts["kl"] == pytest.approx(elbo(vae, x).kl.mean().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"encode": None}, "got an object of type SimpleNamespace without `encode` or `decode`."),
        ({"encode": lambda x: x.flatten(1)[:, :2]}, "`encode` must return two tensors"),
        (
            {"encode": lambda x: (x.flatten(1), x.flatten(1))},
            "`encode` gives (1000, 784) and (1000, 784); both must be",
        ),
        ({"decode": lambda z: z}, "for codes (1000, 2) `decode` gives (1000, 2)."),
        ({"decode": lambda z: z.nowhere}, "your code raised AttributeError"),
    ],
    ids=["no encode", "one output", "wide code", "pixels", "raises"],
)
def test_the_vae_exercise_says_what_it_takes(changed, told):
    verdict = check("3.5", plain_vae(**changed)[0])
    assert verdict.passed is False and told in verdict.message
    assert "a trained model with `encode(x)`, which gives the mean and the log σ²" in verdict.message


@pytest.mark.slow
def test_an_autoencoder_of_the_course_beats_pca_and_a_wide_or_linear_one_does_not_pass():
    x = load("mnist").train_x
    torch.manual_seed(0)
    verdicts = []
    for settings, count in (({"hidden": (200,)}, 20_000), ({"latent_dim": 9}, 2000), ({"hidden": ()}, 20_000)):
        model = Autoencoder(**{"latent_dim": 8, "likelihood": "gaussian", "sigma": 0.5} | settings)
        trainer = Trainer(model, reconstruction_loss, device="cpu")
        trainer.fit(x[:count], epochs=2, batch_size=200, lr=5e-3, progress=False)
        verdicts.append(check("1.7", model))
    assert [verdict.passed for verdict in verdicts] == [True, False, False], verdicts
    assert [verdict.mistake for verdict in verdicts] == [None, "the code is too wide", "a linear autoencoder"]
