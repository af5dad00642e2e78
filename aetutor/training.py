"""The trainer: minibatch gradient descent on the mean of a loss over the empirical distribution."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from aetutor import checkpoint as checkpoints
from aetutor.data import bytes_to_unit

CHECK_EVERY = 50  # steps between two looks at the loss: each look waits for the device


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the message names the step, the learning rate and the last good state."""


@dataclass
class History:
    """What a training run did, an entry an epoch; losses are means over images, in the loss's own unit (nats)."""

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def epochs(self) -> int:
        return len(self.train_loss)

    def plot(self, ax=None):
        """Draw the losses over the epochs; returns the matplotlib Axes."""
        from aetutor import plots

        return plots.history(self, ax=ax)

    def __repr__(self):
        if not self.epochs:
            return "History: no whole epoch yet"
        validation = f", validation loss {self.validation_loss[-1]:.2f}" if self.validation_loss else ""
        return (
            f"History: {self.epochs} epochs in {sum(self.seconds):.1f} s, train loss {self.train_loss[-1]:.2f}"
            f"{validation}{', interrupted' if self.interrupted else ''}"
        )


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The one place that picks a device: "auto" is the accelerator if there is one (cuda, mps, …), else the CPU.

    Raises ValueError for a device that this machine does not have.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if device == "auto":
        return accelerator or torch.device("cpu")
    chosen, present = None, {"cpu"} | ({accelerator.type} if accelerator else set())
    with suppress(RuntimeError, TypeError):
        chosen = torch.device(device)
    if (
        chosen is None
        or chosen.type not in present
        or (chosen.type != "cpu" and chosen.index is not None and chosen.index >= torch.accelerator.device_count())
    ):
        raise ValueError(f"Unknown device {device!r}: this machine has {', '.join(sorted(present))}, or say 'auto'.")
    return chosen


def minibatches(x: Tensor, y: Tensor | None, batch_size: int) -> Iterator[tuple[Tensor, ...]]:
    """One epoch, every image once, in random order: yields `(x,)`, or `(x, labels)`.

    The last batch is smaller if the batch size does not divide the number of images.
    """
    for index in torch.randperm(len(x), device=x.device).split(batch_size):
        yield (x[index],) if y is None else (x[index], y[index])


