"""verify: the line it prints, when it fails, and the checks it refuses; and show_source."""

import math

import IPython.display
import numpy as np
import pytest
import torch

from aetutor import models, training
from aetutor.verify import show_source, to_tensor, verify

# --- what it prints --------------------------------------------------------------------------------------------------


def line(capsys, *arguments, **settings):
    """What a check that holds prints, without its number and tick."""
    verify("1.1", *arguments, **settings)
    out = capsys.readouterr().out
    assert out.startswith("(1.1) ✓ ") and out.endswith("\n") and out.count("\n") == 1
    return out[len("(1.1) ✓ ") : -1]


def failure(*arguments, **settings):
    """What a check that fails says, without its number and cross."""
    with pytest.raises(AssertionError) as caught:
        verify("1.1", *arguments, **settings)
    assert str(caught.value).startswith("(1.1) ✗ ")
    return str(caught.value)[len("(1.1) ✗ ") :]


def test_the_line_holds_a_tick_both_sides_the_unit_and_the_difference(capsys):
    verify("1.5", 550.913, 550.913, atol=1e-9, meaning="L_H = -log of the product")
    assert capsys.readouterr().out == "(1.5) ✓ L_H = -log of the product: 550.913 = 550.913 nats (difference 0)\n"


def test_with_standard_errors_the_line_counts_them(capsys):
    verify("3.6", 100.0, 101.0, standard_errors=0.5)
    assert capsys.readouterr().out == "(3.6) ✓ 100 ≈ 101 nats (2.0 standard errors)\n"


@pytest.mark.parametrize(
    ("lhs", "rhs", "shown"),
    [
        (1.0, 1.0, "1 = 1 (difference 0)"),
        (1.0, 1.0 + 1e-7, "1 = 1 (difference 1e-07)"),
        (1.12345, 1.0, "1.12345 ≈ 1 (difference 0.1)"),
        (-0.0, 0.5, "0 ≈ 0.5 (difference 0.5)"),
        (1e-9, 1.1e-9, "1e-09 ≈ 1.1e-09 (difference 1e-10)"),
    ],
)
def test_equal_is_said_only_of_numbers_that_print_alike(capsys, lhs, rhs, shown):
    assert line(capsys, [lhs, 9.0], [rhs, 9.0], atol=0.6, unit="") == f"{shown[:-1]}, worst of 2)"


@pytest.mark.parametrize(
    ("lhs", "rhs", "error", "shown"),
    [
        (51.9727, 51.9563, 0.0109, "51.973 ≈ 51.956 (1.5 standard errors)"),
        (0.566752, 0.573686, 0.0115, "0.567 ≈ 0.574 (0.6 standard errors)"),
        (51.0, 51.0, 0.1, "51 ≈ 51 (0.0 standard errors)"),
        (28847.31, 28851.77, 12.0, "28847 ≈ 28852 (0.4 standard errors)"),
        (2.0, 2.0, 0.0, "2 ≈ 2 (0.0 standard errors)"),
    ],
)
def test_estimates_are_never_called_equal_and_are_rounded_by_their_error(capsys, lhs, rhs, error, shown):
    assert line(capsys, lhs, rhs, standard_errors=error, unit="") == shown


@pytest.mark.parametrize(("unit", "shown"), [("", "2 = 2 (difference"), ("bits", "2 = 2 bits (difference")])
def test_the_unit_is_the_callers(capsys, unit, shown):
    verify("1.1", 2.0, 2.0, atol=1e-9, unit=unit)
    assert shown in capsys.readouterr().out


def test_of_many_entries_the_worst_is_shown(capsys):
    verify("1.2", [10.0, 20.0, 30.0], [10.0, 20.5, 30.1], atol=1.0)
    out = capsys.readouterr().out
    assert out == "(1.2) ✓ 20 ≈ 20.5 nats (difference 0.5, worst of 3)\n"


def test_the_worst_is_measured_by_its_own_tolerance(capsys):
    verify("1.2", [10.0, 20.0], [10.25, 20.5], standard_errors=[0.1, 1.0])
    assert "10 ≈ 10.25 nats (2.5 standard errors, worst of 2)" in capsys.readouterr().out


