"""The notebooks as files: outputs, equations and their checks, exercises and their solutions, figures, code and prose.

Each rule takes a notebook and yields its problems, a sentence each. The rules are themselves tested below, on a small
notebook that keeps them all and on copies of it that break one.
"""

import ast
import copy
import io
import re
import textwrap
import tokenize
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path

import nbformat
import numpy
import pytest
import torch
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from running import NOTEBOOKS, REWRITTEN, SECOND_SITTING, positions, read, set_up

import aetutor
from aetutor.exercises.notebook_01 import mnist_eigenvalues

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))

# in pieces, so that this file does not hold what it forbids
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:wor" + r"k|hom" + r"e|roo" + r"t|tm" + r"p|Use" + r"rs)/|\b[A-Z]:\\")
NUMBER = r"\d+\.\d+"
# what a solution may use that an earlier cell has computed
GIVEN = {"eigenvalues": mnist_eigenvalues}
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
FOLDED = re.compile(r"<details>\s*<summary>\s*(Hint|Solution).*?</summary>(.*?)</details>", re.DOTALL)
# a solution that trains a model: it takes up to a minute, and the data of the notebook's set-up
TRAINS = re.compile(r"\.backward\(|\bTrainer\(")
PYTHON_BLOCK = re.compile(r"\n\n```python\n(.*?)\n```\n\n", re.DOTALL)


# --- reading a notebook ----------------------------------------------------------------------------------------------