class Trainer:
    """Fits a model: `Trainer(model, loss).fit(images, epochs=…, batch_size=…, lr=…)`.

    Args:
        model: an `nn.Module`; it moves to the device and stays there.
        loss: `loss(model, x)`, or `loss(model, x, y)` when `fit` is given labels, -> `(B,)`, one number an image.
        device: "auto" (the accelerator if there is one), or a device's name.
        precision: "fp32", or "bf16" for automatic mixed precision.
        seed: fixes the order of the images and every random draw of the loss; the caller's random state is untouched.
            The same seed, model and machine give the same run, bit for bit.

    Raises ValueError for a device that is not there, or another precision.
    """

    def __init__(
        self, model: nn.Module, loss: Callable[..., Tensor], device="auto", precision: str = "fp32", seed: int = 0
    ):
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"Unknown precision {precision!r}: choose 'fp32' or 'bf16'.")
        self.device = choose_device(device)
        self.model, self.loss, self.precision, self.seed = model.to(self.device), loss, precision, seed
        self.prepare, self.history = bytes_to_unit, History()

    def fit(
        self,
        x: Tensor,
        y: Tensor | None = None,
        *,
        epochs: int,
        batch_size: int = 128,
        lr: float = 2e-3,
        prepare: Callable[[Tensor], Tensor] | None = None,
        validation=None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> History:
        """Train for `epochs` passes over images `x` `(N, C, H, W)` (and labels `y` `(N,)`) with one-cycle Adam.

        Args:
            lr: the learning rate's peak; it rises to it over the first 30 % of the steps and falls to zero.
            prepare: what turns stored images into what the model takes, a batch at a time on the device (default:
                uint8 to [0, 1]; for binary pixels give `aetutor.data.binarize`).
            validation: images, or `(images, labels)`, whose loss is measured after each epoch.
            checkpoint: a file, rewritten whole after each epoch.
            resume: go on from `checkpoint` if it exists, exactly as if the run had never stopped; same settings only.
            progress: show a bar with the loss.

        Ctrl-C and a loss that is not finite put model and history back to the last whole epoch before they are raised,
        and leave the last checkpoint whole. Raises ValueError for arguments that make no sense, TrainingDiverged for
        a NaN.
        """
        _check_arguments(x, y, epochs, batch_size, lr, validation, resume, checkpoint)
        self.settings = {
            "images": len(x),
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr,
            "seed": self.seed,
            "weights": [tuple(weight.shape) for weight in self.model.parameters()],
        }
        self.prepare = prepare or bytes_to_unit
        x, y = (None if t is None else t.to(self.device) for t in (x, y))
        steps = -(-len(x) // batch_size)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr, fused=self.device.type in ("cpu", "cuda"))
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, lr, total_steps=epochs * steps)
        self.history = History()
        with checkpoints.own_random_state(self.device, self.seed):
            if resume and Path(checkpoint).exists():
                self._restore(self._checked(checkpoints.load(checkpoint), checkpoint))
            good = self._state()
            try:
                with _bar(epochs * steps, self.history.epochs * steps, progress) as bar:
                    for epoch in range(self.history.epochs + 1, epochs + 1):
                        bar.set_description(f"epoch {epoch}/{epochs}", refresh=False)
                        self._epoch(x, y, batch_size, validation, bar)
                        good = self._state()
                        if checkpoint:
                            checkpoints.save(good, checkpoint)
            except (KeyboardInterrupt, TrainingDiverged) as stop:
                self._restore(good)
                self.history.interrupted = True
                where = f"checkpoint {checkpoint}" if checkpoint and self.history.epochs else "no checkpoint on disk"
                stop.add_note(f"The model is as it was after {self.history.epochs} whole epochs; {where}.")
                raise
        self.model.eval()
        return self.history

    def _epoch(self, x, y, batch_size, validation, bar):
        started, total, last = time.perf_counter(), torch.zeros((), device=self.device), -(-len(x) // batch_size)
        self.model.train()
        for step, batch in enumerate(minibatches(x, y, batch_size), start=1):
            # the minibatch mean is an unbiased estimate of E[L] under the empirical distribution (equation 1.5)
            losses = self.losses(*batch)
            self.optimizer.zero_grad()
            losses.mean().backward()
            self.optimizer.step()
            self.schedule.step()
            total += losses.detach().sum()
            if step % CHECK_EVERY == 0 or step == last:
                self._check_finite(total, step)
                bar.set_postfix(loss=f"{losses.detach().mean():.2f}", refresh=False)
            bar.update()
        self._check_finite(sum(parameter.detach().abs().sum() for parameter in self.model.parameters()), last)
        self.history.train_loss.append(total.item() / len(x))
        if validation is not None:
            self.history.validation_loss.append(self.mean_loss(*_as_tuple(validation)))
        self.history.seconds.append(time.perf_counter() - started)

    def losses(self, x: Tensor, *y: Tensor) -> Tensor:
        """The loss of each image of a batch, `(B,)`, at the trainer's precision."""
        bf16 = torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with bf16:
            losses = self.loss(self.model, self.prepare(x), *y)
        if losses.shape != (len(x),):
            raise ValueError(f"The loss must give one number an image, shape ({len(x)},); got {tuple(losses.shape)}.")
        return losses

    @torch.no_grad()
    def mean_loss(self, x: Tensor, y: Tensor | None = None, batch_size: int = 1000) -> float:
        """The mean loss over images `(N, C, H, W)`, without training on them; uses the `prepare` of the last fit."""
        _check_data("x", x, y)
        self.model.eval()
        parts = zip(*(t.split(batch_size) for t in (x, y) if t is not None), strict=True)
        return sum(self.losses(*(t.to(self.device) for t in part)).sum().item() for part in parts) / len(x)

    def _check_finite(self, value: Tensor, step: int) -> None:
        if not torch.isfinite(value):
            raise TrainingDiverged(
                f"The loss or a weight is not finite in epoch {self.history.epochs + 1}, by step {step}, at learning "
                f"rate {self.schedule.get_last_lr()[0]:.3g}: look for NaN in the images, or lower lr."
            )

    def _state(self) -> dict:
        """Everything that the rest of the run depends on, copied to the CPU."""
        state = {
            "settings": self.settings,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": asdict(self.history),
            "random": checkpoints.random_state(self.device),
        }
        return checkpoints.copy_to_cpu(state)

    def _checked(self, state: dict, path) -> dict:
        """The checkpoint's state, if it belongs to this run; ValueError if it does not, before anything is changed."""
        if not {"settings", *self._state()} <= state.keys():
            raise ValueError(f"{path} is not a checkpoint of a training run; give another file, or resume=False.")
        if other := {key: value for key, value in state["settings"].items() if value != self.settings[key]}:
            raise ValueError(
                f"The checkpoint {path} belongs to a run with {other}, this one has {self.settings}: "
                "resume with the same settings, or give another file."
            )
        return state

    def _restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = History(**{k: list(v) if isinstance(v, list) else v for k, v in state["history"].items()})
        checkpoints.set_random_state(self.device, state["random"])


def _check_arguments(x, y, epochs, batch_size, lr, validation, resume, checkpoint):
    _check_data("x", x, y)
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs must be an integer, at least 1; got {epochs!r}.")
    if not isinstance(batch_size, int) or not 1 <= batch_size <= len(x):
        raise ValueError(f"batch_size must be an integer in 1…{len(x)}, the number of images; got {batch_size!r}.")
    if not isinstance(lr, (int, float)) or not 0 < lr < float("inf"):
        raise ValueError(f"lr, the learning rate, must be positive and finite; got {lr!r}.")
    if validation is not None:
        images, *labels = _as_tuple(validation)
        _check_data("validation", images, labels[0] if labels else None)
        if images.shape[1:] != x.shape[1:] or bool(labels) != (y is not None):
            raise ValueError(
                f"validation must be like what is trained on: images of shape {tuple(x.shape[1:])}, "
                f"{'with' if y is not None else 'without'} labels; got shapes "
                f"{', '.join(str(tuple(t.shape)) for t in (images, *labels))}."
            )
    if resume and checkpoint is None:
        raise ValueError("resume=True needs checkpoint=…, the file to go on from.")


def _check_data(name, x, y):
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{name} must be a tensor of images (N, C, H, W), such as load('mnist').train_x; got {type(x).__name__}."
        )
    if len(x) == 0:
        raise ValueError(f"There are no images: {name} is empty.")
    if y is not None and len(y) != len(x):
        raise ValueError(f"There must be one label an image; got {len(y)} labels for {len(x)} images.")


def _as_tuple(validation) -> tuple:
    return tuple(validation) if isinstance(validation, (tuple, list)) else (validation,)


def _bar(steps: int, done: int, progress: bool):
    from tqdm import tqdm

    return tqdm(total=steps, initial=done, disable=not progress, ncols=88, mininterval=0.2, unit="step")