def test_verify_returns_nothing_and_leaves_its_arguments_alone(capsys):
    lhs = torch.ones(3, requires_grad=True)
    assert verify("1.1", lhs, torch.ones(3), atol=0.1) is None
    assert lhs.requires_grad and lhs.dtype == torch.float32


@pytest.mark.parametrize(
    "make",
    [
        int,
        float,
        np.float32,
        np.float64,
        np.array,
        torch.tensor,
        lambda v: torch.tensor(v).half(),
        lambda v: [v],
        lambda v: (v,),
        lambda v: [torch.tensor(v)],
    ],
    ids=["int", "float", "np.float32", "np.float64", "array", "tensor", "half", "list", "tuple", "tensors"],
)
def test_sides_may_be_numbers_arrays_and_tensors(capsys, make):
    verify("1.1", make(2.0), make(2.0), atol=1e-12)
    assert "2 = 2" in capsys.readouterr().out


# --- when it fails ---------------------------------------------------------------------------------------------------


def test_sides_that_differ_raise_with_the_same_facts(capsys):
    with pytest.raises(AssertionError) as caught:
        verify("1.5", 100.25, 100.0, atol=0.2, meaning="the mean loss")
    assert str(caught.value) == "(1.5) ✗ the mean loss: 100.25 ≠ 100 nats (difference 0.25, allowed 0.2)"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("lhs", "rhs"), [(1.0, 2.0), (2.0, 1.0), (-1.0, 1.0), (1.0, -1.0)])
def test_a_difference_of_either_sign_fails(lhs, rhs):
    with pytest.raises(AssertionError, match="≠"):
        verify("1.1", lhs, rhs, atol=0.5)


def test_one_wrong_entry_among_many_fails_and_is_shown():
    lhs = torch.linspace(1, 2, 1000)
    rhs = lhs.clone()
    rhs[617] += 0.25
    with pytest.raises(AssertionError, match=rf"{lhs[617]:.6g} ≠ {rhs[617]:.6g} .*worst of 1,000"):
        verify("1.1", lhs.view(10, 100), rhs.view(10, 100), atol=1e-3)


def test_the_boundary_of_atol_belongs_to_the_allowed():
    verify("1.1", 8.0, 8.5, atol=0.5)
    with pytest.raises(AssertionError):
        verify("1.1", 8.0, 8.5, atol=0.4999)


def test_four_standard_errors_are_allowed_and_no_more():
    verify("1.1", 100.0, 102.0, standard_errors=0.5)
    said = failure(100.0, 102.05, standard_errors=0.5)
    assert said == "100 ≠ 102.05 nats (difference 2.05, 4.1 standard errors of 0.5, allowed 4)"


def test_within_sets_how_many_standard_errors_are_allowed():
    verify("1.1", 100.0, 102.0, standard_errors=1.0, within=2)
    with pytest.raises(AssertionError, match="allowed 2"):
        verify("1.1", 100.0, 102.1, standard_errors=1.0, within=2)


def test_each_entry_may_have_its_own_standard_error():
    lhs, rhs = torch.tensor([10.0, 20.0]), torch.tensor([10.3, 21.5])
    verify("1.1", lhs, rhs, standard_errors=torch.tensor([0.1, 0.5]))
    with pytest.raises(AssertionError, match=r"20 ≠ 21.5"):
        verify("1.1", lhs, rhs, standard_errors=np.array([0.5, 0.1]))


@pytest.mark.parametrize("standard_errors", [0.0, [0.0, 0.1]])
def test_a_standard_error_of_zero_is_a_strict_check(standard_errors):
    lhs = np.full(np.shape(standard_errors), 10.0)
    verify("1.1", lhs, lhs, standard_errors=standard_errors)
    with pytest.raises(AssertionError, match="10 ≠ 11"):
        verify("1.1", lhs, lhs + 1, standard_errors=standard_errors)


