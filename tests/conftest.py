"""Settings for the tests: figures are drawn without a screen; a real browser for those that need one."""

import os
import pickle
import shutil

import matplotlib
import pytest
from filelock import FileLock
from running import NOTEBOOKS, Record, read, record

matplotlib.use("Agg")
LONGEST = ["test_widgets_browser.py", "test_running.py", *sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]


def pytest_collection_modifyitems(items):
    """The longest files first: of the processes side by side, none shall begin one when the others are done.

    test_book is not among them: it needs the runs of test_running, and would wait for them.
    """
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


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
def recorded(tmp_path_factory):
    """A function from a notebook's file name to its `Record`: each runs once, for all processes of the tests."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def of(name: str) -> Record:
        kept = folder / f"{name}.pickle"
        with FileLock(f"{kept}.lock"):
            if not kept.exists():
                kept.write_bytes(pickle.dumps(record(read(NOTEBOOKS / name), str(int(name[:2])))))
            return pickle.loads(kept.read_bytes())

    return of
