"""What all benchmarks share: the machine and its threads, and the one table of `make benchmark`.

    python benchmarks/report.py                   every script, one table, and benchmarks/results.json
    python benchmarks/report.py epoch startup     some of them

Each script has a function `measure() -> list[Row]`, and can be run alone.
"""

import importlib
import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from tabulate import tabulate

SCRIPTS = ("startup", "epoch", "time_to_quality", "defaults", "notebooks", "evidence", "depth", "denoising")
SCRIPTS += ("class_in_code", "threads", "leak")
RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Row:
    """One thing measured, and what was measured beside it in the same run, if anything was."""

    what: str
    measured: str
    beside: str = ""
    ratio: str = ""


def labelled(names: Iterable[str], values: Iterable[object]) -> str:
    """Several numbers in one cell, each with its name."""
    return "; ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))


def machine() -> dict[str, str]:
    """What the numbers depend on: processor, versions, and how threads wait."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    waiting = {name: os.environ[name] for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if name in os.environ}
    return {
        "processor": (models or [platform.processor() or platform.machine()])[0],
        "cores": str(os.cpu_count()),
        "accelerator": str(torch.accelerator.current_accelerator(check_available=True) or "none"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "thread settings": ", ".join(f"{name}={value}" for name, value in waiting.items()) or "none",
    }


def show(rows: list[Row]) -> None:
    """The machine in a line, and the rows as a table."""
    print(", ".join(f"{name}: {value}" for name, value in machine().items()))
    columns = ["what", "measured", "beside it, in the same run", "ratio"]
    print(tabulate([list(asdict(row).values()) for row in rows], columns, tablefmt="github", disable_numparse=True))


def main(names: list[str]) -> None:
    """Run the scripts, and write what they gave as JSON after each of them."""
    if unknown := set(names) - set(SCRIPTS):
        raise SystemExit(f"There is no benchmark {', '.join(sorted(unknown))}: choose from {', '.join(SCRIPTS)}.")
    results: dict[str, list[Row]] = {}
    for name in names or SCRIPTS:
        print(f"Running benchmarks/{name}.py", flush=True)
        results[name] = importlib.import_module(name).measure()
        content = {
            "date": datetime.now(UTC).isoformat(timespec="minutes"),
            "machine": machine(),
            "results": {script: [asdict(row) for row in rows] for script, rows in results.items()},
        }
        RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    show([row for rows in results.values() for row in rows])
    print(f"The same as JSON: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main(sys.argv[1:])