def code_cells(notebook):
    """(position, cell) of each code cell."""
    return [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def tree(source):
    """A cell's syntax tree; magics are turned into plain calls first."""
    return ast.parse(TransformerManager().transform_cell(source))


def calls(source, name):
    """The first argument of each call of `name` in a cell: a constant, or None for anything else."""
    found = [
        node
        for node in ast.walk(tree(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) == name
    ]
    return [getattr(node.args[0], "value", None) if node.args else None for node in found]


def called(notebook, name):
    """(position, first argument) of each call of `name` in the notebook."""
    return [(i, argument) for i, cell in code_cells(notebook) for argument in calls(cell.source, name)]


def tags(notebook):
    r"""(position, number) of each \tag{n.k} in the notebook's prose, in order."""
    return [
        (i, number)
        for i, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown"
        for number in re.findall(r"\\tag\{([^}]*)\}", FENCE.sub("", cell.source))
    ]


def printed(cell):
    """What a cell's outputs say in text, pictures left out."""
    texts = [output.get("text", "") for output in cell.outputs]
    for output in cell.outputs:
        texts += [str(data) for kind, data in output.get("data", {}).items() if not kind.startswith("image/")]
    return "\n".join(texts)


def chapter(path):
    """A notebook's number as its equations and exercises have it: "1" for 01_ae.ipynb."""
    return str(int(path.name[:2]))


# --- rules about the file --------------------------------------------------------------------------------------------


def valid_format(notebook, path):
    if notebook.nbformat != 4:
        yield f"nbformat {notebook.nbformat} instead of 4"
        return
    ids = Counter(cell.get("id") for cell in notebook.cells)
    repeated = [f"cell id {name!r} stands at {n} cells" for name, n in ids.items() if n > 1 or not name]
    yield from repeated
    try:
        if not repeated:  # validate() would give the cells new ids
            nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        yield f"not a valid notebook: {error}"


def kernel_is_python3(notebook, path):
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel must be python3, which every installation has"


def executed_in_order(notebook, path):
    counts = [cell.execution_count for _, cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"the execution counts are {counts}: run `make notebooks`"


def no_errors(notebook, path):
    yield from (
        f"cell {i} ends in an error: {output.get('ename')}"
        for i, cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "error"
    )


def no_saved_state(notebook, path):
    if "widgets" in notebook.metadata:
        yield "metadata.widgets is saved, which GitHub refuses"
    yield from (f"cell {i} holds execution timings" for i, cell in code_cells(notebook) if "execution" in cell.metadata)


def no_scripts(notebook, path):
    for i, cell in code_cells(notebook):
        if "<script" in printed(cell) or any("application/javascript" in o.get("data", {}) for o in cell.outputs):
            yield f"an output of cell {i} carries a script"


def small(notebook, path):
    megabytes = len(nbformat.writes(notebook).encode()) / 1e6
    if megabytes >= 2:
        yield f"{megabytes:.2f} MB, and 2 MB is the limit"


def no_machine_paths(notebook, path):
    yield from (
        f"an output of cell {i} names a path of one machine: {found[0]}…"
        for i, cell in code_cells(notebook)
        if (found := MACHINE_PATHS.search(printed(cell)))
    )


def enough_code(notebook, path):
    lines = [line.strip() for _, cell in code_cells(notebook) for line in cell.source.splitlines()]
    n = sum(bool(line) and not line.startswith("#") for line in lines)
    if n < 100:
        yield f"{n} lines of code; 100 or more are asked"


def figures_described(notebook, path):
    for i, cell in code_cells(notebook):
        for output, after in zip_longest(cell.outputs, cell.outputs[1:], fillvalue={}):
            if "image/png" not in output.get("data", {}):
                continue
            if not output.metadata.get("image/png", {}).get("alt", "").strip():
                yield f"a figure of cell {i} has no alternative text"
            if not after.get("data", {}).get("text/markdown", "").strip():
                yield f"a figure of cell {i} has no caption after it"


# --- rules about equations -------------------------------------------------------------------------------------------


def equations_numbered(notebook, path):
    numbers = [number for _, number in tags(notebook)]
    wanted = [f"{chapter(path)}.{k}" for k in range(1, len(numbers) + 1)]
    if not numbers or numbers != wanted:
        yield f"the equations are numbered {numbers}; expected {wanted or 'at least one'}"


def equations_checked(notebook, path):
    verified = called(notebook, "verify")
    where = {number: i for i, number in tags(notebook)}
    for number, i in where.items():
        if not any(argument == number and j > i for j, argument in verified):
            yield f"equation ({number}) has no verify({number!r}, …) in a code cell below it"
    for j, argument in verified:
        if argument not in where:
            yield f"verify({argument!r}, …) in cell {j} belongs to no equation"
        elif f"({argument}) ✓" not in printed(notebook.cells[j]):
            yield f"the output of cell {j} does not show the check of ({argument})"


# --- rules about exercises -------------------------------------------------------------------------------------------


def exercises_complete(notebook, path):
    asked = [argument for _, argument in called(notebook, "check")]
    known = [number for number in aetutor.EXERCISES if number.startswith(chapter(path) + ".")]
    if asked != known or len(known) < 5:
        yield f"the notebook asks {asked}, the package marks {known}; five or more are wanted, each once, in order"


def stubs_unanswered(notebook, path):
    for i, number in called(notebook, "check"):
        if "not attempted yet" not in printed(notebook.cells[i]):
            yield f'the stub of exercise {number} (cell {i}) does not say "not attempted yet"'


def folded(notebook):
    """The notebook's checks, hints and solutions, in order: (kind, exercise number or None, text)."""
    events = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            events += [("check", number, "") for number in calls(cell.source, "check")]
        elif cell.cell_type == "markdown":
            for kind, text in FOLDED.findall(cell.source):
                block = PYTHON_BLOCK.search(text)
                code = textwrap.dedent(block[1]) if block else ""
                events.append((kind, next(iter(re.findall(rf'check\("({NUMBER})"', code)), None), code))
    return events


def solutions(notebook):
    """(exercise number, code) of each folded solution."""
    return [(number, code) for kind, number, code in folded(notebook) if kind == "Solution"]


def hints_and_solutions(notebook, path):
    """Each exercise is a stub, a hint and a solution, before the next exercise's solution."""
    seen = []
    for kind, number, _ in folded(notebook):
        seen.append((kind, number))
        if kind == "Solution":
            if number is None:
                yield (
                    f"the solution after {seen[:-1]} has no ```python block, blank lines around it, with a line "
                    'check("n.k", …)'
                )
            if ("check", number) not in seen:
                yield f"the solution of exercise {number} has no stub before it"
            if "Hint" not in [kind for kind, _ in seen]:
                yield f"exercise {number} has no folded hint before its solution"
            seen = []
    solved = {number for number, _ in solutions(notebook)}
    yield from (f"exercise {n} has no folded solution" for _, n in called(notebook, "check") if n not in solved)


def imports(notebook):
    """The notebook's own import statements, as one piece of code."""
    nodes = [
        node
        for _, cell in code_cells(notebook)
        for node in tree(cell.source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return "\n".join(map(ast.unparse, nodes))


def setup(notebook):
    """The notebook's set-up as code, without magics."""
    nodes = [node for i in set_up(notebook) for node in tree(notebook.cells[i].source).body]
    return "\n".join(line for line in map(ast.unparse, nodes) if "get_ipython" not in line)


def mark_solution(number, code, names):
    """Run a solution among these names; yields what is wrong with it."""
    verdicts = []

    def check(name, answer):
        verdicts.append((name, aetutor.check(name, answer)))
        return verdicts[-1][1]

    try:
        exec(compile(code, f"<solution {number}>", "exec"), names | {"check": check})
    except Exception as error:
        yield f"the solution of exercise {number} raises {type(error).__name__}: {error}"
        return
    last = code.strip().splitlines()[-1] if code.strip() else ""
    if not last.startswith(f'check("{number}", ') or [name for name, _ in verdicts] != [number]:
        yield f'the solution of exercise {number} must end in check("{number}", …), once'
    yield from (f"exercise {name}: {verdict}" for name, verdict in verdicts if verdict.passed is not True)


def solutions_pass(notebook, path):
    for number, code in solutions(notebook):
        if TRAINS.search(code):
            continue
        names = {"torch": torch, "np": numpy, "F": torch.nn.functional}
        names |= {name: make() for name, make in GIVEN.items() if re.search(rf"\b{name}\b", code)}
        exec(imports(notebook), names)
        yield from mark_solution(number, code, names)


def solutions_that_train_pass(notebook, path):
    trained = [(number, code) for number, code in solutions(notebook) if TRAINS.search(code)]
    names = {}
    if trained:
        exec(setup(notebook), names)
    for number, code in trained:
        yield from mark_solution(number, code, names)


# --- rules about code ------------------------------------------------------------------------------------------------

LONGEST_CELL, LONGEST_SET_UP = 15, 20  # lines
# names that mean the same everywhere, in whatever cell they are bound
EVERYWHERE = {"_", "ax", "axes", "left", "right", "row", "rows"}


def plain_code(notebook, path):
    for i, cell in code_cells(notebook):
        lines = [line.strip() for line in cell.source.splitlines()]
        n = sum(bool(line) and not line.startswith("#") for line in lines)
        most = LONGEST_SET_UP if i in set_up(notebook) else LONGEST_CELL
        if n > most:
            yield f"cell {i} has {n} lines of code; {most} are the most"
        yield from (f"cell {i}: {fault}" for fault in puzzles(cell.source))


def puzzles(source):
    """What makes a cell hard to read: walruses, lambdas that are stored or carry a default, statements joined by ;"""
    source = TransformerManager().transform_cell(source)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    if any(token.type == tokenize.OP and token.string == ";" for token in tokens):
        yield "statements joined by ;"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.NamedExpr):
            yield f"a walrus: {ast.unparse(node)}"
        if isinstance(node, ast.Lambda) and node.args.defaults:
            yield f"a lambda with a default: {ast.unparse(node)}"
        yield from (f"a stored lambda: {ast.unparse(part)}" for part in entries(node) if isinstance(part, ast.Lambda))


def entries(node):
    """What a dictionary, a list or a comprehension holds; nothing for any other node."""
    if isinstance(node, ast.Dict):
        return node.values
    if isinstance(node, ast.DictComp):
        return [node.value]
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        return [node.elt]
    return getattr(node, "elts", [])


def one_meaning(notebook, path):
    """A name is bound in one cell only, or by the same statements in each; stubs share their names, and loops."""
    meanings = defaultdict(dict)  # name -> {what a cell binds to it: the first such cell}
    for i, cell in code_cells(notebook):
        stub = bool(calls(cell.source, "check"))
        here = defaultdict(dict)  # name -> the statements of this cell, in order
        for name, statement in bindings(tree(cell.source).body):
            here[name]["a stub" if stub else statement] = None
        for name, statements in here.items():
            meanings[name].setdefault("; ".join(statements), i)
    for name, bound in meanings.items():
        if len(bound) > 1 and name not in EVERYWHERE:
            told = ", ".join(f"{what.splitlines()[0]} (cell {i})" for what, i in bound.items())
            yield f"{name} has {len(bound)} meanings: {told}"


def bindings(nodes):
    """(name, statement) of all that these statements bind, blocks inside them included."""
    for node in nodes:
        yield from bound_by(node)
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            for block in ("body", "orelse", "handlers", "finalbody"):
                yield from bindings(getattr(node, block, []))


def bound_by(node):
    """(name, statement) of what one statement binds; a loop's names have the statement "a loop"."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [(node.name, ast.unparse(node))]
    if isinstance(node, ast.For):
        return [(name, "a loop") for name in names_in(node.target)]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name, f"import {alias.name}") for alias in node.names]
    if isinstance(node, ast.With):
        found = [item.optional_vars for item in node.items]
    else:
        found = [*getattr(node, "targets", []), getattr(node, "target", None)]
    return [(name, ast.unparse(node)) for target in found if target is not None for name in names_in(target)]


def names_in(target):
    """The names that a target binds: x, or x and y in (x, *y); an entry x[0] and an attribute x.y bind none."""
    if isinstance(target, ast.Name):
        return [target.id]
    parts = [target.value] if isinstance(target, ast.Starred) else getattr(target, "elts", [])
    return [name for part in parts for name in names_in(part)]


# --- rules about prose -----------------------------------------------------------------------------------------------

CORE_WORDS = {"3": 3_500}  # the most a notebook's core may have; one that is not named, 3,000
ANSWER = re.compile(r"<summary>\s*Answer")
QUOTE = re.compile(r"(?:^>.*\n?)+", re.MULTILINE)
DETAILS = re.compile(r"<details>.*?</details>", re.DOTALL)
DISPLAYED = re.compile(r"\$\$.*?\$\$", re.DOTALL)
INLINE = re.compile(r"\$[^$]+\$")
SET_UP_TOLD = ["", "run the first code cell of", "run the first two code cells of", "run the first three code cells of"]
CODE = re.compile(r"`[^`]*`")


def words(text):
    """The words of a text; formulas, code, tables and what is folded are left out."""
    for left_out in (DETAILS, FENCE, DISPLAYED, INLINE, CODE):
        text = left_out.sub(" ", text)
    lines = (line for line in text.splitlines() if not line.lstrip("> ").startswith("|"))
    return [word for line in lines for word in line.split() if re.search(r"\w", word)]


def core_is_short(notebook, path):
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    start, end = re.search(r"^#", prose, re.MULTILINE), SECOND_SITTING.search(prose)
    if not start or not end:
        yield 'no heading "Second sitting" ends the core'
        return
    n, most = len(words(prose[start.start() : end.start()])), CORE_WORDS.get(chapter(path), 3_000)
    if n > most:
        yield f"the core has {n:,} words; {most:,} are the most"


def set_up_told(notebook, path):
    cells = positions(notebook)[: len(set_up(notebook))]
    if not cells or cells != set_up(notebook):
        yield 'the code cells tagged "setup" must be the first'
    if not any(SET_UP_TOLD[len(cells)] in cell.source for cell in notebook.cells if SECOND_SITTING.search(cell.source)):
        yield f'"Second sitting" must say: {SET_UP_TOLD[len(cells)]} the notebook'


def picture_first(notebook, path):
    for kind, what, most in (("image/png", "picture", 5), ("application/vnd.jupyter.widget-view+json", "widget", 6)):
        shown = [i for i, cell in code_cells(notebook) if any(kind in o.get("data", {}) for o in cell.outputs)]
        if not shown or shown[0] >= most:
            where = f"first in cell {shown[0]}" if shown else "nowhere"
            yield f"there is a {what} {where}; it belongs into one of the first {most} cells"


def predictions_answered(notebook, path):
    events = []  # what stands where: (cell, place in it, "Predict" or "Answer")
    for i, cell in enumerate(notebook.cells):
        prose = cell.source if cell.cell_type == "markdown" else ""
        quotes = [quote for quote in QUOTE.finditer(prose) if "**Predict" in quote[0]]
        events += [(i, quote.start(), "Predict") for quote in quotes]
        events += [(i, answer.start(), "Answer") for answer in ANSWER.finditer(prose)]
        for quote in quotes:
            options = "".join(re.findall(r"\(([a-z])\)", quote[0]))
            if options not in ("ab", "abc", "abcd"):
                yield f"the prediction in cell {i} offers {list(options)}; from (a) and (b) up to (d) are asked"
    kinds = [kind for *_, kind in sorted(events)]
    if not kinds or kinds != ["Predict", "Answer"] * (len(kinds) // 2):
        told = ", ".join(f"{kind} (cell {i})" for i, _, kind in sorted(events))
        yield f"each prediction needs a folded answer before the next one; there are: {told or 'none'}"


# --- numbers in the prose --------------------------------------------------------------------------------------------

# the paragraph, and the list that belongs to it
MEANS = re.compile(r"^\*\*What it means.*?(?=\n\n(?![-*] |\d+\. | )|\Z)", re.MULTILINE | re.DOTALL)
# numbers that are names: (1.5), section 3, Figures 2 and 12; exponents and indices
NAMES = re.compile(
    r"\(\d\.\d+\)|\b(?:section|figure|exercise|notebook|table)s?\s+[\d.]*\d(?:(?:,| to| and| or)\s+[\d.]*\d)*"
    r"|[\^_](?:\{[^}]*\}|\d+)",
    re.IGNORECASE,
)
NUMERAL = re.compile(r"(?<![\w.])((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?)(?!\w)(\s?(?:\\?%|per\s+cent\b))?")


def numerals(text):
    """(as written, value, unit of the last digit) of each number in a text; per cent are hundredths."""
    for found in NUMERAL.finditer(text.replace("{,}", ",")):
        value = Decimal(found[1].replace(",", ""))
        scale = Decimal("0.01") if found[2] else 1
        yield found[0], value * scale, Decimal(1).scaleb(value.as_tuple().exponent) * scale


def rounded_unit(written, value, unit):
    """The unit of a number's last digit that counts, 100 in 1,500; None for a number with one digit only, as 40."""
    if "." in written:
        return unit
    while value and value % (10 * unit) == 0:
        unit *= 10
    return unit if value >= 10 * unit else None


def agrees(value, unit, shown):
    """Whether a number that is shown, no coarser than `unit`, rounds to `value`; 85.2 also to 85 %."""
    return any(
        shown_unit * scale <= unit and abs(shown_value * scale - value) <= unit / 2
        for shown_value, shown_unit in shown
        for scale in (1, Decimal("0.01"))
    )


def shown_above(notebook, i):
    """(value, unit) of each number in the outputs above cell i; bars, captions and descriptions of figures left out."""
    for cell in notebook.cells[:i]:
        outputs, figure = cell.get("outputs", []), False
        for output in outputs:
            data, caption = output.get("data", {}), figure
            figure = "image/png" in data
            if not figure and not caption and output.get("name") != "stderr":
                texts = [output.get("text", ""), *(str(data[kind]) for kind in data if kind.startswith("text/"))]
                yield from ((value, unit) for _, value, unit in numerals(NAMES.sub(" ", "\n".join(texts))))


def written_above(notebook, i):
    """The numbers in the code and in the formulas above the "What it means" of cell i."""
    for cell in notebook.cells[: i + 1]:
        if cell.cell_type == "code":
            constants = (getattr(node, "value", None) for node in ast.walk(tree(cell.source)))
            yield from (Decimal(str(value)) for value in constants if type(value) in (int, float))
        else:
            text = MEANS.sub("", cell.source)
            for formula in (*DISPLAYED.findall(text), *INLINE.findall(DISPLAYED.sub("", text))):
                yield from (value for _, value, _ in numerals(formula))


def numbers_agree(notebook, path):
    """A number in "What it means" is shown by an output above, or written above, or a benchmark gives it."""
    for i, cell in enumerate(notebook.cells):
        for found in MEANS.findall(cell.source) if cell.cell_type == "markdown" else []:
            if "python benchmarks/" in found:
                continue
            shown, written = list(shown_above(notebook, i)), set(written_above(notebook, i))
            for sentence in re.split(r"(?<=[.:?!])\s+", found):
                for as_written, value, unit in numerals(NAMES.sub(" ", CODE.sub(" ", sentence))):
                    unit = rounded_unit(as_written, value, unit)
                    if unit and value not in written and not agrees(value, unit, shown):
                        yield f"no output above cell {i} shows {as_written}: {' '.join(sentence.split())}"


RULES = [
    valid_format,
    kernel_is_python3,
    executed_in_order,
    no_errors,
    no_saved_state,
    no_scripts,
    small,
    no_machine_paths,
    enough_code,
    figures_described,
    equations_numbered,
    equations_checked,
    exercises_complete,
    stubs_unanswered,
    hints_and_solutions,
    solutions_pass,
]
# for the notebooks in REWRITTEN
NEWER_RULES = [
    plain_code,
    one_meaning,
    core_is_short,
    set_up_told,
    picture_first,
    predictions_answered,
    numbers_agree,
]


# --- the notebooks keep the rules ------------------------------------------------------------------------------------


def test_there_are_notebooks():
    assert PATHS, f"no notebook found in {NOTEBOOKS.name}/"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_notebook(path, rule):
    problems = list(rule(read(path), path))
    assert not problems, "\n".join(problems)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_solutions_that_train(path):
    problems = list(solutions_that_train_pass(read(path), path))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("rule", NEWER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", REWRITTEN)
def test_rewritten_notebook(name, rule):
    problems = list(rule(read(NOTEBOOKS / name), NOTEBOOKS / name))
    assert not problems, "\n".join(problems)


# --- the rules see what they should ----------------------------------------------------------------------------------

EXAMPLE = Path("01_example.ipynb")


def solution(code):
    return f"<details><summary>Solution</summary>\n\nThat is:\n\n```python\n{code}\n```\n\n</details>"


def exercise(number):
    code = f'from aetutor import EXERCISES\n\nanswer = EXERCISES["{number}"].reference\ncheck("{number}", answer)'
    return [
        new_code_cell(
            f'answer = None\ncheck("{number}", answer)',
            outputs=[new_output("execute_result", {"text/plain": f"… Exercise {number}: not attempted yet."})],
        ),
        new_markdown_cell(f"<details><summary>Hint</summary>\n\nThink.\n\n</details>\n\n{solution(code)}"),
    ]


MEANING = """> **Predict.** How large is it?
>
> (a) 29; (b) 92.

<details><summary>Answer</summary>

(a), and 17.5 is not read here.

</details>

**What it means.** The error is 29.4, or 29, and 85 % of about 1,500: see (1.1) and section 12, line `17`.

- Of 100 images, $2^{31}$ and $x_{47}$ are names.
- That is 0.0032, or 46 %, of 65,536 and 1.25.

Here 17.5 is not read either.

## Second sitting

To start here, run the first code cell of the notebook.
"""


def example():
    """A notebook that keeps every rule: 0 prose, 1 set-up, 2 equation, 3 its check and a widget, 4 figure, from 5 on
    exercises, -8 to -3 more code, -2 numbers, -1 what they mean.
    """
    figure = new_output("display_data", {"image/png": "iVBORw0K"}, metadata={"image/png": {"alt": "a line"}})
    caption = new_output("display_data", {"text/markdown": "*A line from 7.7 to 8.8.*"})
    widget = new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}})
    notebook = new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[
            new_markdown_cell("# Example"),
            new_code_cell(
                "%matplotlib inline\nimport torch\nfrom aetutor import check, verify\n" + "a = 1\n" * 17,
                metadata={"tags": ["setup"]},
            ),
            new_markdown_cell("```\n\\tag{9.9} is code\n```\n\n$$\n1 = 1 + 65{,}536 - 1.25 \\tag{1.1}\n$$"),
            new_code_cell(
                'verify("1.1", 1.0, 1.0, atol=1e-9)',
                outputs=[new_output("stream", name="stdout", text="(1.1) ✓ 1 = 1"), widget],
            ),
            new_code_cell("draw()", outputs=[figure, caption]),
        ],
    )
    for number in (n for n in aetutor.EXERCISES if n.startswith("1.")):
        notebook.cells += exercise(number)
    notebook.cells += [new_code_cell("draw()\n" * 15) for _ in range(6)]
    numbers = "error 29.35, 85.2% of 1,542, or 0.00316 and 0.457\n"
    notebook.cells.append(new_code_cell("report()", outputs=[new_output("stream", name="stdout", text=numbers)]))
    notebook.cells.append(new_markdown_cell(MEANING))
    for count, (_, cell) in enumerate(code_cells(notebook), start=1):
        cell.execution_count = count
    return notebook


def edit(i, old, new):
    """Replace a text in the source of cell i."""

    def break_it(notebook):
        assert old in notebook.cells[i].source
        notebook.cells[i].source = notebook.cells[i].source.replace(old, new, 1)

    return break_it


def change(i, key, value):
    """Set one field of cell i."""
    return lambda notebook: notebook.cells[i].update({key: value})


def before(i, line):
    """Put a line of code above those of cell i."""
    return lambda notebook: notebook.cells[i].update(source=f"{line}\n{notebook.cells[i].source}")


def output(kind, *arguments, **fields):
    """Give cell 1 one output."""
    return lambda notebook: notebook.cells[1].update(outputs=[new_output(kind, *arguments, **fields)])


BACKWARD = "torch.ones(1, requires_grad=True).sum().backward()"
PATH_OUTPUT = "File " + "/hom" + "e/me/x.py"
BREAKS = [
    (valid_format, change(0, "id", None)),
    (valid_format, lambda notebook: notebook.cells[0].update(id=notebook.cells[1].id)),
    (valid_format, lambda notebook: notebook.cells[0].update(cell_type="unknown")),
    (valid_format, lambda notebook: notebook.update(nbformat=3)),
    (kernel_is_python3, lambda notebook: notebook.metadata.kernelspec.update(name="my-kernel")),
    (executed_in_order, change(3, "execution_count", None)),
    (executed_in_order, change(3, "execution_count", 7)),
    (no_errors, output("error", ename="ValueError", evalue="", traceback=[])),
    (no_saved_state, lambda notebook: notebook.metadata.update(widgets={})),
    (no_saved_state, change(1, "metadata", {"execution": {}})),
    (no_scripts, output("display_data", {"text/html": "<script>1</script>"})),
    (no_scripts, output("display_data", {"application/javascript": "1"})),
    (small, output("stream", text="x" * 2_000_000)),
    (no_machine_paths, output("stream", text=PATH_OUTPUT)),
    (no_machine_paths, output("display_data", {"text/html": PATH_OUTPUT})),
    (enough_code, lambda notebook: notebook.cells.__delitem__(slice(-8, -2))),
    (enough_code, lambda notebook: [edit(i, "draw()\n" * 15, "# draw()\n\n" * 15)(notebook) for i in range(-8, -2)]),
    (figures_described, lambda notebook: notebook.cells[4].outputs[0].update(metadata={})),
    (figures_described, lambda notebook: notebook.cells[4].outputs[0].metadata["image/png"].update(alt=" ")),
    (figures_described, lambda notebook: notebook.cells[4].outputs.pop()),
    (figures_described, lambda notebook: notebook.cells[4].outputs.reverse()),
    (equations_numbered, edit(2, "{1.1}", "{1.2}")),
    (equations_numbered, edit(2, "{1.1}", "{1.1}\n$$\n\n$$\n2 = 2 \\tag{1.3}")),
    (equations_numbered, edit(2, "{1.1}", "{2.1}")),
    (equations_numbered, edit(2, "\\tag{1.1}", "")),
    (equations_checked, edit(2, "{1.1}", "{1.2}")),
    (equations_checked, edit(3, '"1.1"', "number")),
    (equations_checked, edit(3, "verify", "# verify")),
    (equations_checked, change(3, "outputs", [])),
    (equations_checked, lambda notebook: notebook.cells.insert(4, notebook.cells.pop(2))),
    (exercises_complete, edit(5, "check(", "# check(")),
    (exercises_complete, edit(5, '"1.1"', '"1.2"')),
    (stubs_unanswered, change(5, "outputs", [])),
    (hints_and_solutions, edit(6, "<summary>Hint", "<summary>Help")),
    (hints_and_solutions, edit(6, "<summary>Solution", "<summary>Answer")),
    (hints_and_solutions, edit(6, "\n\n```python", "\n```python")),
    (hints_and_solutions, edit(6, '"1.1", answer', '"1.2", answer')),
    (hints_and_solutions, lambda notebook: notebook.cells.insert(5, notebook.cells.pop(6))),
    (solutions_pass, edit(6, ".reference", ".prompt")),
    (solutions_pass, edit(6, 'answer = EXERCISES["1.1"].reference', "answer = None")),
    (solutions_pass, edit(6, "answer = ", "answer = undefined_name + ")),
    (solutions_pass, edit(6, "answer = ", "answer = = ")),
    (solutions_pass, edit(6, 'check("1.1", answer)', 'print("1.1")')),
    (solutions_pass, edit(6, 'check("1.1", answer)', 'check("1.1", answer)\nprint()')),
    (solutions_that_train_pass, edit(6, "answer = ", f"{BACKWARD}\nanswer = undefined_name + ")),
    (solutions_that_train_pass, edit(6, "answer = ", f"{BACKWARD}\nanswer = None  #")),
    (solutions_that_train_pass, edit(6, 'check("1.1", answer)', BACKWARD)),
    (plain_code, before(3, "(n := 3)")),
    (plain_code, before(3, "print(); print()")),
    (plain_code, before(3, "functions = {'one': lambda x: x}")),
    (plain_code, before(3, "functions = [lambda x: x]")),
    (plain_code, before(3, "functions = [lambda x: x for _ in range(3)]")),
    (plain_code, before(3, "functions = {k: lambda x: x for k in range(3)}")),
    (plain_code, before(3, "squared_error(lambda x, k=k: x)")),
    (plain_code, before(4, "draw()\n" * 15)),
    (plain_code, before(1, "a = 1")),
    (one_meaning, before(3, "a = 2")),
    (one_meaning, before(3, "a += 2")),
    (one_meaning, before(3, "b, (*a, c) = 1, (2, 3)")),
    (one_meaning, before(3, "for a in range(2):\n    pass")),
    (one_meaning, before(3, "for b in range(2):\n    a = 2")),
    (one_meaning, before(3, "def a(): ...")),
    (one_meaning, before(3, "import a")),
    (one_meaning, before(3, "with open('x') as a:\n    pass")),
    (one_meaning, before(3, "try:\n    pass\nexcept ValueError:\n    a = 2")),
    (one_meaning, before(3, "check = verify")),
    (one_meaning, before(4, "answer = 2")),
    (core_is_short, edit(0, "# Example", "# Example\n" + "word " * 3000)),
    (core_is_short, edit(-1, "## Second", "## Third")),
    (core_is_short, edit(-1, "## Second", "Second")),
    (set_up_told, change(1, "metadata", {})),
    (set_up_told, change(4, "metadata", {"tags": ["setup"]})),
    (set_up_told, edit(-1, "first code cell", "first two code cells")),
    (set_up_told, edit(-1, "run the first code cell", "go on")),
    (picture_first, change(4, "outputs", [])),
    (picture_first, change(3, "outputs", [])),
    (picture_first, lambda notebook: notebook.cells.insert(0, new_markdown_cell("A preface"))),
    (predictions_answered, edit(-1, "(b)", "or")),
    (predictions_answered, edit(-1, "(b) 92", "(c) 92")),
    (predictions_answered, edit(-1, "(b) 92", "(b) 92; (c) 29; (d) 1; (e) 2")),
    (predictions_answered, edit(-1, "Answer", "Solution")),
    (predictions_answered, edit(-1, "> **Predict", "**Predict")),
    (predictions_answered, edit(0, "# Example", "# Example\n\n<details><summary>Answer</summary>No</details>")),
    (predictions_answered, edit(0, "# Example", "> **Predict.** Too early? (a) Yes; (b) no.")),
    (numbers_agree, edit(-1, "29.4", "29.5")),
    (numbers_agree, edit(-1, "29.4", "29.350")),
    (numbers_agree, edit(-1, "29.4", "7.7")),
    (numbers_agree, edit(-1, "or 29,", "or 28,")),
    (numbers_agree, edit(-1, "85 %", "86 %")),
    (numbers_agree, edit(-1, "85 %", "85.3 per cent")),
    (numbers_agree, edit(-1, "1,500", "1,600")),
    (numbers_agree, edit(-1, "0.0032", "0.0033")),
    (numbers_agree, edit(-1, "46 %", "47 %")),
    (numbers_agree, edit(-1, "65,536", "65,537")),
    (numbers_agree, edit(-1, "1.25", "1.2")),
    (numbers_agree, edit(-1, "section 12", "12 sections")),
    (numbers_agree, lambda notebook: notebook.cells[-2].outputs[0].update(name="stderr")),
    (numbers_agree, lambda notebook: notebook.cells.append(notebook.cells.pop(-2))),
]


ALL_RULES = [*RULES, solutions_that_train_pass, *NEWER_RULES]


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_keeps_the_rule(rule):
    assert list(rule(example(), EXAMPLE)) == []


@pytest.mark.parametrize("rule, break_it", BREAKS, ids=[f"{rule.__name__}-{i}" for i, (rule, _) in enumerate(BREAKS)])
def test_a_rule_sees_a_break(rule, break_it):
    notebook = copy.deepcopy(example())
    break_it(notebook)
    assert list(rule(notebook, EXAMPLE))


def test_every_rule_is_seen_to_fail():
    assert {rule for rule, _ in BREAKS} == set(ALL_RULES)


GOOD = [
    (solutions_pass, edit(6, "answer = ", f"{BACKWARD}\nanswer = undefined_name + ")),  # left to the slow rule
    (solutions_that_train_pass, edit(6, "answer = ", f"{BACKWARD}\nassert a == 1\nanswer = ")),
    (plain_code, before(3, "total = sum(map(lambda x: x, (1, 2)))\nprint('a; b')  # c; d")),
    (plain_code, before(4, "draw()\n\n# a comment\n" * 14)),
    (one_meaning, before(3, "a = 1")),  # the same statement
    (one_meaning, before(3, "b = [a for a in range(3)]")),
    (one_meaning, before(3, "def b():\n    a = 2")),
    (one_meaning, before(3, "b.a, b['a'] = 1, 2")),
    (one_meaning, before(3, "b = 1\nb = b + 1")),
    (one_meaning, lambda notebook: [before(i, "for b in range(2):\n    print(b)")(notebook) for i in (3, 4)]),
    (one_meaning, lambda notebook: [before(i, f"ax = {i}")(notebook) for i in (3, 4)]),
    (core_is_short, edit(0, "# Example", "# Example\n" + "word " * 2900)),
    (core_is_short, edit(0, "# Example", "# Example\n\n<details>\n" + "word " * 3000 + "</details>")),
    (core_is_short, edit(0, "# Example", "# Example\n\n| " + "word " * 3000 + "|")),
    (core_is_short, edit(0, "# Example", "# Example\n\n$$\n" + "x " * 3000 + "\n$$")),
    (core_is_short, edit(0, "# Example", "# Example\n\n$" + "x " * 3000 + "$")),
    (core_is_short, edit(-1, "## Second sitting", "## Second sitting\n" + "word " * 3000)),
    (predictions_answered, edit(-1, "(b) 92", "(b) 92; (c) 1; (d) 2")),
    (predictions_answered, edit(-1, "Answer", "\nAnswer: yes")),
    (numbers_agree, edit(-1, "29.4", "29.3")),  # 29.35 may be rounded either way
    (numbers_agree, edit(-1, "29.4", "17.5 (`python benchmarks/depth.py`)")),
]


@pytest.mark.parametrize("rule, vary", GOOD, ids=[f"{rule.__name__}-{i}" for i, (rule, _) in enumerate(GOOD)])
def test_a_rule_lets_pass_what_is_good(rule, vary):
    notebook = copy.deepcopy(example())
    vary(notebook)
    assert list(rule(notebook, EXAMPLE)) == []


def test_the_core_of_notebook_03_may_be_longer():
    notebook = example()
    notebook.cells[0].source += "\n" + "word " * 3200
    assert list(core_is_short(notebook, Path("02_example.ipynb")))
    assert not list(core_is_short(notebook, Path("03_example.ipynb")))
