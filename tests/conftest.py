"""Settings for the tests: their order; a real browser for those that need one; one run of each notebook for many."""

import os
import pickle
import re
import shutil
from pathlib import Path

import matplotlib
import pytest
from filelock import FileLock
from lab import FOLDER, Opened, run_all, server
from lab import record as record_in_browser
from running import NOTEBOOKS, Record, read, record
from xdist.scheduler import LoadFileScheduling

matplotlib.use("Agg")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]


# --- the order of the tests, and which of them stay together ---------------------------------------------------------

# of a notebook's run: the page and its widgets first, since afterwards the kernel runs cells again
OF_A_RUN = ["test_widgets_browser.py", "test_running.py"]


def notebook_of(nodeid: str) -> str:
    """The notebook whose one run a test needs, or ""."""
    file, _, test = nodeid.partition("::")
    named = re.search(r"[\[-](\w+\.ipynb)[\]-]", test)
    return named[1] if named and Path(file).name in OF_A_RUN else ""


def order(item: pytest.Item) -> tuple:
    """The longest first, so that none begins when the other processes are done: the runs in the browser, then nbval,
    each from the last notebook to the first; then the book, which is made of these runs."""
    if notebook := notebook_of(item.nodeid):
        return 0, *from_the_last(notebook), OF_A_RUN.index(item.path.name)
    if item.path.suffix == ".ipynb":
        return 1, *from_the_last(item.path.name)
    return (2,) if item.path.name == "test_book.py" else (3,)


def from_the_last(notebook: str) -> tuple[int, str]:
    """Sorts 04 before 03; notebooks of one's own, without a number, come after them."""
    return -int(notebook[:2]) if notebook[:2].isdigit() else 0, notebook


def pytest_collection_modifyitems(items):
    items.sort(key=order)


class ByNotebook(LoadFileScheduling):
    """Side by side, the tests of a file stay in one process, and those of a notebook's run, of whatever file."""

    def _split_scope(self, nodeid):
        return notebook_of(nodeid) or super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return ByNotebook(config, log)


# --- the browser, and the notebooks run in it ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser():
    """A Chromium. Where there is none, the test is skipped with that reason; with CI=true it fails instead."""
    if CHROMIUM is None:
        reason = "There is no chromium here: install Debian's or Ubuntu's package chromium to test the widgets."
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A JupyterLab of our own."""
    with server(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session", params=sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.name)
def path(request) -> Path:
    return request.param


@pytest.fixture(scope="session")
def ran(path, browser, lab, recorded) -> Opened:
    """The notebook open in the browser after Run All. Who wants its record waits until these tests are done."""
    with recorded.lock(path.name), run_all(browser, lab, path) as opened:
        yield opened


@pytest.fixture(scope="session")
def notebook(path, recorded, request) -> Record:
    """The record of the run in the browser, when its page has been tested; without a browser of a run by itself."""
    if CHROMIUM is None:
        return recorded(path.name)
    with recorded.lock(path.name):
        return recorded.keep(path.name, record_in_browser(request.getfixturevalue("ran"), chapter(path.name)))


def chapter(name: str) -> str:
    return str(int(name[:2]))


class Recorded:
    """The notebooks' records, of one run each for all processes of the tests: `recorded("01_ae.ipynb")`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def lock(self, name: str) -> FileLock:
        """Held by who runs the notebook; a second time by the same process."""
        return FileLock(self.folder / f"{name}.lock", is_singleton=True)

    def __call__(self, name: str) -> Record:
        kept = self.folder / f"{name}.pickle"
        with self.lock(name):
            if kept.exists():
                return pickle.loads(kept.read_bytes())
            return self.keep(name, record(read(NOTEBOOKS / name), chapter(name)))

    def keep(self, name: str, record: Record) -> Record:
        (self.folder / f"{name}.pickle").write_bytes(pickle.dumps(record))
        self.lock(name).release(force=True)  # also where the page stays open
        return record


@pytest.fixture(scope="session")
def recorded(tmp_path_factory) -> Recorded:
    folder = tmp_path_factory.getbasetemp()
    return Recorded(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)