def test_a_monte_carlo_estimate_passes_and_a_biased_one_does_not(capsys):
    draws = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1
    error = draws.std() / len(draws) ** 0.5
    verify("1.5", draws.mean(), 1.0, standard_errors=error)
    with pytest.raises(AssertionError):
        verify("1.5", draws.mean(), 1.02, standard_errors=error)


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lhs", "relation", "rhs", "shown"),
    [
        (0.986108, "≥", 0.95, "0.986 ≥ 0.95"),
        (0.95, "≤", 0.986108, "0.95 ≤ 0.986"),
        (-154.31, "≤", -130.08, "-154 ≤ -130"),
        (-130.14, "≤", -130.11, "-130.14 ≤ -130.11"),
        (-15431.2, "≤", -13010.3, "-15431 ≤ -13010"),
        (2.0, "≥", 2.0, "2 ≥ 2"),
        (2.0, "≤", 2.0, "2 ≤ 2"),
        ([3.0, 2.0, 4.0], "≥", [1.0, 1.5, 3.0], "2 ≥ 1.5 (worst of 3)"),
    ],
)
def test_a_bound_that_holds_shows_both_sides(capsys, lhs, relation, rhs, shown):
    assert line(capsys, lhs, rhs, relation=relation, unit="") == shown


@pytest.mark.parametrize(
    ("lhs", "relation", "rhs", "shown"),
    [
        (0.94, "≥", 0.95, "0.94 ≱ 0.95 (difference 0.01, allowed 0)"),
        (0.95, "≤", 0.94, "0.95 ≰ 0.94 (difference 0.01, allowed 0)"),
        ([2.0, 1.0], "≥", [1.0, 1.5], "1 ≱ 1.5 (difference 0.5, allowed 0, worst of 2)"),
    ],
)
def test_a_bound_without_a_tolerance_is_strict(lhs, relation, rhs, shown):
    assert failure(lhs, rhs, relation=relation, unit="") == shown


def test_a_bound_fails_at_the_smallest_step_past_it(capsys):
    verify("1.1", 1.0, 1.0, relation="≥")
    for lhs, relation in ((math.nextafter(1.0, 0.0), "≥"), (math.nextafter(1.0, 2.0), "≤")):
        with pytest.raises(AssertionError):
            verify("1.1", lhs, 1.0, relation=relation)


@pytest.mark.parametrize(("lhs", "relation", "shown"), [(7.75, "≥", "7.75 ≳ 8"), (8.25, "≤", "8.25 ≲ 8")])
def test_a_bound_may_be_missed_by_its_tolerance_and_the_line_says_so(capsys, lhs, relation, shown):
    assert line(capsys, lhs, 8.0, relation=relation, atol=0.25) == f"{shown} nats (difference 0.2)"
    assert line(capsys, lhs, 8.0, relation=relation, standard_errors=0.1) == f"{shown} nats (2.5 standard errors)"
    assert failure(lhs, 8.0, relation=relation, atol=0.2).endswith("(difference 0.25, allowed 0.2)")
    words = failure(lhs, 8.0, relation=relation, standard_errors=0.0625, within=3)
    assert words.endswith("(difference 0.25, 4.0 standard errors of 0.0625, allowed 3)")


def test_of_a_bound_that_fails_in_one_entry_that_entry_is_shown():
    said = failure([5.0, 1.0, 9.0], [4.0, 1.5, 0.0], relation="≥", standard_errors=[1.0, 0.1, 1e-9])
    assert said.startswith("1 ≱ 1.5 nats") and said.endswith("worst of 3)")


@pytest.mark.parametrize("relation", ["", ">", ">=", "≈", "≠"])
def test_an_unknown_relation_is_refused(relation):
    with pytest.raises(ValueError, match=r'verify\(\'1.1\'\): relation must be "=", "≥" or "≤"; got'):
        verify("1.1", 2.0, 1.0, relation=relation)


def test_a_bound_with_two_tolerances_is_refused():
    with pytest.raises(ValueError, match="one of the two"):
        verify("1.1", 2.0, 1.0, relation="≥", atol=0.1, standard_errors=0.1)


@pytest.mark.parametrize(
    ("lhs", "rhs", "tolerance"),
    [(2.0, 1.0, {"atol": 2.0}), (2.0, 1.0, {"standard_errors": 0.5}), (0.0, 0.0, {}), ([0.0, 0.0], [0.0, 0.0], {})],
)
@pytest.mark.parametrize("relation", ["≥", "≤"])
def test_a_bound_that_could_not_fail_is_refused(lhs, rhs, tolerance, relation):
    with pytest.raises(ValueError, match="this check could not fail"):
        verify("1.1", lhs, rhs, relation=relation, **tolerance)


