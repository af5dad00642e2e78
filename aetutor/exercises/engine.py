"""How an answer is marked: the same trials for the answer, the reference and every typical mistake."""

import dis
import functools
import inspect
import linecache
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from aetutor.verify import to_tensor

SIZES = (1, 2, 3, 5, 8)
DTYPES = (torch.float64, torch.float32)
LARGEST_SHOWN = 12  # entries of a tensor


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    prompt: the task, in a sentence or two.
    reference: the solution, a function (or a number, for an exercise that asks for one).
    mistakes: name -> a typical wrong answer, of the same kind as the reference.
    why: name -> what the mistake is, told to the student; the names are those of `mistakes`.
    inputs: `inputs(size, generator) -> tuple` of float64 tensors and numbers, fresh arguments for the function; larger
        sizes are larger inputs. None for an exercise that asks for a number.
    rtol: the relative tolerance, against the largest entry of the expected result.
    signs: name of a mistake -> predicate of the arguments and the result (float64), for answers that draw random
        numbers of their own, so that no function can give the same.
    """

    prompt: str
    reference: Any
    mistakes: dict[str, Any]
    why: dict[str, str]
    inputs: Callable[[int, torch.Generator], tuple] | None = None
    rtol: float = 1e-4
    signs: dict[str, Callable[..., bool]] = field(default_factory=dict)

    def __repr__(self):
        return self.prompt


@dataclass(frozen=True)
class Verdict:
    """What `check` says. passed: True, False, or None for "not attempted yet"; mistake: its name, if it is known."""

    passed: bool | None
    mistake: str | None
    message: str

    def __repr__(self):
        return self.message

    def __bool__(self):
        return self.passed is True


class NotAttempted(Exception):
    """The stub is still a stub."""


class NotAnAnswer(Exception):
    """The answer is of the wrong kind; the message says what is asked for."""


def mark(number: str, exercise: Exercise, answer) -> Verdict:
    """Mark one answer: not attempted, right, a known mistake, or wrong with the smallest input that shows it."""
    trials = _trials(exercise)
    try:
        _check_kind(answer, exercise)
        results = [_run(answer, trial) for trial in trials]
    except NotAttempted as stub:
        return Verdict(None, None, f"… Exercise {number}: not attempted yet{stub}.")
    except NotAnAnswer as problem:
        return Verdict(False, None, f"✗ Exercise {number}: {problem}")
    except Exception as error:  # whatever the student's code raises is an answer to report, not ours to pass on
        return Verdict(False, None, f"✗ Exercise {number}: {_short(error, answer)}")
    expected = [_run(exercise.reference, trial) for trial in trials]
    wrong = [i for i in range(len(trials)) if not _equal(results[i], expected[i], exercise.rtol)]
    if not wrong:
        tried = f" ({len(trials)} random inputs, in float32 and float64)" if exercise.inputs else ""
        return Verdict(True, None, f"✓ Exercise {number}: right{tried}.")
    shown = [
        name
        for name, sign in exercise.signs.items()
        if all(_shows(sign, trial, result) for trial, result in zip(trials, results, strict=True))
    ]
    for name, mistake in exercise.mistakes.items():
        if name in shown or _matches(mistake, trials, results, expected, exercise.rtol):
            why = f"A typical mistake: {name}. {exercise.why[name]}"
            return Verdict(False, name, f"✗ Exercise {number}: not yet. {why}")
    smallest = wrong[0]  # the trials grow
    if not _repeats(answer, trials[smallest], results[smallest]):
        return Verdict(
            False,
            None,
            f"✗ Exercise {number}: two calls with the same arguments gave different results: "
            "your function draws random numbers of its own, or keeps something from call to call.",
        )
    facts = _counterexample(exercise, trials[smallest], results[smallest], expected[smallest])
    return Verdict(False, None, f"✗ Exercise {number}: not yet. {facts}")


def _trials(exercise: Exercise) -> list[tuple]:
    """Fresh arguments, smallest first, each in both float types; one empty trial for an exercise that asks a number."""
    if exercise.inputs is None:
        return [()]
    generator = torch.Generator()
    generator.seed()
    drawn = [(dtype, exercise.inputs(size, generator)) for size in SIZES for dtype in DTYPES]
    return [
        tuple(a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in arguments)
        for dtype, arguments in drawn
    ]


def _check_kind(answer, exercise: Exercise) -> None:
    if answer is None or answer is ...:
        raise NotAttempted()
    if exercise.inputs and not callable(answer):
        raise NotAnAnswer(f"it asks for a function; got {_brief(answer)}. Give the function, without calling it.")


def _run(answer, trial: tuple) -> Tensor:
    """The result on one trial, as float64. The answer may change its arguments: they are copies."""
    copies = tuple(a.clone() if isinstance(a, Tensor) else a for a in trial)
    try:
        result = answer(*copies) if callable(answer) else answer
    except NotImplementedError as error:
        line = traceback.extract_tb(error.__traceback__)[-1].line
        if not line or "raise" in line:  # a stub's own, and not an operation's
            raise NotAttempted() from None
        raise
    if result is None or result is ...:
        raise NotAttempted("" if _is_stub(answer) else " (your function returns nothing: is the `return` missing?)")
    if getattr(getattr(result, "dtype", None), "is_complex", False):
        raise NotAnAnswer("the result is complex; a real one is asked (eigvalsh, say, instead of eigvals).")
    tensor = to_tensor(result)
    if tensor is None:
        raise NotAnAnswer(f"the result must be a number, an array or a tensor; got {_brief(result)}.")
    return tensor


def _is_stub(answer) -> bool:
    """Whether a function's body is only `...`, `pass`, a docstring or nothing: it computes nothing at all."""
    code = getattr(answer, "__code__", None)
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    return code is None or all(instruction.opname in idle for instruction in dis.get_instructions(code))


