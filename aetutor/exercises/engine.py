"""How an answer is marked: the same trials for the answer, the reference and every mistake."""

import dis
import functools
import inspect
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aetutor.verify import to_tensor

SIZES = (1, 2, 3, 5, 8)
DTYPES = (torch.float64, torch.float32)
LARGEST_SHOWN = 6  # entries of a tensor
LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
)


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that students give.

    Args:
        name: what it is, in a few words.
        answer: the wrong answer itself, of the same kind as the exercise's reference.
        why: what to tell the student.
        sign: a predicate that knows the mistake by what it leaves behind, for mistakes that need not give the same
            numbers twice (they draw random numbers, or overflow). It is given the arguments and the result (float64)
            of each trial; in a `BuildExercise`, what was measured.
    """

    name: str
    answer: Any
    why: str
    sign: Callable[..., bool] | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Exercise:
    """An exercise that asks for a function or a number.

    Args:
        prompt: the task, in a sentence or two.
        reference: the solution.
        mistakes: what students get wrong, the most telling first.
        inputs: `inputs(size, generator) -> tuple` of float64 tensors and numbers, fresh arguments for the function;
            larger sizes are larger inputs. None for an exercise that asks for a number.
        rtol: the relative tolerance, against the largest entry of the expected result.
    """

    prompt: str
    reference: Any
    mistakes: Sequence[Mistake]
    inputs: Callable[[int, torch.Generator], tuple] | None = None
    rtol: float = 1e-4

    def __repr__(self):
        return self.prompt

    def named(self, trial: tuple) -> dict[str, Any]:
        """The arguments of a trial under the names that the reference gives them."""
        return dict(zip(inspect.signature(self.reference).parameters, trial, strict=True)) if trial else {}

    def judge(self, answer) -> "Verdict":
        """Right, a known mistake, or wrong with the smallest input that shows it. Raises NotAttempted, NotAnAnswer."""
        if self.inputs and not callable(answer):
            raise NotAnAnswer(f"it asks for a function; got {_brief(answer)}. Give the function, without calling it.")
        trials = _trials(self)
        results = _results(self, answer, trials)
        expected = [run(self.reference, trial) for trial in trials]
        wrong = [i for i in range(len(trials)) if not _equal(results[i], expected[i], self.rtol)]
        if not wrong:
            return Verdict(
                True, None, f"right ({len(trials)} random inputs, in float32 and float64)." * bool(self.inputs)
            )
        smallest = wrong[0]  # the trials grow
        arguments = self.named(trials[smallest]) or None
        for mistake in self.mistakes:
            if _shows(mistake, trials, results) or _matches(mistake, trials, results, expected, self.rtol):
                return Verdict(False, mistake.name, typical(mistake), arguments)
        if not _repeats(answer, trials[smallest], results[smallest]):
            return Verdict(
                False,
                None,
                "two calls with the same arguments gave different results: your function draws random numbers of its "
                "own, or keeps something from call to call.",
                arguments,
            )
        facts = _counterexample(arguments, results[smallest], expected[smallest])
        return Verdict(False, None, f"not yet. {facts}", arguments)


@dataclass(frozen=True, kw_only=True, repr=False)
class BuildExercise(Exercise):
    """An exercise that asks for a trained model: what it does is measured.

    Args:
        measure: the answer -> what was measured, name -> number. It calls the answer by `call`, so that whatever the
            student's code raises is told.
        report: the measured facts in a sentence, a format string with their names.
        passes: whether they are good enough. A mistake's sign comes first, as a copy of the image has no error at all.
        accepts: what may be given, in one sentence.
    """

    measure: Callable[[Any], dict[str, float]]
    report: str
    passes: Callable[[dict[str, float]], bool]
    accepts: str

    def judge(self, answer) -> "Verdict":
        """Right, a known mistake, or not good enough, with what was measured. Raises NotAttempted, NotAnAnswer."""
        if inspect.isclass(answer):
            raise NotAnAnswer(f"got the class {answer.__name__}: make a model of it, and train it. {self.accepts}")
        try:
            facts = self.measure(answer)
        except NotAnAnswer as problem:
            raise NotAnAnswer(f"{problem}\n  {self.accepts}") from None
        report = self.report.format(**facts)
        for mistake in self.mistakes:
            if mistake.sign and mistake.sign(facts):
                return Verdict(False, mistake.name, f"{typical(mistake)} {report}")
        if self.passes(facts):
            return Verdict(True, None, f"right. {report}")
        return Verdict(False, None, f"not yet. {report}")


@dataclass(frozen=True)
class Verdict:
    """What `check` says.

    Args:
        passed: True, False, or None for "not attempted yet".
        mistake: its name, if it is known.
        message: the same in words; the verdict displays itself as this.
        arguments: the smallest arguments that show that the answer is wrong, name -> value, to try it on; None where
            there are none.
    """

    passed: bool | None
    mistake: str | None
    message: str
    arguments: dict[str, Any] | None = field(default=None, compare=False)

    def __repr__(self):
        return self.message

    def __bool__(self):
        return self.passed is True


class NotAttempted(Exception):
    """The stub is still a stub."""


class NotAnAnswer(Exception):
    """The answer cannot be compared: it is of the wrong kind, or raises; the message says what is the matter."""

    arguments: dict[str, Any] | None = None  # on which it happened


def mark(number: str, exercise: Exercise, answer) -> Verdict:
    """Mark one answer; whatever it does, except for Ctrl-C, becomes a verdict."""
    try:
        if answer is None or answer is ...:
            raise NotAttempted()
        verdict = exercise.judge(answer)
    except NotAttempted as stub:
        return Verdict(None, None, f"… Exercise {number}: not attempted yet{stub}.")
    except NotAnAnswer as problem:
        verdict = Verdict(False, None, str(problem), problem.arguments)
    except Exception as error:  # an object with a mind of its own
        verdict = Verdict(False, None, f"your answer cannot be marked: {type(error).__name__} while comparing it.")
    message = f"{'✓' if verdict else '✗'} Exercise {number}: {verdict.message or 'right.'}"
    return Verdict(verdict.passed, verdict.mistake, message, verdict.arguments)


def typical(mistake: Mistake) -> str:
    """What is told to a student who makes a known mistake."""
    return f"not yet. A typical mistake: {mistake.name}. {mistake.why}"


# --- calling the student's code --------------------------------------------------------------------------------------


def call(answer, *arguments):
    """What the student's function returns. Raises NotAttempted for a stub, NotAnAnswer for whatever it raises."""
    try:
        result = answer(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit, too
        if _is_to_do(error):
            raise NotAttempted() from None
        raise NotAnAnswer(_short(error)) from None
    if result is None or result is ...:
        raise NotAttempted("" if _is_stub(answer) else " (your function returns nothing: is the `return` missing?)")
    return result


def run(answer, trial: tuple) -> Tensor:
    """The result on one trial, as float64. The answer may change its arguments: they are copies."""
    copies = tuple(a.clone() if isinstance(a, Tensor) else a for a in trial)
    return as_numbers(call(answer, *copies) if callable(answer) else answer)


def as_numbers(result) -> Tensor:
    """A number, a list, an array or a tensor as float64, on the CPU. Raises NotAnAnswer for anything else."""
    if isinstance(result, tuple) and hasattr(result, "indices"):
        raise NotAnAnswer(
            "your function returns a pair (values, indices), as torch's min, max and sort do along an axis. Take the "
            "one you need: `.values` or `.indices`, or use amin, amax, argmin or argmax."
        )
    try:
        if getattr(getattr(result, "dtype", None), "is_complex", False):
            raise NotAnAnswer("the result is complex; a real one is asked (eigvalsh, say, instead of eigvals).")
        tensor = to_tensor(result)
        return torch.from_numpy(np.array(tensor.numpy(force=True)))  # an ordinary tensor, or it fails here
    except NotAnAnswer:
        raise
    except Exception:
        raise NotAnAnswer(
            f"the result must be a number, an array or an ordinary dense tensor; got {_brief(result)}."
        ) from None


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


def _results(exercise: Exercise, answer, trials: list[tuple]) -> list[Tensor]:
    results = []
    try:
        for trial in trials:
            results.append(run(answer, trial))
    except NotAnAnswer as problem:
        problem.arguments = exercise.named(trials[len(results)]) or None
        raise
    return results


def _is_to_do(error: BaseException) -> bool:
    """Whether it is a stub's own `raise NotImplementedError`, and not an operation's."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = not last.filename.startswith(LIBRARIES) and (not last.line or "raise" in last.line)
    return isinstance(error, NotImplementedError) and own


def _is_stub(answer) -> bool:
    """Whether a function's body is only `...`, `pass`, a docstring or nothing: it computes nothing at all."""
    if isinstance(answer, functools.partial):
        answer = answer.func
    code = getattr(inspect.unwrap(answer), "__code__", None)  # under its decorators
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    return code is None or all(instruction.opname in idle for instruction in dis.get_instructions(code))


# --- comparing -------------------------------------------------------------------------------------------------------


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
        return _equal(run(answer, trial), result, 1e-12)
    except (NotAttempted, NotAnAnswer):
        return False


def _shows(mistake: Mistake, trials, results) -> bool:
    """Whether the mistake has a sign, and every trial shows it."""
    try:
        return mistake.sign is not None and all(
            mistake.sign(*trial, result) for trial, result in zip(trials, results, strict=True)
        )
    except Exception:  # a result of another shape
        return False


def _matches(mistake: Mistake, trials, results, expected, rtol) -> bool:
    """Whether the results are those of the mistake. A mistake may happen to give nearly 0, a difference of two numbers
    of which float32 leaves few digits: there the tolerance is that of the expected result."""
    try:
        return all(
            _equal(got, run(mistake.answer, trial), rtol, least_scale=_scale(right))
            for trial, got, right in zip(trials, results, expected, strict=True)
        )
    except (NotAttempted, NotAnAnswer):  # a mistake that cannot run on these inputs is not the student's
        return False


# --- saying it -------------------------------------------------------------------------------------------------------


def _counterexample(arguments: dict[str, Any] | None, got: Tensor, want: Tensor) -> str:
    if not arguments:
        direction = ": it is larger" if want.sum() > got.sum() else ": it is smaller" if want.sum() < got.sum() else ""
        return f"{_brief(got)} is not the number{direction}."
    single = " (in float32)" if any(getattr(a, "dtype", None) == torch.float32 for a in arguments.values()) else ""
    shown = ", ".join(f"{name} = {_brief(value)}" for name, value in arguments.items())
    whole = all(_is_small(value) for value in arguments.values())
    rest = "" if whole else " To try it: verdict = check(…) keeps all of it in `verdict.arguments`."
    return f"The smallest input that shows it{single}: {shown}. {_difference(got, want)}{rest}"


def _difference(got: Tensor, want: Tensor) -> str:
    """Both results, or of large ones of the same shape the entry where they differ most."""
    same = got.squeeze().shape == want.squeeze().shape
    if same and not _is_small(want):
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
    return f" of shape {tuple(tensor.shape)}" if _is_small(tensor) else ""


def _is_small(value) -> bool:
    """Whether `_brief` shows all of it."""
    return value.numel() <= LARGEST_SHOWN if isinstance(value, Tensor) else isinstance(value, int | float)


def _brief(value) -> str:
    try:
        return _described(value)
    except Exception:  # some tensors have no numbers to show, and an object's repr may fail
        return f"an object of type {type(value).__name__}"


def _described(value) -> str:
    if isinstance(value, Tensor):
        return _rounded(value.tolist()) if _is_small(value) else f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, float):
        return _rounded(value)
    if inspect.isfunction(value):
        return f"the function {value.__name__}"
    return repr(value) if len(repr(value)) < 60 else f"an object of type {type(value).__name__}"


def _rounded(value) -> str:
    """Nested lists of numbers, with six digits."""
    return f"[{', '.join(map(_rounded, value))}]" if isinstance(value, list) else f"{value:.6g}"


def _short(error: BaseException) -> str:
    """The exception in a line or two, with the student's own line: the last that is of no library."""
    try:
        text = str(error).partition("\n")[0]
    except Exception:
        text = ""
    message = f"your code raised {type(error).__name__}: {text or 'no message'}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.line and not frame.filename.startswith(LIBRARIES)]
    return f"{message}\n  line {own[-1].lineno}: {own[-1].line}" if own else message
