"""The one choice of a device, and streams of random numbers that leave the caller's alone."""

from contextlib import suppress

import torch
from torch import Tensor


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The one place that picks a device: "auto" is CUDA where there is one, else the CPU.

    Other accelerators go by their name: "mps", for one, has no float64, which some of the course's checks need.
    Raises ValueError for a device that this machine does not have.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if device == "auto":
        return accelerator if accelerator and accelerator.type == "cuda" else torch.device("cpu")
    chosen, present = None, {"cpu"} | ({accelerator.type} if accelerator else set())
    with suppress(RuntimeError, TypeError):
        chosen = torch.device(device)
    if chosen is None or chosen.type not in present or not _is_there(chosen):
        raise ValueError(f"Unknown device {device!r}: this machine has {', '.join(sorted(present))}, or say 'auto'.")
    return chosen


def _is_there(device: torch.device) -> bool:
    """Whether a numbered device, such as cuda:1, is among those of its type."""
    return device.type == "cpu" or device.index is None or device.index < torch.accelerator.device_count()


class RandomStream:
    """Random numbers of one's own: inside `with stream:` torch draws from it, outside from what was there before.

    Args:
        device: whose generator it is, besides the CPU's.
        seed: where the stream begins.

    Each `with` goes on where the last one stopped. Assign an earlier `state` to repeat from there.
    """

    def __init__(self, device: torch.device, seed: int):
        self.device = device
        self.state = {kind: torch.Generator(kind).manual_seed(seed).get_state() for kind in {"cpu", device.type}}

    def __enter__(self) -> "RandomStream":
        self.outside = _random_state(self.device)
        _set_random_state(self.device, self.state)
        return self

    def __exit__(self, *_error: object) -> None:
        self.state = _random_state(self.device)
        _set_random_state(self.device, self.outside)


def is_random_state(value: object) -> bool:
    """Whether this is a state that a random number generator of the CPU takes."""
    try:
        torch.Generator().set_state(value)  # type: ignore[arg-type]
    except (RuntimeError, TypeError):
        return False
    return True


def _random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of the random number generators of the CPU and the device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state(device)
    return states


def _set_random_state(device: torch.device, states: dict[str, Tensor]) -> None:
    """Put back what `_random_state` gave; the device's only if it was on one of the same type."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type], device)
