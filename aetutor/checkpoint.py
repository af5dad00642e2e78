"""Checkpoints that are either whole or not there, and what an exact resume needs besides: the random state."""

import os
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor


def save(state: dict, path: str | Path) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that a crash at any moment leaves the old file or the
    new one, never half of one: temporary file in the same folder, flush, fsync, rename.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
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
    except OSError:
        raise
    except Exception as error:  # torch.load raises many kinds for a file that is not one of its own
        raise ValueError(f"{path} is not a whole checkpoint of this package; delete it and train again.") from error


def copy_to_cpu(value):
    """A copy of tensors on the CPU, through dicts and lists; anything else as it is."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: copy_to_cpu(item) for key, item in value.items()}
    return [copy_to_cpu(item) for item in value] if isinstance(value, list) else value


@contextmanager
def own_random_state(device: torch.device, seed: int):
    """Inside, the random numbers of the CPU and the device start from `seed`; outside, nobody notices."""
    outside = random_state(device)
    try:
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)
        yield
    finally:
        set_random_state(device, outside)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of the random number generators of the CPU and the device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def set_random_state(device: torch.device, states: dict[str, Tensor]) -> None:
    """Put back what `random_state` gave; the device's only if it was on one of the same type."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type])
