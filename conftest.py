"""Settings for the notebooks' own tests: nbval runs each code cell as a test."""


def pytest_collectstart(collector):
    """Progress bars and warnings (stderr) and HTML differ from run to run: nbval does not compare them."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "text/html")


def pytest_itemcollected(item):
    """How long nbval waits for a cell's output once it has run: its own 5 s are too short on a busy machine."""
    if hasattr(item, "output_timeout"):
        item.output_timeout = 60