# --- checks that mean nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerances", [{}, {"atol": 0.1, "standard_errors": 0.1}])
def test_none_and_both_tolerances_are_refused(tolerances):
    with pytest.raises(ValueError, match=r"verify\('1.1'\): give either atol=… or standard_errors=…, one of the two"):
        verify("1.1", 1.0, 1.0, **tolerances)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["left", "right"])
def test_nan_and_infinity_are_refused(value, side):
    sides = ([1.0, value], [1.0, 1.0]) if side == "left" else ([1.0, 1.0], [1.0, value])
    with pytest.raises(ValueError, match=rf"verify\('1.1'\): the {side} side holds NaN or infinity"):
        verify("1.1", *sides, atol=0.1)


def test_two_equal_infinities_are_refused():
    with pytest.raises(ValueError, match="infinity"):
        verify("1.1", math.inf, math.inf, atol=0.1)


@pytest.mark.parametrize(("left", "right"), [((3,), (4,)), ((3,), ()), ((3, 1), (3,)), ((1, 3), (3, 1)), ((3,), (1,))])
def test_shapes_are_never_broadcast(left, right):
    with pytest.raises(ValueError, match=r"the sides have shapes .*reduce both to the same shape") as caught:
        verify("1.1", torch.ones(left), torch.ones(right), atol=0.1)
    assert f"shapes {left} and {right}" in str(caught.value)


@pytest.mark.parametrize(
    ("lhs", "rhs", "tolerance"),
    [
        (1.0, 1.0, {"atol": 1.0}),
        (1.0, 0.5, {"atol": 2.0}),
        (-1.0, -1.0, {"atol": 1.5}),
        (0.0, 0.0, {"atol": 1e-9}),
        (1.0, 1.0, {"standard_errors": 0.25}),
        ([1.0, 2.0], [1.0, 2.0], {"atol": 2.0}),
        ([1.0, 2.0], [1.0, 2.0], {"standard_errors": [0.25, 0.5]}),
        ([1.0, 100.0], [1.0, 100.0], {"atol": [1e-6, 200.0]}),
        ([1.0, 100.0], [1.0, 100.0], {"atol": [10.0, 1e-6]}),
        ([1.0, 100.0], [1.0, 100.0], {"standard_errors": [0.01, 30.0]}),
    ],
)
def test_a_tolerance_so_wide_that_the_check_could_not_fail_is_refused(lhs, rhs, tolerance):
    with pytest.raises(ValueError, match=r"no smaller than the larger side, .*: this check could not fail"):
        verify("1.1", lhs, rhs, **tolerance)


def test_a_tolerance_just_below_the_larger_side_is_taken(capsys):
    verify("1.1", 1.0, 0.5, atol=0.999)
    verify("1.1", -1.0, -0.5, atol=0.999)


def test_some_entries_may_be_zero(capsys):
    verify("1.1", [0.0, 1.0], [0.0, 1.0], atol=1e-9)
    assert "✓" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sides", "tolerance", "said"),
    [
        (
            [0.5, 10.0],
            {"standard_errors": [0.25, 0.25]},
            "entry 0 of 2 a tolerance of 1 is no smaller than .* 0.5:",
        ),
        ([1.0, 50.0], {"atol": 100.0}, "'1.1'\\): a tolerance of 100 is no smaller than the larger side, 50:"),
        ([1.0], {"standard_errors": [0.5]}, "'1.1'\\): a tolerance of 2 is no smaller than the larger side, 1:"),
    ],
)
def test_the_refusal_of_a_wide_tolerance_names_the_entry_that_it_is_about(sides, tolerance, said):
    with pytest.raises(ValueError, match=said):
        verify("1.1", sides, sides, **tolerance)


def test_the_refusal_of_a_wide_tolerance_tells_the_truth():
    with pytest.raises(ValueError) as caught:
        verify("1.1", [1.0, 10.0], [1.0, 10.0], standard_errors=[0.5, 5.0])
    words = str(caught.value)
    tolerance, larger = (
        float(words.partition(start)[2].split(end)[0])
        for start, end in (("a tolerance of ", " is"), ("the larger side, ", ":"))
    )
    assert tolerance >= larger


