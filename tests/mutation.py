"""Mutation testing: does a test go red when the code is changed?  `make mutation`, or

    python tests/mutation.py [--count 150] [--seed 0] [--minutes 60] [module …]

A seeded sample of small changes (a sign, a comparison, a constant, an omitted statement), one at a time, in a copy of
the project. What no test notices is printed; tests/README.md says why those of the standing sample survive.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
# module -> the tests that must notice, the quick ones first
TESTS = {
    "objectives": ["objectives", "evidence"],
    "likelihoods": ["likelihoods", "models"],
    "corruption": ["corruption", "evaluation"],
    "evaluation": ["evaluation"],
    "evidence": ["evidence"],
    "quadrature": ["quadrature", "evidence"],
    "verify": ["verify"],
    "checkpoint": ["checkpoint", "training"],
    "training": ["training"],
}
EVERYWHERE = ["properties", "bad_calls"]
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


class Mutant(NamedTuple):
    """One changed module: its name, the line, what stood there and stands there now, and the whole source."""

    module: str
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.module}.py, line {self.line}: {self.before}  →  {self.after}"


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """A node's changed copies."""
    other = copy.deepcopy(node)
    if (isinstance(node, ast.BinOp) and type(node.op) in SWAPS) or isinstance(node, ast.BoolOp):
        other.op = SWAPS[type(node.op)]()
        yield other
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        other.ops = [SWAPS[type(node.ops[0])]()]
        yield other
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield other.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        other.value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield other
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.copy_location(ast.Pass(), node)


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its nodes."""
    text = (ROOT / "aetutor" / f"{module}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    for parent in ast.walk(tree):
        if isinstance(parent, ast.AnnAssign) and parent.value is None:
            continue
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "type_params"):
                continue
            for place, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(node, ast.AST):
                    continue
                for other in changed(node):
                    _put(parent, field, place, other)
                    yield Mutant(module, node.lineno, ast.unparse(node), ast.unparse(other), ast.unparse(tree))
                    _put(parent, field, place, node)


def _put(parent, field, place, node):
    if place is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[place] = node


def sample(modules: list[str], count: int, seed: int) -> list[Mutant]:
    """A seeded sample of all mutants, without those of messages that are only read by people."""
    every = [mutant for module in modules for mutant in mutants(module)]
    return random.Random(seed).sample(every, min(count, len(every)))


def survives(mutant: Mutant, folder: Path, limit: float = 240) -> bool:
    """Whether no test notices the change, in a copy of the project; a test that hangs has noticed it."""
    path = folder / "aetutor" / f"{mutant.module}.py"
    original = path.read_text(encoding="utf-8")
    path.write_text(mutant.source, encoding="utf-8")
    files = [f"tests/test_{name}.py" for name in TESTS[mutant.module] + EVERYWHERE]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *files]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=limit)
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_text(original, encoding="utf-8")


def copies(count: int, folder: Path) -> Queue:
    """Copies of what the tests need, to be taken and given back."""
    free: Queue = Queue()
    for number in range(count):
        copy_of = folder / str(number)
        for part in ("aetutor", "tests", "book"):
            shutil.copytree(ROOT / part, copy_of / part, ignore=shutil.ignore_patterns("__pycache__", "_[brs]*"))
        (copy_of / "notebooks").mkdir()
        shutil.copy(ROOT / "pyproject.toml", copy_of)
        free.put(copy_of)
    return free


def main() -> int:
    """Try the sample; 1 if more than one in twenty survives."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=[])
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    chosen, began = sample(options.modules or list(TESTS), options.count, options.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        free = copies(workers := os.cpu_count() or 1, Path(folder))

        def tried(mutant: Mutant) -> bool | None:
            if time.monotonic() - began > 60 * options.minutes:
                return None  # the time is over
            place = free.get()
            try:
                alive = survives(mutant, place)
            finally:
                free.put(place)
            print("survives:" if alive else "dies:    ", mutant, flush=True)
            return alive

        with ThreadPoolExecutor(workers) as pool:
            results = [alive for alive in pool.map(tried, chosen) if alive is not None]
    died = results.count(False)
    minutes = (time.monotonic() - began) / 60
    print(f"{died} of {len(results)} mutants died ({died / len(results):.0%}), in {minutes:.0f} minutes")
    return int(died < 0.95 * len(results))


if __name__ == "__main__":
    sys.exit(main())
