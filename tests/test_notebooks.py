"""The notebooks as files: outputs, equations and their checks, exercises and their solutions, figures.

Each rule takes a notebook and yields its problems, a sentence each. The rules are themselves tested below, on a small
notebook that keeps them all and on copies of it that break one.
"""

import ast
import copy
import re
import textwrap
from collections import Counter
from itertools import zip_longest
from pathlib import Path

import nbformat
import numpy
import pytest
import torch
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import aetutor
from aetutor.exercises.notebook_01 import mnist_eigenvalues

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))

# in pieces, so that this file does not hold what it forbids
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:wor" + r"k|hom" + r"e|roo" + r"t|tm" + r"p|Use" + r"rs)/|\b[A-Z]:\\")
NUMBER = r"\d+\.\d+"
# what a solution may use that an earlier cell has computed
GIVEN = {"eigenvalues": mnist_eigenvalues}
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
FOLDED = re.compile(r"<details>\s*<summary>\s*(Hint|Solution).*?</summary>(.*?)</details>", re.DOTALL)
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


def enough_code_but_not_more(notebook, path):
    lines = [line.strip() for _, cell in code_cells(notebook) for line in cell.source.splitlines()]
    n = sum(bool(line) and not line.startswith("#") for line in lines)
    if not 100 <= n <= 250:
        yield f"{n} lines of code; 100 to 250 are asked"


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


def solutions_pass(notebook, path):
    for number, code in solutions(notebook):
        verdicts = []

        def check(name, answer, verdicts=verdicts):
            verdicts.append((name, aetutor.check(name, answer)))
            return verdicts[-1][1]

        names = {"torch": torch, "np": numpy, "F": torch.nn.functional}
        names |= {name: make() for name, make in GIVEN.items() if re.search(rf"\b{name}\b", code)}
        exec(imports(notebook), names)
        try:
            exec(compile(code, f"<solution {number}>", "exec"), names | {"check": check})
        except Exception as error:
            yield f"the solution of exercise {number} raises {type(error).__name__}: {error}"
            continue
        last = code.strip().splitlines()[-1] if code.strip() else ""
        if not last.startswith(f'check("{number}", ') or [name for name, _ in verdicts] != [number]:
            yield f'the solution of exercise {number} must end in check("{number}", …), once'
        yield from (f"exercise {name}: {verdict}" for name, verdict in verdicts if verdict.passed is not True)


RULES = [
    valid_format,
    kernel_is_python3,
    executed_in_order,
    no_errors,
    no_saved_state,
    no_scripts,
    small,
    no_machine_paths,
    enough_code_but_not_more,
    figures_described,
    equations_numbered,
    equations_checked,
    exercises_complete,
    stubs_unanswered,
    hints_and_solutions,
    solutions_pass,
]


# --- the notebooks keep the rules ------------------------------------------------------------------------------------


def read(path):
    """The notebook as it stands in the file: `nbformat.read` would mend some faults silently."""
    return nbformat.reader.reads(path.read_text(encoding="utf-8"))


def test_there_are_notebooks():
    assert PATHS, f"no notebook found in {NOTEBOOKS.name}/"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_notebook(path, rule):
    problems = list(rule(read(path), path))
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


def example():
    """A notebook that keeps every rule: 0 prose, 1 imports, 2 equation, 3 its check, 4 figure, from 5 on exercises."""
    figure = new_output("display_data", {"image/png": "iVBORw0K"}, metadata={"image/png": {"alt": "a line"}})
    caption = new_output("display_data", {"text/markdown": "*A line.*"})
    notebook = new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[
            new_markdown_cell("# Example"),
            new_code_cell("%matplotlib inline\nimport torch\nfrom aetutor import check, verify\n" + "a = 1\n" * 100),
            new_markdown_cell("```\n\\tag{9.9} is code\n```\n\n$$\n1 = 1 \\tag{1.1}\n$$"),
            new_code_cell(
                'verify("1.1", 1.0, 1.0, atol=1e-9)',
                outputs=[new_output("stream", name="stdout", text="(1.1) ✓ 1 = 1")],
            ),
            new_code_cell("draw()", outputs=[figure, caption]),
        ],
    )
    for number in (n for n in aetutor.EXERCISES if n.startswith("1.")):
        notebook.cells += exercise(number)
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


def output(kind, *arguments, **fields):
    """Give cell 1 one output."""
    return lambda notebook: notebook.cells[1].update(outputs=[new_output(kind, *arguments, **fields)])


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
    (enough_code_but_not_more, edit(1, "a = 1\n" * 20, "# a = 1\n\n" * 20)),
    (enough_code_but_not_more, edit(1, "a = 1\n", "a = 1\n" * 150)),
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
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_keeps_the_rule(rule):
    assert list(rule(example(), EXAMPLE)) == []


@pytest.mark.parametrize("rule, break_it", BREAKS, ids=[f"{rule.__name__}-{i}" for i, (rule, _) in enumerate(BREAKS)])
def test_a_rule_sees_a_break(rule, break_it):
    notebook = copy.deepcopy(example())
    break_it(notebook)
    assert list(rule(notebook, EXAMPLE))


def test_every_rule_is_seen_to_fail():
    assert {rule for rule, _ in BREAKS} == set(RULES)
