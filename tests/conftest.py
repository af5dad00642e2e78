"""Settings for the tests: figures are drawn without a screen; a real browser for those that need one."""

import os
import shutil

import matplotlib
import pytest

matplotlib.use("Agg")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]


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
