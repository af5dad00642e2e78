"""Checkpoints that are either whole or not there."""

import os
import pickle
import tempfile
from pathlib import Path

import torch


def save(state: dict, path: str | Path) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that a crash at any moment leaves the old file or the
    new one, never half of one: temporary file in the same folder, flush, fsync, rename.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".tmp", delete=False) as file:
        try:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def load(path: str | Path) -> dict:
    """Read what `save` wrote, tensors on the CPU; no code in the file is run (`weights_only=True`).

    Raises FileNotFoundError, or ValueError for a file that is not a whole checkpoint.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no checkpoint {path}: train with checkpoint={str(path)!r} first.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a whole checkpoint of this package; delete it and train again.") from error
