"""The one choice of a device, streams of random numbers that leave the caller's alone, and CUDA graphs."""

from collections.abc import Callable, Iterable
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


class CUDAGraph:
    """A step that leaves gradients in weights, recorded once and then replayed: its kernels are started all at once.

    Args:
        step: a function of tensors that ends in `.backward()`, -> a tensor without gradients.
        sample: tensors like those that it will be called with.
        weights: where it leaves gradients; they may change their values, and not their places in memory.

    Source: the whole-network capture in PyTorch's notes on CUDA semantics. Raises RuntimeError for a step that waits
    for the GPU.
    """

    def __init__(self, step: Callable[..., Tensor], sample: Iterable[Tensor], weights: Iterable[Tensor]):
        self.inputs, self.weights, self.graph = [part.clone() for part in sample], list(weights), torch.cuda.CUDAGraph()
        with torch.cuda.device(self.inputs[0].device):
            self._record(step)
        self.gradients = [weight.grad for weight in self.weights]

    def _record(self, step: Callable[..., Tensor]) -> None:
        torch.cuda.synchronize()
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(3):  # a first call does what may not be recorded, such as choosing kernels
                step(*self.inputs)
        torch.cuda.synchronize()
        self._leave([None] * len(self.weights))
        try:
            with torch.cuda.graph(self.graph):
                self.output = step(*self.inputs)
        except RuntimeError as error:
            raise RuntimeError(
                f"The loss cannot be recorded as a CUDA graph ({str(error).splitlines()[0]}): it must not wait for the "
                "GPU, as .item() does. Change it, or leave out capture=True, and restart Python."
            ) from error

    def __call__(self, *batch: Tensor) -> Tensor:
        for place, part in zip(self.inputs, batch, strict=True):
            place.copy_(part)
        self.graph.replay()
        self._leave(self.gradients)
        return self.output

    def _leave(self, gradients: list[Tensor | None]) -> None:
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
