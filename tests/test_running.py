"""The notebooks run: cells in any order, the second sitting by itself, and checks that see the classic slips.

Each notebook is run once more than by nbval, in one kernel, by the browser where there is one (conftest.py), and all
that the tests ask is read off that run.
"""

import nbformat
import pytest
from lab import seconds
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from running import (
    difference,
    failures,
    main,
    not_the_same,
    positions,
    printed,
    record,
    run_of,
    second_sitting,
    sections,
    set_up,
    shift_seeds,
)
from slips import SLIPS, Check, Slip, outcome, unseen

RESTORES = 90  # seconds for any cell of the second sitting; about 30 on a quiet machine


# --- the notebooks ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_cell_runs(notebook):
    assert not list(failures(notebook.runs))


@pytest.mark.slow
def test_cells_may_run_again_in_any_order_of_the_sections(notebook):
    assert not notebook.again, "\n".join(notebook.again)


@pytest.mark.slow
def test_the_second_sitting_needs_nothing_but_the_set_up(notebook):
    assert len(notebook.second) > len(set_up(notebook.executed)), 'there is no code below a heading "Second sitting"'
    assert not list(failures(notebook.second))


@pytest.mark.slow
def test_the_second_sitting_prints_the_same_by_itself(notebook):
    """Models are trained again there, at other places: the random numbers of the cell that asks must be the same."""
    problems = list(not_the_same(notebook.runs, notebook.second))
    assert not problems, "\n".join(problems)


@pytest.mark.slow
def test_the_second_sitting_restores_quickly(notebook):
    slow = [f"cell {run.cell} takes {run.seconds:.0f} s" for run in notebook.second if run.seconds > RESTORES]
    assert not slow, "\n".join(slow)


@pytest.mark.slow
def test_the_checks_see_the_classic_slips(notebook):
    slips = {number: known for number, known in SLIPS.items() if number.startswith(notebook.chapter + ".")}
    problems = list(unseen(notebook.checks, slips))
    assert notebook.checks and not problems, "\n".join(problems)


# --- the tests above see what they should: a small notebook with a fault of each kind --------------------------------

CELLS = [
    "# Title",
    "from aetutor import verify\nimport random\nimport sys\nimport time\nprint(random.random())",  # not run again
    "## 1",
    "time.sleep(2.1)\ngrows = []\nprint('slept')",  # not cheap: it is not run again
    "grows.append(1)\nprint(len(grows), 'entries')",
    "size = 1\nprint(object())",
    "print(random.random(), 'at random')",
    "random.seed(0)\nprint(random.random())",
    "verify('1.1', 2.0, 2.0, atol=1e-9, meaning='narrow', unit='')",
    "## 2",
    "print(size, 'is the size')",
    "print('100%|████|', file=sys.stderr)\nsize = 2",  # a training's bar: it is not run again
    "size = 3",
    "undefined",
    "## Second sitting",
    "print(size, 'is the size')",
    "size = 3",
    "verify",
]


def small_notebook():
    cells = [new_markdown_cell(c) if c.startswith("#") else new_code_cell(c) for c in CELLS]
    cells[1].metadata["tags"] = ["setup"]
    return new_notebook(cells=cells)


@pytest.fixture(scope="module")
def faulty():
    return record(small_notebook(), "1")


@pytest.mark.slow
def test_a_run_tells_what_each_cell_did(faulty):
    runs = {run.cell: run for run in faulty.runs}
    assert list(runs) == positions(small_notebook())
    assert (runs[4].text, runs[4].error, runs[4].bar, runs[4].cheap) == ("1 entries\n", "", False, True)
    assert runs[3].text == "slept\n" and runs[3].seconds > 2.1 and not runs[3].cheap
    assert runs[5].text == "<object object at 0x…>\n"
    assert runs[11].bar and not runs[11].cheap
    assert list(failures(faulty.runs)) == ["cell 13 ends in NameError: name 'undefined' is not defined"]


@pytest.mark.slow
def test_verify_is_watched_and_prints_as_ever(faulty):
    assert next(run.text for run in faulty.runs if run.cell == 8) == "(1.1) ✓ narrow: 2 = 2 (difference 0)\n"
    (check,) = faulty.checks
    assert (check.number, check.kind, check.meaning) == ("1.1", "exact", "narrow")
    assert check.slips["the minus forgotten"] == "" and check.slips["white pixels only"] == "KeyError: 'binary'"


@pytest.mark.slow
def test_running_again_sees_what_is_not_the_same(faulty):
    seen = {words.partition(", cell ")[2].split()[0]: words for words in reversed(faulty.again)}
    assert set(seen) == {"4", "6", "10", "13"}
    assert seen["4"] == "run again in order, cell 4 prints '2 entries' instead of '1 entries'"
    assert seen["10"] == (
        "run again section by section, the last first, cell 10 prints '3 is the size' instead of '1 is the size'"
    )
    assert "NameError" in seen["13"]


@pytest.mark.slow
def test_the_second_sitting_has_only_the_names_of_the_set_up(faulty):
    assert [run.cell for run in faulty.second] == [1, 15, 16, 17]
    assert list(failures(faulty.second)) == ["cell 15 ends in NameError: name 'size' is not defined"]


