"""Does a long run with a checkpoint after every epoch leak? Memory and open files over many short epochs.

python benchmarks/leak.py     (three minutes)
"""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from report import Row, show

from aetutor import VAE, Trainer, elbo

EPOCHS, WARM_UP, MINUTES = 100_000, 50, 3.0  # more epochs than the minutes allow


def resident():
    """Megabytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure():
    """Train a small model for some minutes; the slope of memory and files over its epochs."""
    x, seen, began = torch.rand(500, 1, 8, 8).round(), [], time.monotonic()
    trainer = Trainer(VAE(2, (32,), (1, 8, 8)), lambda model, x: -elbo(model, x).elbo, "cpu")

    def watch(*_):
        seen.append((resident(), len(os.listdir("/proc/self/fd"))))
        if time.monotonic() - began > 60 * MINUTES:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        save = trainer._state
        trainer._state = lambda: (watch(), save())[1]  # once after each epoch
        with suppress(KeyboardInterrupt):
            trainer.fit(x, epochs=EPOCHS, checkpoint=Path(folder) / "run.pt", progress=False)
        left = len(os.listdir(folder))
    memory, files = np.array(seen[WARM_UP:]).T
    epochs = len(memory)
    slope = np.polyfit(np.arange(epochs), memory, 1)[0]
    in_two_hours = slope * epochs / (time.monotonic() - began) * 7200
    return [
        Row(
            "memory of a run with a checkpoint after each epoch, from the 50th epoch on",
            f"{memory[-1] - memory[0]:+.1f} MB in {epochs:,} epochs",
            f"{memory[0]:.0f} MB at first; as a line, {in_two_hours:+.0f} MB in two hours of such epochs",
        ),
        Row(
            "open files, first and last; files left beside the checkpoint",
            f"{files[0]:.0f}, {files[-1]:.0f}; {left - 1}",
            "",
            "",
        ),
    ]


if __name__ == "__main__":
    show(measure())