@pytest.mark.parametrize("tolerance", [-0.1, math.nan, math.inf, "wide", [0.1, 0.2], torch.ones(3, 1)])
@pytest.mark.parametrize("kind", ["atol", "standard_errors"])
def test_a_tolerance_that_is_none_is_refused(tolerance, kind):
    with pytest.raises(ValueError, match="must be a finite number that is not negative, or one for each entry"):
        verify("1.1", torch.ones(3), torch.ones(3), **{kind: tolerance})


@pytest.mark.parametrize(
    "value",
    ["a", "1.0", None, [], {}, object(), [[1.0], [1.0, 2.0]], torch.zeros(0)],
    ids=["text", "a number as text", "None", "no entry", "dict", "object", "ragged", "empty"],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_side_that_is_no_number_is_named(value, side):
    sides = (value, 1.0) if side == "left" else (1.0, value)
    with pytest.raises(ValueError, match=rf"verify\('1.1'\): the {side} side must be a number, an array or a tensor"):
        verify("1.1", *sides, atol=0.1)


@pytest.mark.parametrize(
    "value", [1 + 1j, np.array([1 + 1j]), torch.tensor([1 + 1j])], ids=["number", "array", "tensor"]
)
@pytest.mark.filterwarnings("ignore")
def test_imaginary_parts_are_not_dropped(value):
    with pytest.raises(ValueError, match="left side must be"):
        verify("1.1", value, np.ones(np.shape(value)), atol=0.1)


# --- to_tensor and show_source ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        (1.0, 2.0),
        np.array([1, 2], np.float32),
        torch.tensor([1, 2]),
        torch.tensor([1.0, 2.0], requires_grad=True),
        [torch.tensor(1), np.float32(2)],
        [torch.tensor(1.0, requires_grad=True), torch.tensor(2).bfloat16()],
    ],
    ids=["list", "tuple", "array", "integers", "with gradient", "mixed", "tensors"],
)
def test_to_tensor_gives_float64_on_the_cpu(value):
    tensor = to_tensor(value)
    assert tensor.dtype == torch.float64 and not tensor.requires_grad and tensor.tolist() == [1.0, 2.0]


def test_to_tensor_keeps_all_digits_of_a_float():
    assert to_tensor(0.1).item() == 0.1 and to_tensor(True).item() == 1.0


@pytest.mark.parametrize(
    "value",
    ["a", "87", None, {}, object(), [1, [2, 3]], [None, 1.0], 1j],
    ids=["text", "a number as text", "None", "dict", "object", "ragged", "None in a list", "imaginary"],
)
def test_to_tensor_gives_none_for_anything_else(value):
    assert to_tensor(value) is None


@pytest.mark.parametrize(
    ("thing", "name", "line"),
    [
        (training.minibatches, "aetutor.training.minibatches", "def minibatches(x: Tensor"),
        (models.Autoencoder, "aetutor.models.Autoencoder", "class Autoencoder(nn.Module):"),
        (
            models.Autoencoder.encode,
            "aetutor.models.Autoencoder.encode",
            "def encode(self, x: Tensor, y: Labels | None = None)",
        ),
    ],
)
def test_show_source_displays_the_packages_own_code(monkeypatch, thing, name, line):
    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    show_source(thing)
    (markdown,) = shown
    heading, _, code = markdown.data.partition("\n\n")
    assert heading == f"`{name}`" and code.startswith(f"```python\n{line}") and code.endswith("\n```")


def test_show_source_displays_several_one_after_the_other(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    show_source(training.minibatches, models.Autoencoder.decode)
    assert [markdown.data.partition("\n")[0] for markdown in shown] == [
        "`aetutor.training.minibatches`",
        "`aetutor.models.Autoencoder.decode`",
    ]


def test_the_worst_of_several_estimates_is_the_one_most_standard_errors_away(capsys):
    verify("1.1", [1.0, 50.0, 0.0], [1.0 + 1e-9, 53.0, 0.0], standard_errors=[1e-6, 1.0, 0.0])
    out = capsys.readouterr().out
    assert "50 ≈ 53 nats (3.0 standard errors, worst of 3)" in out
