"""Exercises that mark themselves: `check("1.2", answer)`."""

from aetutor.exercises.engine import Exercise, Mistake, Verdict, mark
from aetutor.exercises.notebook_01 import EXERCISES as _NOTEBOOK_01
from aetutor.exercises.notebook_02 import EXERCISES as _NOTEBOOK_02
from aetutor.exercises.notebook_03 import EXERCISES as _NOTEBOOK_03
from aetutor.exercises.notebook_04 import EXERCISES as _NOTEBOOK_04

__all__ = ["EXERCISES", "Exercise", "Mistake", "Verdict", "check"]

EXERCISES: dict[str, Exercise] = {**_NOTEBOOK_01, **_NOTEBOOK_02, **_NOTEBOOK_03, **_NOTEBOOK_04}


def check(number: str, answer) -> Verdict:
    """Mark an answer to an exercise: a function, a value or a trained model; the verdict displays itself.

    A function is tried on fresh random inputs of several sizes, in float32 and float64, and compared with the reference
    solution. What a trained model does is measured on test images. A wrong answer is compared with the exercise's
    typical mistakes. Never raises for what the student's code does, but for Ctrl-C; raises ValueError for an unknown
    exercise number.
    """
    if number not in EXERCISES:
        raise ValueError(f"There is no exercise {number!r}: give one of the texts {', '.join(map(repr, EXERCISES))}.")
    return mark(number, EXERCISES[number], answer)
