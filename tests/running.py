"""Reading the notebooks, and running them in a kernel of their own with a record of what each cell did.

python tests/running.py notebooks/*.ipynb        each notebook with three other sets of seeds (`make seeds`)
"""

import copy
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client import BlockingKernelClient
from jupyter_client.manager import run_kernel
from nbformat import NotebookNode
from nbformat.v4 import output_from_msg
from slips import Check

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))  # first: there is a package build, too
import build

TESTS = Path(__file__).parent
NOTEBOOKS = TESTS.parent / "notebooks"
REWRITTEN = ["01_ae.ipynb", "02_dae.ipynb", "03_vae.ipynb", "04_cvae.ipynb"]

TIMEOUT = 600  # seconds for a cell
CHEAP = 2.0  # seconds: a cell that took less is run again
SHIFTS = (100, 200, 300)
SEED = re.compile(r"(\bmanual_seed\(|\bseed=)(\d+)")
SECOND_SITTING = re.compile(r"^#+ .*Second sitting", re.MULTILINE)


# --- reading ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> NotebookNode:
    """The notebook as it stands in the file: `nbformat.read` would mend some faults silently."""
    return nbformat.reader.reads(path.read_text(encoding="utf-8"))


def positions(notebook: NotebookNode) -> list[int]:
    """Where the code cells are."""
    return [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def sections(notebook: NotebookNode) -> dict[int, int]:
    """Position of each code cell -> how many "## " headings stand above it."""
    found, section = {}, 0
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            section += len(re.findall(r"^## ", cell.source, re.MULTILINE))
        elif cell.cell_type == "code":
            found[i] = section
    return found


def set_up(notebook: NotebookNode) -> list[int]:
    """The code cells tagged "setup": the imports, the data, and the functions that train and remember models."""
    return [i for i in positions(notebook) if "setup" in notebook.cells[i].metadata.get("tags", [])]


def second_sitting(notebook: NotebookNode) -> list[int]:
    """The code cells of a reader who starts at "Second sitting": the set-up, and those below that heading."""
    start = next(
        (i for i, c in enumerate(notebook.cells) if c.cell_type == "markdown" and SECOND_SITTING.search(c.source)), None
    )
    return [] if start is None else [*set_up(notebook), *(i for i in positions(notebook) if i > start)]


def shift_seeds(source: str, by: int) -> str:
    """A cell with `by` added to each seed: the number in manual_seed(…) or in seed=…"""
    return SEED.sub(lambda found: f"{found[1]}{int(found[2]) + by}", source)


# --- running ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What one code cell did: where it stands, its seconds, printed text, figures' descriptions, bar and error."""

    cell: int
    seconds: float
    text: str
    alts: tuple[str, ...] = ()
    bar: bool = False
    error: str = ""

    @property
    def cheap(self) -> bool:
        return self.seconds < CHEAP and not self.bar


def printed(outputs: Iterable[NotebookNode]) -> str:
    """What the outputs say in text, without stderr; addresses in memory are masked."""
    # one line of print may come in several pieces
    stdout = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    shown = [o.data["text/plain"] + "\n" for o in outputs if "text/plain" in o.get("data", {})]
    return re.sub(r"0x[0-9a-f]{6,}", "0x…", stdout + "".join(shown))


def run_of(cell: int, seconds: float, outputs: list[NotebookNode]) -> Run:
    """The record of a cell from its outputs."""
    errors = [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
    stderr = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stderr")
    alts = [o.metadata["image/png"].get("alt", "") for o in outputs if "image/png" in o.get("metadata", {})]
    bar = re.search(r"\d+%\|", stderr) is not None
    return Run(cell, seconds, printed(outputs), tuple(alts), bar, errors[0] if errors else "")


OUTPUTS = {"stream", "display_data", "execute_result", "error"}  # the messages that a notebook keeps


class Session:
    """A kernel that runs the cells of a notebook, each in at most `TIMEOUT` seconds; `executed` has their outputs.

    Made by `session` or `attached`.
    """

    def __init__(self, notebook: NotebookNode, client: BlockingKernelClient):
        self.executed, self.client = copy.deepcopy(notebook), client

    def execute(self, code: str) -> list[NotebookNode]:
        """Run code, which leaves no trace in the history, and return its outputs."""
        outputs = []

        def keep(message):
            if message["msg_type"] in OUTPUTS:
                outputs.append(output_from_msg(message))

        self.client.execute_interactive(code, store_history=False, allow_stdin=False, output_hook=keep, timeout=TIMEOUT)
        return outputs

    def run(self, cells: Iterable[int]) -> list[Run]:
        """Run the code cells at these positions, in this order; after an error it goes on with the next."""
        runs = []
        for i in cells:
            cell, started = self.executed.cells[i], time.perf_counter()
            cell.outputs = self.execute(cell.source)
            runs.append(run_of(i, time.perf_counter() - started, cell.outputs))
        return runs

    def hidden(self, code: str) -> str:
        """Run code that is not in the notebook, and return what it prints. Raises RuntimeError if it fails."""
        run = run_of(-1, 0, self.execute(code))
        if run.error:
            raise RuntimeError(run.error)
        return run.text

    def watch(self) -> None:
        """From here on, `from aetutor import verify` gives the one that tries the slips of tests/slips.py."""
        self.hidden(f"import sys\nsys.path.insert(0, {str(TESTS)!r})\nimport slips\nslips.watch()\ndel sys, slips")

    def checks(self) -> list[dict]:
        """Each call of the watched `verify` so far: see `slips.Check`."""
        return json.loads(self.hidden("import slips\nprint(slips.as_json())\ndel slips"))

    def forget(self) -> None:
        """Empty the namespace; modules stay loaded."""
        self.hidden("%reset -f")


@contextmanager
def session(notebook: NotebookNode) -> Iterator[Session]:
    """A fresh kernel for a notebook."""
    with run_kernel(kernel_name="python3") as client:
        yield Session(notebook, client)


@contextmanager
def attached(notebook: NotebookNode, connection: Path) -> Iterator[Session]:
    """The kernel of a notebook that is open elsewhere, by its connection file."""
    client = BlockingKernelClient(connection_file=str(connection))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Session(notebook, client)
    finally:
        client.stop_channels()


# --- all that the tests ask of a notebook, in one kernel -------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """One notebook: as it is after its first run, that run, its checks, what went wrong when cells ran again, and its
    second sitting. In `executed` the explorers are HTML, as the book needs them."""

    chapter: str
    executed: NotebookNode
    runs: list[Run]
    checks: list[Check]
    again: list[str]
    second: list[Run]


def record(notebook: NotebookNode, chapter: str) -> Record:
    """Run a notebook's cells in a fresh kernel, and all that `go_on` runs."""
    with session(notebook) as kernel:
        kernel.watch()
        runs = kernel.run(positions(notebook))
        return go_on(kernel, kernel.executed, runs, chapter)


def go_on(kernel: Session, executed: NotebookNode, runs: list[Run], chapter: str) -> Record:
    """After a first run, watched: show the explorers as HTML, run the cheap cells again, and, in an empty namespace,
    the second sitting."""
    checks = [Check(**check) for check in kernel.checks()]
    executed = with_frozen_explorers(kernel, copy.deepcopy(executed))
    again = list(run_again(kernel, executed, runs))
    kernel.forget()
    return Record(chapter, executed, runs, checks, again, kernel.run(second_sitting(executed)))


def with_frozen_explorers(kernel: Session, executed: NotebookNode) -> NotebookNode:
    """The notebook with each explorer shown as HTML: its cell is run again."""
    for i in filter(lambda i: build.has_explorer(executed.cells[i]), positions(executed)):
        kernel.hidden(build.show_frozen(executed.cells[i]))
        executed.cells[i].outputs = kernel.execute(executed.cells[i].source)
    kernel.hidden(build.SHOW_LIVE)
    return executed


# --- what the runs must show -----------------------------------------------------------------------------------------


def failures(runs: Iterable[Run]) -> Iterator[str]:
    """The cells that end in an error."""
    yield from (f"cell {run.cell} ends in {run.error}" for run in runs if run.error)


def run_again(kernel: Session, notebook: NotebookNode, runs: list[Run]) -> Iterator[str]:
    """What goes wrong when the cheap cells run again: all of them in order, then section by section, the last first.

    The set-up is left out: it defines the functions that remember trained models, and all would be trained anew.
    """
    cheap = {run.cell: run for run in runs if run.cheap and run.cell not in set_up(notebook)}
    section = sections(notebook)
    for order, cells in (
        ("in order", sorted(cheap)),
        ("section by section, the last first", sorted(cheap, key=lambda i: (-section[i], i))),
    ):
        for now in kernel.run(cells):
            if now.error:
                yield f"run again {order}, cell {now.cell} ends in {now.error}"
            elif now.text != cheap[now.cell].text:
                yield f"run again {order}, cell {now.cell} prints {difference(cheap[now.cell].text, now.text)}"


def not_the_same(first: Iterable[Run], second: Iterable[Run]) -> Iterator[str]:
    """The cells that print something else to a reader who starts at "Second sitting"."""
    before = {run.cell: run.text for run in first}
    for now in second:
        if now.text != before[now.cell]:
            yield f"cell {now.cell} prints {difference(before[now.cell], now.text)} in the second sitting"


def difference(before: str, after: str) -> str:
    """The first line that is not the same, before and after."""
    lines = zip([*before.splitlines(), "nothing"], [*after.splitlines(), "nothing"], strict=False)
    return next((f"{new!r} instead of {old!r}" for old, new in lines if old != new), "other line ends")


def with_other_seeds(notebook: NotebookNode, shift: int) -> list[Run]:
    """Run the notebook with `shift` added to each of its seeds."""
    notebook = copy.deepcopy(notebook)
    for i in positions(notebook):
        notebook.cells[i].source = shift_seeds(notebook.cells[i].source, shift)
    with session(notebook) as kernel:
        return kernel.run(positions(notebook))


def main(paths: list[str]) -> int:
    """Run each notebook with three other sets of seeds; how many of the runs failed."""
    failed = 0
    for path in map(Path, paths):
        for shift in SHIFTS:
            runs = with_other_seeds(read(path), shift)
            problems = list(failures(runs))
            seconds = sum(run.seconds for run in runs)
            print(
                f"{path.name}, seeds + {shift}: {seconds:.0f} s,", "; ".join(problems) or "every cell runs", flush=True
            )
            failed += bool(problems)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