def _equal(got: Tensor, want: Tensor, rtol: float, least_scale: float = 0.0) -> bool:
    """The same numbers, also where one has axes of length 1 that the other lacks."""
    got, want = got.squeeze(), want.squeeze()
    scale = max(_scale(want), least_scale)
    return got.shape == want.shape and torch.allclose(got, want, rtol=rtol, atol=rtol * scale, equal_nan=True)


def _scale(tensor: Tensor) -> float:
    """The largest finite entry, without its sign."""
    return tensor[tensor.isfinite()].abs().max().item() if tensor.isfinite().any() else 1.0


def _repeats(answer, trial, result) -> bool:
    try:
        return _equal(_run(answer, trial), result, 1e-12)
    except Exception:
        return False


def _shows(sign, trial, result) -> bool:
    try:
        return bool(sign(*trial, result))
    except Exception:  # a result of another shape
        return False


def _matches(mistake, trials, results, expected, rtol) -> bool:
    """Whether the results are those of the mistake. A mistake may happen to give nearly 0, a difference of two numbers
    of which float32 leaves few digits: there the tolerance is that of the expected result."""
    try:
        return all(
            _equal(got, _run(mistake, trial), rtol, least_scale=_scale(right))
            for trial, got, right in zip(trials, results, expected, strict=True)
        )
    except Exception:  # a mistake that cannot run on these inputs is not the student's
        return False


def _counterexample(exercise: Exercise, trial: tuple, got: Tensor, want: Tensor) -> str:
    if not trial:
        direction = ": it is larger" if want.sum() > got.sum() else ": it is smaller" if want.sum() < got.sum() else ""
        return f"{_brief(got)} is not the number{direction}."
    single = " (in float32)" if any(isinstance(a, Tensor) and a.dtype == torch.float32 for a in trial) else ""
    arguments = zip(inspect.signature(exercise.reference).parameters, map(_brief, trial), strict=True)
    return (
        f"The smallest input that shows it{single}: {', '.join(f'{name} = {value}' for name, value in arguments)}. "
        f"{_difference(got, want)}"
    )


def _difference(got: Tensor, want: Tensor) -> str:
    """Both results, or of large ones of the same shape the entry where they differ most."""
    same = got.squeeze().shape == want.squeeze().shape
    if same and want.numel() > LARGEST_SHOWN:
        got = got.reshape(want.shape)
        at = _furthest_off(got, want)
        return f"Your result, {_brief(got)}, is furthest off at {at}: {got[*at]:.6g} instead of {want[*at]:.6g}."
    got_shape, want_shape = ("", "") if same else (_shape(got), _shape(want))
    return f"Your result{got_shape}: {_brief(got)}; expected{want_shape}: {_brief(want)}."


def _furthest_off(got: Tensor, want: Tensor) -> list[int]:
    """The index of the largest difference; NaN or infinity differs most, where another number is expected."""
    gap = (got - want).abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
    gap[(got == want) | (got.isnan() & want.isnan())] = 0
    return [int(i) for i in torch.unravel_index(gap.argmax(), gap.shape)]


def _shape(tensor: Tensor) -> str:
    """The shape, where `_brief` does not tell it."""
    return f" of shape {tuple(tensor.shape)}" if tensor.numel() <= LARGEST_SHOWN else ""


def _brief(value) -> str:
    if isinstance(value, Tensor):
        if value.numel() > LARGEST_SHOWN:
            return "a tensor of shape " + str(tuple(value.shape))
        if not value.is_floating_point():
            return str(value.tolist())
        numbers = value.double().round(decimals=4).tolist()
        return f"{numbers:g}" if value.dim() == 0 else str(numbers)
    if isinstance(value, float):
        return f"{value:.4g}"
    if inspect.isfunction(value):
        return f"the function {value.__name__}"
    return repr(value) if len(repr(value)) < 60 else f"an object of type {type(value).__name__}"


def _short(error: Exception, answer) -> str:
    """The exception in a line or two, with the student's own line: the last in the cell that holds the answer."""
    message = f"your code raised {type(error).__name__}: {str(error).partition(chr(10))[0] or 'no message'}"
    own = _own_frames(error, answer)
    if not own:
        return message
    line = linecache.getline(own[-1].filename, own[-1].lineno).strip()
    return f"{message}\n  line {own[-1].lineno}: {line}" if line else message


def _own_frames(error: Exception, answer) -> list:
    """The part of the traceback that lies in the file or cell where the answer is written."""
    while isinstance(answer, functools.partial):
        answer = answer.func
    function = answer if hasattr(answer, "__code__") else getattr(type(answer), "__call__", None)  # noqa: B004
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    return [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