def test_without_its_heading_there_is_no_second_sitting():
    notebook = small_notebook()
    notebook.cells[14].source = "## Later"
    assert second_sitting(notebook) == []


def test_sections_count_the_headings_above():
    assert set(sections(small_notebook()).items()) >= {(1, 0), (3, 1), (8, 1), (10, 2), (13, 2), (15, 3)}


def test_what_is_printed_leaves_out_stderr_and_addresses():
    outputs = [
        new_output("stream", name="stdout", text="a"),
        new_output("stream", name="stdout", text=" b\n"),
        new_output("stream", name="stderr", text="50%|█ |"),
        new_output(
            "display_data", {"image/png": "", "text/plain": "Figure"}, metadata={"image/png": {"alt": "a line"}}
        ),
        new_output("execute_result", {"text/plain": "<f at 0x7f0123456789>"}),
    ]
    assert printed(outputs) == "a b\nFigure\n<f at 0x…>\n"
    run = run_of(3, 0.5, outputs)
    assert run.alts == ("a line",) and run.bar and not run.cheap and not run.error


def test_jupyterlabs_times_tell_how_long_a_cell_took():
    """Were they wrong, trainings would count as cheap and run again, or no cell would."""
    times = {"iopub.execute_input": "2026-01-01T10:59:58.500000Z", "shell.execute_reply": "2026-01-01T11:00:01.250000Z"}
    assert seconds(times) == 2.75


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("a\nb", "a\nc", "'c' instead of 'b'"),
        ("a", "", "'nothing' instead of 'a'"),
        ("", "a", "'a' instead of 'nothing'"),
        ("a", "a\n", "other line ends"),
    ],
)
def test_the_first_line_that_differs_is_named(before, after, said):
    assert difference(before, after) == said


@pytest.mark.parametrize(
    ("source", "shifted"),
    [
        ("torch.manual_seed(0)", "torch.manual_seed(100)"),
        ("torch.Generator().manual_seed(7)", "torch.Generator().manual_seed(107)"),
        ("Trainer(model, loss, seed=1).fit(x, epochs=2)", "Trainer(model, loss, seed=101).fit(x, epochs=2)"),
        ("torch.manual_seed(seed)\nreseed=3", "torch.manual_seed(seed)\nreseed=3"),
    ],
)
def test_seeds_are_shifted(source, shifted):
    assert shift_seeds(source, 100) == shifted


@pytest.mark.slow
def test_other_seeds_run_and_failures_are_reported(tmp_path, capsys):
    source = "import random\nrandom.seed(a=0)\nseed = dict(seed=7)\nassert seed['seed'] in (7, 107, 307)\nprint(seed)"
    path = tmp_path / "seeds.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell(source)]), path)
    assert main([str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"seeds.ipynb, seeds + {shift}" for shift in (100, 200, 300)]
    assert [line.endswith("every cell runs") for line in lines] == [True, False, True]
    assert "cell 1 ends in AssertionError" in lines[1]


# --- slips -----------------------------------------------------------------------------------------------------------

HALF = Slip("half", lambda lhs, rhs, names: (lhs, rhs / 2))
BY_NAME = Slip("by name", lambda lhs, rhs, names: (lhs, names["other"]))


@pytest.mark.parametrize(
    ("slip", "names", "settings", "found"),
    [
        (HALF, {}, {"atol": 0.1}, ""),
        (HALF, {}, {"standard_errors": 0.1}, ""),
        (HALF, {}, {"relation": "≤"}, ""),
        (HALF, {}, {"relation": "≥"}, "passes"),
        (HALF, {}, {"atol": 1.0}, "passes"),
        (HALF, {}, {"standard_errors": 0.25}, "passes"),
        (BY_NAME, {"other": 3.0}, {"atol": 0.1}, ""),
        (BY_NAME, {"other": float("inf")}, {"atol": 0.1}, "ValueError: verify('1.1'): the right side holds NaN"),
        (BY_NAME, {}, {"atol": 0.1}, "KeyError: 'other'"),
    ],
)
def test_a_slip_is_seen_or_the_reason_is_told(slip, names, settings, found, capsys):
    said = outcome(slip, "1.1", 2.0, 2.0, names, settings)
    assert said.startswith(found) and bool(said) == bool(found)
    assert capsys.readouterr().out == ""


def test_a_slip_that_passes_and_a_check_without_one_are_faults():
    table = {"1.1": [HALF, Slip("other", HALF.sides, "exact: b")], "1.2": [HALF]}
    checks = [Check("1.1", "exact", "a", {"half": "passes"}), Check("1.2", "estimate", "c", {})]
    assert list(unseen(checks, table)) == [
        "(1.1) exact: a: 'half' passes",
        "(1.2) estimate: c: there is no slip for this check",
        "(1.1): no check for 'other' (exact: b)",
        "(1.2): no check for 'half' ()",
    ]
    good = [Check("1.1", "exact", "b", {"half": "", "other": ""}), Check("1.2", "exact", "c", {"half": ""})]
    assert list(unseen(good, table)) == []


@pytest.mark.parametrize("number", SLIPS)
def test_slips_have_names_of_their_own_at_every_check(number):
    names = [(slip.name, slip.line) for slip in SLIPS[number]]
    assert names and len(set(names)) == len(names)
