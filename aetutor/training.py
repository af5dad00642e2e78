"""The trainer: minibatch gradient descent on the mean of a loss over the empirical distribution."""

import copy
import reprlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aetutor import checkpoint as checkpoints
from aetutor import doors
from aetutor.data import Labels, bytes_to_unit, check_images, labels_of
from aetutor.devices import CUDAGraph, RandomStream, choose_device, is_random_state
from aetutor.distributions import validating, validation

CHECK_EVERY = 50  # steps between two looks at the loss: each look waits for the device
BETAS = (0.9, 0.99)  # of Adam: a short memory for the squared gradients suits a short run
WARM_UP, START = 0.1, 1 / 5  # the learning rate begins at START of its peak, and is there after WARM_UP of the steps


class TrainingDiverged(RuntimeError):
    """The loss, a weight or the validation loss became NaN or infinite; `fit` adds a note on what it restored."""


@dataclass
class History:
    """What a training run did, an entry per epoch; losses are means over images, in the loss's own unit (nats)."""

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def epochs(self) -> int:
        """How many whole epochs there were."""
        return len(self.train_loss)

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the epochs; returns the matplotlib Axes."""
        from aetutor import plots

        return plots.history(self, ax=ax)

    def __repr__(self) -> str:
        if not self.epochs:
            return "History: no whole epoch yet"
        validation = f", validation loss {self.validation_loss[-1]:.2f}" if self.validation_loss else ""
        return (
            f"History: {self.epochs} epochs in {sum(self.seconds):.1f} s, train loss {self.train_loss[-1]:.2f}"
            f"{validation}{', interrupted' if self.interrupted else ''}"
        )


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
        loss: `loss(model, x)`, or `loss(model, x, y)` when there are labels, -> `(B,)`, one number per image.
        device: "auto" (CUDA where there is one, else the CPU), or a device's name.
        precision: "fp32", or "bf16" for automatic mixed precision.
        seed: where the trainer's own stream of random numbers begins: the order of the images and every random draw of
            the loss. The caller's random state is untouched, and what is done between two epochs, such as a validation,
            changes nothing. The same seed, model and machine give the same run, bit for bit.
        capture: on a CUDA GPU, record the loss and its gradient once, as a CUDA graph, and replay it in each step. For
            small networks, whose kernels take less time than their start, it is several times as fast. The loss must
            not wait for the GPU (`.item()`), nor depend on Python values that change during the run, such as a β that
            warms up: they would stay as they were.

    Raises ValueError for a device that is not there, for another precision, and for `capture` without a CUDA GPU.
    """

    settings: dict[str, Any]  # of the run: a checkpoint must have the same
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        device: str | torch.device = "auto",
        precision: str = "fp32",
        seed: int = 0,
        capture: bool = False,
    ):
        doors.module("model", model)
        doors.function("loss", loss, "a function of the model and the images, such as reconstruction_loss")
        doors.whole_number("seed", seed, 0)
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"Unknown precision {precision!r}: choose 'fp32' or 'bf16'.")
        self.device = choose_device(device)
        if capture and self.device.type != "cuda":
            raise ValueError(f"capture=True needs a CUDA GPU; this trainer's device is {self.device}: leave it out.")
        self.model, self.loss, self.precision, self.seed = model.to(self.device), loss, precision, seed
        self.capture = capture
        self.random, self.history = RandomStream(self.device, seed), History()

    def epochs(
        self,
        x: Tensor,
        y: Labels | None = None,
        *,
        epochs: int,
        batch_size: int = 250,
        lr: float = 5e-3,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> Iterator[History]:
        """The textbook's loop, for you to drive: it trains for one epoch, hands you the history, and goes on.

        A snapshot after each epoch, an early stop, and a warm-up of β are ordinary loops::

            codes = []
            for history in trainer.epochs(x, epochs=3):
                codes.append(model.encode(x).mean.detach())

            for history in trainer.epochs(x, epochs=50):
                if history.train_loss[-1] < 110:
                    break

            beta = 0.0  # the loss is lambda model, x: -elbo(model, x, beta=beta).elbo
            for history in trainer.epochs(x, epochs=10):
                beta = min(1.0, history.epochs / 5)

        Arguments and errors as for `fit`. The model is in evaluation mode when you get it.
        """
        x, y, epochs, batch_size = self._start(x, y, epochs, batch_size, lr, prepare)
        return self._loop(x, y, epochs, batch_size, prepare or bytes_to_unit)

    def _loop(
        self,
        x: Tensor,
        y: Tensor | None,
        epochs: int,
        batch_size: int,
        prepare: Callable[[Tensor], Tensor],
        each_step: Callable[[Tensor], None] | None = None,
    ) -> Iterator[History]:
        """The loop itself: `each_step` is called after every step with the losses of its batch."""
        history = self.history
        backward = self._recorded(x[:batch_size], y, prepare) if self.capture else self._backward
        while history.epochs < epochs:
            began, total = time.perf_counter(), torch.zeros((), device=self.device)
            with self.random, self._in_training_mode(), torch.enable_grad():  # also where a caller has them off
                for step, (images, *labels) in enumerate(minibatches(x, y, batch_size)):
                    self.optimizer.zero_grad()
                    losses = backward(prepare(images), *labels, validate=step == 0)
                    self.optimizer.step()
                    self.schedule.step()
                    total += losses.sum()
                    if (step + 1) % CHECK_EVERY == 0:
                        self._check_finite(total, step)
                    if each_step:
                        each_step(losses)
            # one look at the loss and the weights: NaN or infinity in either spoils the sum
            self._check_finite(total + sum(weight.detach().abs().sum() for weight in self.model.parameters()), step)
            history.train_loss.append(total.item() / len(x))
            history.seconds.append(time.perf_counter() - began)
            yield history
            if self.history is not history:
                raise RuntimeError("This trainer began another run between two epochs: take another Trainer for that.")

    def fit(
        self,
        x: Tensor,
        y: Labels | None = None,
        *,
        epochs: int,
        batch_size: int = 250,
        lr: float = 5e-3,
        prepare: Callable[[Tensor], Tensor] | None = None,
        validation: Tensor | tuple[Tensor, Labels] | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> History:
        """Train for `epochs` passes over images `x` `(N, C, H, W)` (and labels `y` `(N,)`) with one-cycle Adam.

        Args:
            lr: the learning rate's peak; it rises to it over the first tenth of the steps and falls to zero, linearly.
            prepare: what turns stored images into what the model takes, a batch at a time on the device (default:
                uint8 to [0, 1]; for binary pixels give `aetutor.data.binarize`).
            validation: images, or `(images, labels)`, whose loss is measured after each epoch, with the same random
                draws each time.
            checkpoint: a file, rewritten whole after each epoch. One that holds another run is not touched.
            resume: go on from `checkpoint` if it exists, exactly as if the run had never stopped; same settings only.
            progress: show a bar with the loss.

        Called again, it trains the model further: history, schedule and momenta begin anew, so that the learning rate
        rises and falls once more; the stream of random numbers goes on, so that order and noise are fresh. A finished
        run is trained further in the same way: resume it with its own number of epochs, which loads it, then call `fit`
        again with the epochs to be added, and another file.

        On Ctrl-C or any error, model and history return to the last whole epoch, the last checkpoint stays whole, and
        the exception is raised again, with a note. Raises ValueError for arguments that make no sense, and for a
        checkpoint of another run; OSError for one that cannot be written; TrainingDiverged for a NaN.
        """
        watched = _checked_validation(validation, x, y)
        if resume and checkpoint is None:
            raise ValueError("resume=True needs checkpoint=…, the file to go on from.")
        given = x, y
        x, y, epochs, batch_size = self._start(x, y, epochs, batch_size, lr, prepare)
        if checkpoint:
            checkpoints.check_place(checkpoint)
            self.settings |= {"checksum of the data": checkpoints.checksum(given[0], y)}
            self.settings |= {"validation": watched and checkpoints.checksum(*watched)}
            if Path(checkpoint).exists():
                state = self._checked(checkpoints.load(checkpoint), checkpoint, resume)
                self._restore(state)
        good, saved = self._state(), self.history.epochs
        with _Bar(self.history.epochs, epochs, -(-len(x) // batch_size), progress) as bar:
            try:
                for history in self._loop(x, y, epochs, batch_size, prepare or bytes_to_unit, bar.step):
                    if watched is not None:
                        history.validation_loss.append(self._validation_loss(*watched, prepare))
                    with checkpoints.interrupts_wait():  # model, history and file are of the same epoch
                        good = self._state()
                        if checkpoint:
                            checkpoints.save(good, checkpoint)
                            saved = history.epochs
            except BaseException as stop:
                with checkpoints.interrupts_wait():
                    self._restore(good)
                    self.history.interrupted = True
                where = f"checkpoint {checkpoint} has {saved}" if checkpoint and saved else "no checkpoint of this run"
                stop.add_note(f"The model is as it was after {self.history.epochs} whole epochs; {where}.")
                raise
        self.model.eval()
        return self.history

    @torch.no_grad()
    def mean_loss(
        self,
        x: Tensor,
        y: Labels | None = None,
        *,
        prepare: Callable[[Tensor], Tensor] | None = None,
        batch_size: int = 1000,
    ) -> float:
        """The mean loss over images `(N, C, H, W)`, without training on them; `prepare` as for `fit`.

        Its random draws are the same each time, and the caller's random state is untouched; it leaves the model in
        evaluation mode. Raises ValueError for no images, for NaN among them, for labels of another number, and for a
        batch size below 1.
        """
        x, y = _checked_data("x", x, y)
        self.model.eval()
        size, prepare, total = doors.whole_number("batch_size", batch_size), prepare or bytes_to_unit, 0.0
        data = (x,) if y is None else (x, y)
        with RandomStream(self.device, self.seed):
            for batch in zip(*(part.split(size) for part in data), strict=True):
                images, *labels = (part.to(self.device) for part in batch)
                total += self._losses(prepare(images), *labels).sum().item()
        return total / len(x)

    def _start(
        self, x: Tensor, y: Labels | None, epochs: int, batch_size: int, lr: float, prepare: Any
    ) -> tuple[Tensor, Tensor | None, int, int]:
        """Check the settings and begin a run: a fresh history, Adam and schedule; the data go to the device."""
        x, y = _checked_data("x", x, y)
        epochs, batch_size, lr = _checked_settings(epochs, batch_size, lr, prepare)
        weights = list(self.model.parameters())
        self.settings = {"images": len(x), "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": self.seed}
        self.settings |= {"precision": self.precision, "model": str(self.model)}
        self.optimizer = torch.optim.Adam(weights, lr=lr, betas=BETAS, fused=self.device.type in ("cpu", "cuda"))
        steps = epochs * -(-len(x) // batch_size)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=lr,
            total_steps=steps,
            pct_start=WARM_UP if steps > 10 else 0.4,  # by a tenth of ten steps OneCycleLR divides by zero
            div_factor=1 / START,
            anneal_strategy="linear",
            cycle_momentum=False,
        )
        self.history = History()
        return x.to(self.device), None if y is None else y.to(self.device), epochs, batch_size

    def _losses(self, x: Tensor, *y: Tensor, validate: bool = True) -> Tensor:
        """The loss of each image of a batch, `(B,)`, at the trainer's precision."""
        bf16 = (
            torch.autocast(self.device.type, torch.bfloat16, cache_enabled=not self.capture)
            if self.precision == "bf16"
            else nullcontext()
        )
        with bf16, validation(validating() and validate):  # the pixels' values cost a pass: first batch only
            losses = self.loss(self.model, x, *y)
        if not isinstance(losses, Tensor) or losses.shape != (len(x),):
            given = tuple(losses.shape) if isinstance(losses, Tensor) else f"an object of class {type(losses).__name__}"
            raise ValueError(
                f"The loss of the {type(self.model).__name__} must give one number an image, shape ({len(x)},); got "
                f"{given}."
            )
        return losses

    def _backward(self, x: Tensor, *y: Tensor, validate: bool) -> Tensor:
        """The losses of a batch, `(B,)`; the gradient of their mean is left in the weights."""
        losses = self._losses(x, *y, validate=validate)
        # the minibatch mean is an unbiased estimate of E[L] under the empirical distribution (equation 1.5)
        losses.mean().backward()
        return losses.detach()

    def _recorded(self, x: Tensor, y: Tensor | None, prepare: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
        """`_backward` as a CUDA graph, made with a batch `x`; the first batch and a smaller one go the ordinary way."""
        stream = RandomStream(self.device, self.seed)  # so that the run draws the same numbers as without the graph
        with stream, self._in_training_mode(), torch.enable_grad():
            sample = (prepare(x),) if y is None else (prepare(x), y[: len(x)])
            graph = CUDAGraph(partial(self._backward, validate=False), sample, self.model.parameters())

        def backward(images: Tensor, *labels: Tensor, validate: bool) -> Tensor:
            if validate or len(images) < len(x):
                return self._backward(images, *labels, validate=validate)
            return graph(images, *labels)

        return backward

    def _validation_loss(self, x: Tensor, y: Tensor | None, prepare: Callable[[Tensor], Tensor] | None) -> float:
        loss = self.mean_loss(x, y, prepare=prepare)
        if not isfinite(loss):
            raise TrainingDiverged(
                f"The validation loss is {loss} in epoch {self.history.epochs}: look for validation images unlike "
                "those that are trained on."
            )
        return loss

    @contextmanager
    def _in_training_mode(self) -> Iterator[None]:
        self.model.train()
        try:
            yield
        finally:
            self.model.eval()

    def _check_finite(self, value: Tensor | float, step: int) -> None:
        if not isfinite(value):
            raise TrainingDiverged(
                f"The loss or a weight is not finite in epoch {self.history.epochs + 1}, by step {step + 1}, at "
                f"learning rate {self.schedule.get_last_lr()[0]:.3g}: look for NaN in the images, or lower lr."
            )

    def _state(self) -> dict:
        """Everything that the rest of the run depends on, copied to the CPU."""
        state = {
            "settings": self.settings,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": asdict(self.history),
            "random": self.random.state,
        }
        return checkpoints.copy_to_cpu(state)

    def _checked(self, state: Any, path: str | Path, resume: bool) -> dict:
        """The checkpoint's state, if this run may go on from it; else ValueError, before anything is changed."""
        ours = self._state()
        if not isinstance(state, dict) or not ours.keys() <= state.keys() or not isinstance(state["settings"], dict):
            raise ValueError(f"{path} is not a checkpoint of a training run; give another file.")
        if not self._fits(state, ours):
            model = reprlib.repr(state["settings"].get("model"))
            raise ValueError(
                f"The checkpoint {path} does not fit this model: it belongs to a run with model: {model}; resume with "
                "the model that it was made with, or give another file."
            )
        theirs, ours = state["settings"], self.settings
        done = f"{len(state['history']['train_loss'])} of {theirs.get('epochs')} epochs"
        if not resume:
            raise ValueError(
                f"{path} holds a run of {done}: resume=True goes on with it; to begin anew, give another file or "
                "delete this one."
            )
        if other := {key: reprlib.repr(theirs.get(key)) for key in ours | theirs if theirs.get(key) != ours.get(key)}:
            more = (
                f", which loads its {done}, and call fit again with the epochs to be added and another file"
                if other.keys() == {"epochs"}
                else ""
            )
            raise ValueError(
                f"The checkpoint {path} belongs to a run with {', '.join(f'{k}: {v}' for k, v in other.items())}; this "
                f"one has {', '.join(f'{k}: {reprlib.repr(ours.get(k))}' for k in other)}: resume with the same "
                f"settings{more}, or give another file."
            )
        return state

    def _fits(self, state: dict, ours: dict) -> bool:
        """Whether a state can be restored: into this model, its optimizer and schedule, and its random numbers."""
        optimizer, random, weights = state["optimizer"], state["random"], list(self.model.parameters())
        moments = {n: {"step": torch.zeros(()), "exp_avg": w, "exp_avg_sq": w} for n, w in enumerate(weights)}
        return (
            all(checkpoints.same_form(state[part], ours[part]) for part in ("model", "schedule"))
            and isinstance(optimizer, dict)
            and optimizer.keys() == {"state", "param_groups"}
            and checkpoints.same_form(optimizer["param_groups"], ours["optimizer"]["param_groups"])
            and isinstance(optimizer["state"], dict)
            and all(checkpoints.same_form(optimizer["state"][n], moments.get(n)) for n in optimizer["state"])
            and _is_history(state["history"])
            and isinstance(random, dict)
            and is_random_state(random.get("cpu"))
        )

    def _restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = History(**copy.deepcopy(state["history"]))
        self.random.state = state["random"]


def _is_history(given: Any) -> bool:
    """Whether this is what `asdict` makes of a `History`."""
    if not isinstance(given, dict) or given.keys() != asdict(History()).keys():
        return False
    losses = [given[part] for part in ("train_loss", "validation_loss", "seconds")]
    if not all(isinstance(part, list) and all(isinstance(value, float) for value in part) for part in losses):
        return False
    train, validation, seconds = map(len, losses)
    return train == seconds and validation in (0, train)


class _Bar:
    """A bar over all the steps of a run, with the epoch and, now and then, the loss."""

    def __init__(self, done: int, epochs: int, steps: int, progress: bool):
        from tqdm import tqdm

        self.epochs, self.steps = epochs, steps
        self.bar = tqdm(
            total=epochs * steps, initial=done * steps, disable=not progress, ncols=88, mininterval=0.2, unit="step"
        )

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_error: object) -> None:
        self.bar.close()

    def step(self, losses: Tensor) -> None:
        """One more step; its losses are looked at now and then, since each look waits for the device."""
        epoch, step = divmod(self.bar.n, self.steps)
        if step == 0:
            self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == self.steps:
            self.bar.set_postfix(loss=f"{losses.mean():.2f}", refresh=False)
        self.bar.update()


def _checked_data(name: str, x: Tensor, y: Labels | None) -> tuple[Tensor, Tensor | None]:
    """Images and labels as tensors. Raises ValueError for none, for NaN, and for labels of another number or kind."""
    check_images(x, name)
    return x, None if y is None else labels_of(x, y)


def _checked_validation(validation: Any, x: Tensor, y: Labels | None) -> tuple[Tensor, Tensor | None] | None:
    """The images and labels of a validation; ValueError if they are not like what is trained on."""
    if validation is None:
        return None
    images, labels = (
        validation if isinstance(validation, (tuple, list)) and len(validation) == 2 else (validation, None)
    )
    images, labels = _checked_data("validation", images, labels)
    if images.shape[1:] != x.shape[1:] or (labels is None) != (y is None):
        raise ValueError(
            f"validation must be like what is trained on: images of shape {tuple(x.shape[1:])}, "
            f"{'with' if y is not None else 'without'} labels; got images of shape {tuple(images.shape[1:])}, "
            f"{'with' if labels is not None else 'without'} labels."
        )
    return images, labels


def _checked_settings(epochs: int, batch_size: int, lr: float, prepare: Any) -> tuple[int, int, float]:
    """Epochs, batch size and learning rate; ValueError or TypeError if they, or `prepare`, make no sense."""
    if prepare is not None:
        doors.function("prepare", prepare, "a function of stored images, such as aetutor.data.binarize")
    numbers = doors.whole_number("epochs", epochs), doors.whole_number("batch_size", batch_size)
    return *numbers, doors.number("lr, the learning rate,", lr, 0, above=True)
