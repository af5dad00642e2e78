"""How PyTorch's threads should wait for each other: a training step of the standard VAE (784-400-20, batch 128) under
several policies of OpenMP and numbers of threads, on this machine as it is and beside one busy process.

    python benchmarks/threads.py        (about seven minutes)

OpenMP reads its policy when torch is loaded, so each setting has a process of its own.
"""

import os
import statistics
import subprocess
import sys

from report import Row, labelled, show

POLICIES = {
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 1,000": {"GOMP_SPINCOUNT": "1000"},
    "spin 10,000": {"GOMP_SPINCOUNT": "10000"},
    "spin 100,000": {"GOMP_SPINCOUNT": "100000"},
    "active": {"OMP_WAIT_POLICY": "active"},
}
ROUNDS = 3
STEPS = """
import time, torch
from aetutor import VAE, Trainer, binarize, elbo
images = torch.randint(256, (6_400, 1, 28, 28), dtype=torch.uint8)
trainer = Trainer(VAE(20, (400,)), lambda model, x: -elbo(model, x).elbo, "cpu")
history = trainer.fit(images, epochs=3, batch_size=128, lr=1e-3, prepare=binarize, progress=False)
print(1000 * min(history.seconds[1:]) / 50)
"""


def milliseconds(policy, threads):
    """A step, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment = kept | POLICIES[policy] | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure():
    """A row for each number of threads, on the machine as it is and beside a busy process."""
    rows = []
    for busy in (False, True):
        for threads in range(1, (os.cpu_count() or 1) + 1):
            neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
            times = {name: [] for name in POLICIES}
            for _ in range(ROUNDS):
                for name in POLICIES:
                    times[name].append(milliseconds(name, threads))
            if neighbour:
                neighbour.kill()
            medians = [f"{statistics.median(values):.1f}" for values in times.values()]
            where = "beside a busy process" if busy else "as it is"
            what = f"milliseconds a training step, batch 128, {threads} of {os.cpu_count()} threads, machine {where}"
            rows.append(Row(what, labelled(POLICIES, medians)))
    return rows


if __name__ == "__main__":
    show(measure())
