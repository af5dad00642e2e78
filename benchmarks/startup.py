"""What a newcomer waits for: `import aetutor` beyond `import torch`, and loading the full MNIST.

    python benchmarks/startup.py

Each is measured in fresh processes; the median is printed.
"""

import statistics
import subprocess
import sys

from report import Row, show

ROUNDS = 5
IMPORT = "import torch, time; t = time.perf_counter(); import aetutor; print(time.perf_counter() - t)"
LOAD = "import time; from aetutor import load; t = time.perf_counter(); load('mnist'); print(time.perf_counter() - t)"


def median(code):
    times = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(ROUNDS + 1)
    ]
    return statistics.median(times[1:])  # the first process warms the file cache


def measure():
    """Two rows."""
    return [
        Row("import aetutor, after import torch", f"{median(IMPORT):.3f} s"),
        Row('load("mnist"), hashes checked', f"{median(LOAD):.2f} s"),
    ]


if __name__ == "__main__":
    show(measure())
