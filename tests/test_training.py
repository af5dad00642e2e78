"""The trainer: against the same loop written out, and under interruption, NaN and bad input."""

import contextlib
import inspect
import itertools
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from aetutor import checkpoint, training
from aetutor.data import binarize
from aetutor.distributions import validating, validation
from aetutor.likelihoods import LIKELIHOODS
from aetutor.models import CVAE, VAE, Autoencoder
from aetutor.objectives import elbo, reconstruction_loss
from aetutor.training import History, Trainer, TrainingDiverged, minibatches

SHAPE = (1, 2, 3)
ACCELERATOR = torch.accelerator.current_accelerator(check_available=True)
DEVICES = ["cpu"] + ([ACCELERATOR.type] if ACCELERATOR else [])


def model(seed=0, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Autoencoder(2, (5,), SHAPE, **arguments)


def images(count=10, dtype=torch.float32):
    """Binary images."""
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1)).round().to(dtype)


def noisy_loss(ae, x):
    """A loss with random draws of its own, as the denoising and variational ones have."""
    z = ae.encode(x)
    return -ae.decode(z + 0.1 * torch.randn_like(z)).log_prob(x)


def failing_at(call, error, loss=noisy_loss):
    """The loss, but its call number `call` raises."""
    calls = itertools.count(1)

    def failing(ae, x):
        if next(calls) == call:
            raise error
        return loss(ae, x)

    return failing


def nan_at(call, value=math.nan):
    calls = itertools.count(1)
    return lambda ae, x: reconstruction_loss(ae, x) * (value if next(calls) == call else 1)


def fit(trainer, x=None, **arguments):
    defaults = {"epochs": 3, "batch_size": 4, "lr": 0.05, "progress": False}
    return trainer.fit(images() if x is None else x, **defaults | arguments)


def weights(ae):
    return {name: value.detach().cpu().clone() for name, value in ae.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def losses_of(history):
    return history.train_loss, history.validation_loss, history.interrupted


# --- the loop --------------------------------------------------------------------------------------------------------


def peak_at_a_tenth(steps):
    """The learning rate of each step, in units of its peak: from a fifth up in a tenth of the steps, then down to 0."""
    top = 0.1 * steps - 1  # the step of the peak, counted from 0; a fraction of a step is allowed
    up = [0.2 + 0.8 * step / top for step in range(steps) if step <= top]
    return up + [1 - (step - top) / (steps - 1 - top) * (1 - 2e-5) for step in range(len(up), steps)]


def test_the_loop_is_the_textbooks():
    x, epochs, lr, seed = images(dtype=torch.float64), 4, 0.02, 5
    ae, twin = model().double(), model().double()
    history = Trainer(ae, reconstruction_loss, "cpu", seed=seed).fit(
        x, epochs=epochs, batch_size=4, lr=lr, progress=False
    )
    optimizer = torch.optim.Adam(twin.parameters(), betas=(0.9, 0.99))
    means, steps, rates = [], 0, peak_at_a_tenth(epochs * 3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(epochs):
            total = 0.0
            order = torch.randperm(10)
            for start in (0, 4, 8):
                batch = x[order[start : start + 4]]
                logits = twin.decoder(twin.encoder(batch.view(-1, 6)))
                each = binary_cross_entropy_with_logits(logits, batch.view(-1, 6), reduction="none").sum(1)
                optimizer.zero_grad()
                (each.sum() / len(batch)).backward()
                optimizer.param_groups[0]["lr"] = lr * rates[steps]
                optimizer.step()
                steps += 1
                total += each.sum().item()
            means.append(total / 10)
    assert history.train_loss == pytest.approx(means, rel=1e-6)
    for ours, theirs in zip(ae.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero():
    rates = []
    trainer = Trainer(model(), reconstruction_loss, "cpu")
    trainer.loss = lambda ae, x: rates.append(trainer.optimizer.param_groups[0]["lr"]) or reconstruction_loss(ae, x)
    fit(trainer, images(100), epochs=10, batch_size=10, lr=0.01)
    assert rates == pytest.approx([0.01 * rate for rate in peak_at_a_tenth(100)], rel=1e-6)


@pytest.mark.parametrize("epochs", range(1, 13))
def test_a_run_may_be_as_short_as_it_likes(epochs):
    trainer = Trainer(model(), reconstruction_loss, "cpu")
    history = fit(trainer, images(5), epochs=epochs, batch_size=5, lr=0.01)
    assert history.epochs == epochs and trainer.optimizer.param_groups[0]["lr"] < 1e-6


@pytest.mark.parametrize("batch_size", [1, 4, 5, 10])
def test_minibatches_visit_every_image_once(batch_size):
    x, y = torch.arange(10.0), torch.arange(10)
    batches = list(minibatches(x, y, batch_size))
    assert [len(b) for b, _ in batches] == [batch_size] * (10 // batch_size) + [10 % batch_size] * (10 % batch_size > 0)
    assert torch.equal(torch.cat([b for b, _ in batches]).sort()[0], x)
    assert all(torch.equal(images, labels.float()) for images, labels in batches)


def test_minibatches_come_in_a_new_order_each_epoch():
    x = torch.arange(50.0)
    first, second = (torch.cat([b for (b,) in minibatches(x, None, 7)]) for _ in range(2))
    assert not torch.equal(first, second) and not torch.equal(first, x)


def test_every_epoch_visits_every_image_and_labels_stay_with_their_images():
    x = torch.arange(10.0).view(10, 1, 1, 1).expand(10, *SHAPE) / 10
    y = torch.arange(10) * 3
    seen = []

    def loss(ae, x, y):
        assert torch.equal((10 * x[:, 0, 0, 0]).round().long() * 3, y)
        seen.extend(y.tolist())
        return reconstruction_loss(ae, x)

    fit(Trainer(model(likelihood="gaussian"), loss, "cpu"), x, y=y, epochs=2)
    assert sorted(seen[:10]) == sorted(seen[10:]) == y.tolist()
    assert seen[:10] != seen[10:]


@pytest.mark.parametrize("count", [9, 10, 11])
def test_the_epochs_loss_is_the_mean_over_images(count):
    ae, x = model(), images(count)
    trainer = Trainer(ae, reconstruction_loss, "cpu")
    history = fit(trainer, x, epochs=1, lr=1e-12)
    assert history.train_loss[0] == pytest.approx(reconstruction_loss(ae, x).mean().item(), rel=1e-6)


def test_training_lowers_the_loss():
    history = fit(Trainer(model(), reconstruction_loss, "cpu"), epochs=60)
    assert history.train_loss[-1] < 0.7 * history.train_loss[0]


def test_bytes_are_prepared_to_the_unit_interval_by_default():
    x, seen = torch.arange(60).view(10, *SHAPE).byte(), []

    def loss(ae, x):
        seen.append(x)
        return reconstruction_loss(ae, x)

    fit(Trainer(model(likelihood="gaussian"), loss, "cpu"), x, epochs=1)
    seen = torch.cat(seen)
    assert seen.dtype == torch.float32 and torch.equal(seen.flatten().sort()[0], torch.arange(60).float() / 255)


def test_prepare_is_used_in_training_and_validation():
    seen = []

    def loss(ae, x):
        seen.append(set(x.unique().tolist()))
        return reconstruction_loss(ae, x)

    x = torch.arange(0, 240, 4).view(10, *SHAPE).byte()
    fit(Trainer(model(), loss, "cpu"), x, epochs=1, prepare=binarize, validation=x)
    assert len(seen) == 4 and set().union(*seen) == {0.0, 1.0}


def test_float_images_are_taken_as_they_are():
    x, seen = 7 * torch.rand(4, *SHAPE), []
    fit(
        Trainer(model(likelihood="gaussian"), lambda ae, x: seen.append(x) or reconstruction_loss(ae, x), "cpu"),
        x,
        epochs=1,
    )
    assert torch.equal(seen[0].flatten().sort()[0], x.flatten().sort()[0])


# --- validation ------------------------------------------------------------------------------------------------------


def test_validation_loss_is_the_mean_over_the_other_images():
    ae, other = model(), images(17)[10:]
    history = fit(Trainer(ae, reconstruction_loss, "cpu"), epochs=2, validation=other)
    x, x_hat = other.double(), ae.double().reconstruct(other.double())
    by_hand = -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).sum((1, 2, 3)).mean().item()
    assert len(history.validation_loss) == 2 and history.validation_loss[-1] == pytest.approx(by_hand, rel=1e-5)


def test_validation_takes_labels_too():
    x, y = images(), torch.arange(10)
    history = fit(
        Trainer(model(), lambda ae, x, y: 0 * reconstruction_loss(ae, x) + y, "cpu"),
        x,
        y=y,
        epochs=1,
        validation=(x[:4], y[:4]),
    )
    assert history.train_loss == [4.5] and history.validation_loss == [1.5]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_mean_loss_does_not_depend_on_its_batches(batch_size):
    ae, x = model(), images(7)
    trainer = Trainer(ae, reconstruction_loss, "cpu")
    fit(trainer, epochs=1)
    assert trainer.mean_loss(x, batch_size=batch_size) == pytest.approx(reconstruction_loss(ae, x).mean().item(), 1e-6)


@pytest.mark.parametrize("stored", [lambda x: x, lambda x: (255 * x).byte()], ids=["float", "bytes"])
def test_mean_loss_can_be_asked_before_training(stored):
    ae, x = model(), images()
    by_hand = reconstruction_loss(ae, x).mean().item()
    assert Trainer(ae, reconstruction_loss, "cpu").mean_loss(stored(x)) == pytest.approx(by_hand, rel=1e-6)


def test_the_model_trains_in_training_mode_and_is_validated_in_evaluation_mode():
    modes = []

    def loss(ae, x):
        losses = reconstruction_loss(ae, x)
        modes.append((ae.training, losses.requires_grad))
        return losses

    fit(Trainer(model(), loss, "cpu"), epochs=2, batch_size=10, validation=images())
    assert modes == [(True, True), (False, False)] * 2


def test_validation_leaves_the_training_as_it_was():
    ae, twin = model(), model()
    fit(Trainer(ae, reconstruction_loss, "cpu"), validation=images(3))
    fit(Trainer(twin, reconstruction_loss, "cpu"))
    assert same(weights(ae), weights(twin))


# --- exact repeats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_seed_repeats_bit_for_bit(device):
    one, two = model(), model()
    first = fit(Trainer(one, noisy_loss, device, seed=3), validation=images(5))
    torch.rand(7)
    second = fit(Trainer(two, noisy_loss, device, seed=3), validation=images(5))
    assert same(weights(one), weights(two)) and losses_of(first) == losses_of(second)


def test_another_seed_gives_another_run():
    one, two = model(), model()
    fit(Trainer(one, reconstruction_loss, "cpu", seed=3))
    fit(Trainer(two, reconstruction_loss, "cpu", seed=4))
    assert not same(weights(one), weights(two))


@pytest.mark.parametrize(
    "loss", [noisy_loss, failing_at(5, KeyboardInterrupt()), nan_at(2)], ids=["a whole run", "interrupted", "diverged"]
)
def test_the_callers_random_state_is_untouched(loss):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    with contextlib.suppress(KeyboardInterrupt, TrainingDiverged):
        fit(Trainer(model(likelihood="gaussian"), loss, "cpu"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(ACCELERATOR is None, reason="needs an accelerator")
@pytest.mark.parametrize("device", DEVICES)
def test_the_accelerators_random_state_is_untouched(device):
    module = torch.get_device_module(ACCELERATOR)
    before = module.get_rng_state()
    fit(Trainer(model(), noisy_loss, device))
    assert torch.equal(module.get_rng_state(), before)


# --- interruption and resuming ---------------------------------------------------------------------------------------

# with 10 images, batches of 4 and a validation set, an epoch calls the loss four times: call 10 is in epoch 3
CALL = 10


@pytest.mark.parametrize("device", DEVICES)
def test_resuming_gives_the_run_that_was_never_stopped(device, tmp_path):
    whole, stopped, path = model(), model(), tmp_path / "run.pt"
    arguments = {"epochs": 5, "validation": images(5), "checkpoint": path}
    history = fit(Trainer(whole, noisy_loss, device), **arguments | {"checkpoint": None})
    with pytest.raises(KeyboardInterrupt):
        fit(Trainer(stopped, failing_at(CALL, KeyboardInterrupt()), device), **arguments)
    another = model(seed=99)
    resumed = fit(Trainer(another, noisy_loss, device), **arguments, resume=True)
    assert same(weights(whole), weights(another))
    assert losses_of(resumed) == losses_of(history) and resumed.epochs == 5 and len(resumed.seconds) == 5


def test_a_run_may_be_stopped_again_and_again(tmp_path):
    whole, path = model(), tmp_path / "run.pt"
    history = fit(Trainer(whole, noisy_loss, "cpu"), epochs=5)
    # three calls an epoch: stopped in epoch 2, then, from the start of that epoch, in its successor, and so on
    for seed, call in ((0, 5), (1, 5), (2, 2), (3, 8)):
        with pytest.raises(KeyboardInterrupt):
            fit(
                Trainer(model(seed), failing_at(call, KeyboardInterrupt()), "cpu"),
                epochs=5,
                checkpoint=path,
                resume=True,
            )
    last = model(seed=77)
    resumed = fit(Trainer(last, noisy_loss, "cpu"), epochs=5, checkpoint=path, resume=True)
    assert same(weights(whole), weights(last)) and losses_of(resumed) == losses_of(history)


def test_resuming_a_finished_run_loads_it(tmp_path):
    ae, another, path = model(), model(seed=99), tmp_path / "run.pt"
    history = fit(Trainer(ae, noisy_loss, "cpu"), checkpoint=path)
    assert fit(Trainer(another, noisy_loss, "cpu"), checkpoint=path, resume=True) == history
    assert same(weights(ae), weights(another))


def test_resuming_without_a_file_starts_at_the_beginning(tmp_path):
    ae, twin = model(), model()
    fit(Trainer(ae, noisy_loss, "cpu"), checkpoint=tmp_path / "run.pt", resume=True)
    fit(Trainer(twin, noisy_loss, "cpu"))
    assert same(weights(ae), weights(twin))


def test_without_resume_a_file_that_holds_a_run_is_left_alone(tmp_path):
    path, ae = tmp_path / "run.pt", model()
    fit(Trainer(model(seed=99), noisy_loss, "cpu"), checkpoint=path)
    before, untrained = path.read_bytes(), weights(ae)
    with pytest.raises(ValueError, match=r"run.pt holds a run of 3 of 3 epochs: resume=True goes on with it; to begin"):
        fit(Trainer(ae, noisy_loss, "cpu"), checkpoint=path)
    assert path.read_bytes() == before and same(weights(ae), untrained)


def test_a_finished_run_is_trained_further_in_the_documented_way(tmp_path):
    first, second, whole = tmp_path / "first.pt", tmp_path / "second.pt", model()
    trainer = Trainer(whole, noisy_loss, "cpu")
    fit(trainer, checkpoint=first)
    fit(trainer, epochs=2)
    further = model(seed=99)
    trainer = Trainer(further, noisy_loss, "cpu")
    with pytest.raises(
        ValueError, match=r"epochs: 3; this one has epochs: 5: .*loads its 3 of 3 epochs, and call fit again"
    ):
        fit(trainer, epochs=5, checkpoint=first, resume=True)
    fit(trainer, checkpoint=first, resume=True)
    history = fit(trainer, epochs=2, checkpoint=second)
    assert same(weights(further), weights(whole)) and history.epochs == 2
    assert checkpoint.load(first)["settings"]["epochs"] == 3 and checkpoint.load(second)["settings"]["epochs"] == 2


def test_the_checkpoint_is_rewritten_after_each_epoch(tmp_path):
    path, epochs = tmp_path / "run.pt", []

    def loss(ae, x):
        epochs.append(len(checkpoint.load(path)["history"]["train_loss"]) if path.exists() else 0)
        return reconstruction_loss(ae, x)

    fit(Trainer(model(), loss, "cpu"), batch_size=10, checkpoint=path)
    assert epochs == [0, 1, 2] and len(checkpoint.load(path)["history"]["train_loss"]) == 3


@pytest.mark.parametrize("call", [1, 2, 5, 8, 10, 11])
def test_interruption_puts_everything_back_to_the_last_whole_epoch(call, tmp_path):
    ae, path, whole = model(), tmp_path / "run.pt", (call - 1) // 4
    trainer = Trainer(ae, failing_at(call, KeyboardInterrupt()), "cpu")
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(trainer, epochs=4, validation=images(5), checkpoint=path)
    reference = stop_after(whole, epochs=4)
    assert same(weights(ae), reference["model"])
    assert trainer.history.interrupted and trainer.history.epochs == whole
    assert trainer.history.train_loss == reference["history"]["train_loss"]
    assert len(trainer.history.validation_loss) == len(trainer.history.seconds) == whole
    note = "".join(caught.value.__notes__)
    assert f"after {whole} whole epochs" in note and (str(path) if whole else "no checkpoint") in note
    assert path.exists() == (whole > 0)
    if whole:
        assert same(checkpoint.load(path)["model"], reference["model"])
        assert not checkpoint.load(path)["history"]["interrupted"]


def stop_after(whole, epochs):
    """What the trainer remembers after some epochs of an undisturbed run."""
    trainer = Trainer(model(), noisy_loss, "cpu")
    states, remember = [], trainer._state
    trainer._state = lambda: states.append(remember()) or states[-1]
    fit(trainer, epochs=epochs, validation=images(5))
    return states[whole]


def test_a_run_killed_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    whole, ae, path, save, calls = model(), model(), tmp_path / "run.pt", torch.save, itertools.count(1)
    fit(Trainer(whole, noisy_loss, "cpu"), epochs=4)

    def killed(state, file):
        if next(calls) == 3:
            file.write(b"PK half a file")
            raise OSError("killed")
        save(state, file)

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(OSError, match="killed"):
        fit(Trainer(ae, noisy_loss, "cpu"), epochs=4, checkpoint=path)
    assert os.listdir(tmp_path) == ["run.pt"] and len(checkpoint.load(path)["history"]["train_loss"]) == 2
    fit(Trainer(ae, noisy_loss, "cpu"), epochs=4, checkpoint=path, resume=True)
    assert same(weights(ae), weights(whole))


def test_a_checkpoint_of_another_run_is_refused_and_the_model_left_alone(tmp_path):
    ae, path = model(seed=1), tmp_path / "run.pt"
    fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=path)
    before = weights(ae)
    with pytest.raises(
        ValueError, match=r"belongs to a run with epochs: 3; this one has epochs: 5: resume with the same"
    ):
        fit(Trainer(ae, noisy_loss, "cpu"), epochs=5, checkpoint=path, resume=True)
    assert same(weights(ae), before)


@pytest.mark.parametrize("other", [{"lr": 0.5}, {"batch_size": 5}, {"x": images(12)}], ids=["lr", "batch", "images"])
def test_a_checkpoint_of_a_run_with_other_settings_is_refused(other, tmp_path):
    path = tmp_path / "run.pt"
    fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=path)
    with pytest.raises(ValueError, match="belongs to a run with"):
        fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=path, resume=True, **other)


@pytest.mark.parametrize(
    ("first", "then", "named"),
    [
        ({}, {"x": images(10).flip(0)}, "checksum of the data"),
        ({"y": [0] * 10}, {"y": [0] * 9 + [1]}, "checksum of the data"),
        ({}, {"validation": images(5)}, "validation: None"),
        ({"validation": images(5)}, {}, "this one has validation: None"),
        ({"validation": images(5)}, {"validation": images(5).flip(0)}, "validation"),
    ],
    ids=["other images", "other labels", "with validation", "without validation", "another validation"],
)
def test_what_changes_the_run_and_can_be_known_is_told(first, then, named, tmp_path):
    def loss(model, x, *y):
        return noisy_loss(model, x)

    path = tmp_path / "run.pt"
    fit(Trainer(model(), loss, "cpu"), checkpoint=path, **first)
    if "y" in first:
        first, then = {}, then | {"validation": None}
    with pytest.raises(ValueError, match=rf"belongs to a run with .*{named}"):
        fit(Trainer(model(), loss, "cpu"), checkpoint=path, resume=True, **then)


def foreign(part, change):
    """The state of a run, with one part changed."""

    def changed(state):
        state[part] = change(state[part])
        return state

    return changed


FOREIGN = {
    "another weight": foreign("model", lambda part: {f"other.{name}": value for name, value in part.items()}),
    "a weight too few": foreign("model", lambda part: dict(list(part.items())[1:])),
    "weights of another shape": foreign("model", lambda part: {name: value[:1] for name, value in part.items()}),
    "weights of another dtype": foreign("model", lambda part: {name: value.double() for name, value in part.items()}),
    "weights that are lists": foreign("model", lambda part: {name: value.tolist() for name, value in part.items()}),
    "a list of weights": foreign("model", lambda part: list(part.values())),
    "no optimizer": foreign("optimizer", lambda part: None),
    "an optimizer of another kind": foreign(
        "optimizer", lambda part: part | {"state": {0: {"momentum": torch.zeros(1)}}}
    ),
    "an optimizer of more weights": foreign("optimizer", lambda part: part | {"state": {99: part["state"][0]}}),
    "an optimizer of other groups": foreign("optimizer", lambda part: part | {"param_groups": []}),
    "another schedule": foreign("schedule", lambda part: {"last_epoch": 3}),
    "a random state of ones": foreign("random", lambda part: {"cpu": torch.ones(7, dtype=torch.uint8)}),
    "no random state": foreign("random", lambda part: {}),
    "a random state that is text": foreign("random", lambda part: {"cpu": "mt19937"}),
    "a history that is a list": foreign("history", lambda part: [1.0]),
    "a history with a gap": foreign("history", lambda part: part | {"seconds": part["seconds"][:1]}),
    "a history of words": foreign("history", lambda part: part | {"train_loss": ["low"] * 3}),
    "settings that are a list": foreign("settings", lambda part: [1]),
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_state_is_refused_in_a_sentence_before_anything_is_changed(change, tmp_path):
    path, ae = tmp_path / "run.pt", model(seed=1)
    fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=path)
    checkpoint.save(change(checkpoint.load(path)), path)
    before, trainer = weights(ae), Trainer(ae, noisy_loss, "cpu")
    stream = trainer.random.state["cpu"].clone()
    with pytest.raises(ValueError, match="give another file") as caught:
        fit(trainer, checkpoint=path, resume=True)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert same(weights(ae), before) and torch.equal(trainer.random.state["cpu"], stream)


@pytest.mark.parametrize("make", ["folder", "below a file", "device", "without permission"])
def test_a_place_that_cannot_be_written_is_told_before_the_first_epoch(make, tmp_path, monkeypatch):
    path, error = tmp_path / "run.pt", ValueError
    if make == "folder":
        path.mkdir()
    elif make == "device":
        os.mkfifo(path)  # a pipe stands for it
    elif make == "below a file":
        path.write_text("a file")
        path, error = path / "run.pt", OSError
    else:
        error, opened = PermissionError, Path.open

        def denied(self, mode="r", *given, **named):
            if "w" in mode:
                raise PermissionError(13, "Permission denied", str(self))
            return opened(self, mode, *given, **named)

        monkeypatch.setattr(Path, "open", denied)

    def loss(model, x):
        raise AssertionError("it trains already")

    with pytest.raises(error, match=r"give the path of a file|cannot be written .*: give another path"):
        fit(Trainer(model(), loss, "cpu"), checkpoint=path)
    assert make != "device" or path.is_fifo()


@pytest.mark.parametrize("epoch", [1, 2])
def test_ctrl_c_during_a_save_waits_until_model_history_and_file_agree(epoch, tmp_path, monkeypatch):
    path, ae, save, calls = tmp_path / "run.pt", model(), torch.save, itertools.count(1)

    def interrupted(state, file):
        if next(calls) == epoch:
            os.kill(os.getpid(), signal.SIGINT)
        save(state, file)

    monkeypatch.setattr(torch, "save", interrupted)
    trainer = Trainer(ae, noisy_loss, "cpu")
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(trainer, checkpoint=path)
    kept = checkpoint.load(path)
    assert trainer.history.epochs == len(kept["history"]["train_loss"]) == epoch
    assert same(weights(ae), kept["model"]) and os.listdir(tmp_path) == ["run.pt"]
    assert f"after {epoch} whole epochs; checkpoint {path} has {epoch}." in "".join(caught.value.__notes__)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_full_disk_is_an_os_error_and_the_note_says_what_the_file_has(tmp_path, monkeypatch):
    path, ae, fsync, calls = tmp_path / "run.pt", model(), os.fsync, itertools.count(1)

    def full(descriptor):
        if next(calls) == 3:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        fit(Trainer(ae, noisy_loss, "cpu"), epochs=4, checkpoint=path)
    assert f"after 3 whole epochs; checkpoint {path} has 2." in "".join(caught.value.__notes__)
    assert len(checkpoint.load(path)["history"]["train_loss"]) == 2 and os.listdir(tmp_path) == ["run.pt"]


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
def test_nan_in_a_pixel_restores_the_last_whole_epoch(likelihood, tmp_path):
    x = images(10).round()
    ae, epochs = model(likelihood=likelihood), itertools.count()

    def spoil(batch):  # three batches an epoch: NaN in the first of the second epoch, where pixels are looked at
        return batch * float("nan") if next(epochs) == 3 else batch

    trainer = Trainer(ae, reconstruction_loss, "cpu")
    with pytest.raises((ValueError, TrainingDiverged)) as caught:
        fit(trainer, x=x, prepare=spoil, checkpoint=tmp_path / "run.pt")
    assert same(weights(ae), checkpoint.load(tmp_path / "run.pt")["model"]) and not ae.training
    assert trainer.history.epochs == 1 and trainer.history.interrupted
    assert "after 1 whole epochs; checkpoint" in "".join(caught.value.__notes__)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    checkpoint.save({"weights": torch.zeros(3)}, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="is not a checkpoint of a training run"):
        fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=tmp_path / "run.pt", resume=True)


def test_the_model_is_left_in_eval_mode():
    ae = model()
    fit(Trainer(ae, reconstruction_loss, "cpu"))
    assert not ae.training


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=path)
    with pytest.raises((RuntimeError, ValueError), match=r"size mismatch|checkpoint"):
        fit(Trainer(Autoencoder(3, (5,), SHAPE), noisy_loss, "cpu"), checkpoint=path, resume=True)


@pytest.mark.parametrize("percent", range(0, 100, 7))
def test_a_checkpoint_cut_anywhere_is_refused_in_a_sentence(percent, tmp_path):
    path = tmp_path / "run.pt"
    fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * percent // 100])
    with pytest.raises(ValueError, match=r"run.pt is not a whole checkpoint of this package; give another file"):
        fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=path, resume=True)


@pytest.mark.parametrize("content", [[1], torch.zeros(3), "text", 7])
def test_a_file_with_something_else_is_refused_in_a_sentence(content, tmp_path):
    torch.save(content, tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"is not a checkpoint of a training run; give another file"):
        fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=tmp_path / "run.pt", resume=True)


@pytest.mark.parametrize(
    ("resumed", "named"),
    [
        (
            lambda: Trainer(model(), noisy_loss, "cpu", precision="bf16"),
            "precision: 'fp32'; this one has precision: 'b",
        ),
        (lambda: Trainer(model(likelihood="continuous_bernoulli"), noisy_loss, "cpu"), "a run with model: "),
        (lambda: Trainer(model(), noisy_loss, "cpu", seed=8), "seed: 0; this one has seed: 8"),
    ],
)
def test_a_run_of_another_kind_is_not_gone_on_with(resumed, named, tmp_path):
    fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match=named) as caught:
        fit(resumed(), checkpoint=tmp_path / "run.pt", resume=True)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("wrong")])
def test_the_model_is_left_in_evaluation_mode_however_a_run_ends(error):
    ae = model()
    with pytest.raises(type(error)):
        fit(Trainer(ae, failing_at(5, error), "cpu"))
    assert not ae.training


def test_another_run_of_the_same_trainer_between_two_epochs_is_refused():
    trainer = Trainer(model(), noisy_loss, "cpu")
    with pytest.raises(RuntimeError, match=r"began another run between two epochs: take another Trainer for that"):
        for _ in trainer.epochs(images(), epochs=3, batch_size=4):
            fit(trainer, epochs=1)


def test_epochs_checks_its_settings_when_it_is_called():
    with pytest.raises(ValueError, match=r"epochs must be a whole number, 1 or more; got 0"):
        Trainer(model(), noisy_loss, "cpu").epochs(images(), epochs=0)


def test_mean_loss_repeats_and_leaves_the_callers_random_state_alone():
    trainer, before = Trainer(small_vae(), vae_loss, "cpu"), torch.get_rng_state()
    assert trainer.mean_loss(images()) == trainer.mean_loss(images())
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ValueError, match=r"batch_size must be a whole number, 1 or more; got 0"):
        trainer.mean_loss(images(), batch_size=0)


# --- divergence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("call", [7, 8, 9])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_a_loss_that_is_not_finite_stops_the_run_and_restores_it(likelihood, call, value, tmp_path):
    ae, path = model(likelihood=likelihood), tmp_path / "run.pt"
    trainer = Trainer(ae, nan_at(call, value), "cpu")
    with pytest.raises(TrainingDiverged, match=r"not finite in epoch 3, by step \d, at learning rate [\d.e-]+") as stop:
        fit(trainer, epochs=4, checkpoint=path)
    rate = float(str(stop.value).partition("learning rate ")[2].partition(":")[0])
    assert 0 < rate <= 0.05 and f"after 2 whole epochs; checkpoint {path}" in stop.value.__notes__[0]
    assert same(weights(ae), checkpoint.load(path)["model"])
    assert all(value.isfinite().all() for value in weights(ae).values())
    assert trainer.history.interrupted and trainer.history.epochs == 2


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_nan_in_the_images_is_told_as_such(likelihood):
    x = images()
    x[3] = math.nan
    with pytest.raises((TrainingDiverged, ValueError), match=r"NaN|nan") as caught:
        fit(Trainer(model(likelihood=likelihood), reconstruction_loss, "cpu"), x)
    assert "\n" not in str(caught.value)


def test_a_long_epoch_is_not_waited_for():
    calls = itertools.count(1)

    def loss(ae, x):
        assert next(calls) <= training.CHECK_EVERY
        return reconstruction_loss(ae, x) * math.nan

    with pytest.raises(TrainingDiverged, match=f"epoch 1, by step {training.CHECK_EVERY}"):
        fit(Trainer(model(likelihood="gaussian"), loss, "cpu"), images(2 * training.CHECK_EVERY), batch_size=1)


@pytest.mark.parametrize("epochs", [2, 3], ids=["in the run's last step", "in an epoch's last step"])
def test_a_gradient_that_is_not_finite_never_reaches_the_last_good_state(epochs, tmp_path):
    ae, path, calls = model(likelihood="gaussian"), tmp_path / "run.pt", itertools.count(1)

    def loss(ae, x):
        # finite, but its gradient is not: the square root's slope at 0
        nothing = (0 * ae.encode(x).sum()).sqrt() if next(calls) == 6 else 0
        return reconstruction_loss(ae, x) + nothing

    with pytest.raises(TrainingDiverged):
        fit(Trainer(ae, loss, "cpu"), epochs=epochs, checkpoint=path)
    assert all(value.isfinite().all() for value in weights(ae).values())
    assert all(value.isfinite().all() for value in checkpoint.load(path)["model"].values())
    assert len(checkpoint.load(path)["history"]["train_loss"]) == 1


@pytest.mark.parametrize("stored", [lambda x: x, lambda x: (x, torch.arange(len(x)))], ids=["images", "with labels"])
def test_nan_among_the_validation_images_is_told_before_the_training_begins(stored):
    other, calls = images(5), []
    other[2] = math.nan
    y = torch.arange(10) if isinstance(stored(other), tuple) else None
    with pytest.raises(ValueError, match=r"validation holds NaN or infinity, in 1 of 5 images"):
        fit(Trainer(model(), lambda *_: calls.append(1), "cpu"), y=y, validation=stored(other))
    assert not calls


def test_a_validation_loss_that_is_not_finite_stops_the_run():
    ae = model(likelihood="gaussian")
    trainer = Trainer(ae, lambda ae, x: reconstruction_loss(ae, x) * (1 if ae.training else math.nan), "cpu")
    with pytest.raises(TrainingDiverged, match=r"The validation loss is nan in epoch 1: look"):
        fit(trainer, validation=images(5))
    assert same(weights(ae), weights(model(likelihood="gaussian"))) and trainer.history.epochs == 0


# --- the loop in the user's hands ------------------------------------------------------------------------------------


def small_vae():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(2, (5,), SHAPE)


def vae_loss(vae, x):
    return -elbo(vae, x).elbo


def test_epochs_is_a_generator_of_histories_and_gives_what_fit_gives():
    one, two = small_vae(), small_vae()
    history = fit(Trainer(one, vae_loss, "cpu"), epochs=4)
    trainer = Trainer(two, vae_loss, "cpu")
    seen = []
    for given in trainer.epochs(images(), epochs=4, batch_size=4, lr=0.05):
        assert given is trainer.history and not two.training
        seen.append((given.epochs, given.train_loss[-1]))
    assert seen == list(zip(range(1, 5), history.train_loss, strict=True))
    assert same(weights(one), weights(two)) and len(trainer.history.seconds) == 4


def test_what_is_done_between_two_epochs_changes_nothing():
    quiet, busy = small_vae(), small_vae()
    torch.manual_seed(9)
    expected = torch.rand(4)
    for _ in Trainer(quiet, vae_loss, "cpu").epochs(images(), epochs=4, batch_size=4):
        pass
    torch.manual_seed(9)
    drawn = []
    for _ in Trainer(busy, vae_loss, "cpu").epochs(images(), epochs=4, batch_size=4):
        drawn.append(torch.rand(1))
        busy.sample(3, torch.Generator().manual_seed(1))
    assert same(weights(quiet), weights(busy)) and torch.equal(torch.cat(drawn), expected)


@pytest.mark.parametrize("count", [50, 300])
def test_watching_changes_nothing(count):
    watched, alone = small_vae(), small_vae()
    history = fit(Trainer(watched, vae_loss, "cpu"), images(100), validation=images(count), batch_size=20)
    fit(Trainer(alone, vae_loss, "cpu"), images(100), batch_size=20)
    assert same(weights(watched), weights(alone)) and len(history.validation_loss) == 3


def test_a_validation_has_the_same_draws_each_time():
    """With the weights all but standing still, the loss of a VAE changes by its draws alone."""
    history = fit(Trainer(small_vae(), vae_loss, "cpu"), epochs=4, lr=1e-12, validation=images(5))
    assert max(history.validation_loss) - min(history.validation_loss) < 1e-6 < len(set(history.train_loss))


def test_fitting_again_goes_on_with_fresh_order_and_noise():
    orders, trainer = [], Trainer(model(), noisy_loss, "cpu")
    trainer.loss = lambda ae, x: orders.append((10 * x[:, 0, 0, 0]).round().tolist()) or reconstruction_loss(ae, x)
    x = torch.arange(10.0).view(10, 1, 1, 1).expand(10, *SHAPE) / 10
    trainer.model = model(likelihood="gaussian")
    first, second = (fit(trainer, x, epochs=1, batch_size=10) for _ in range(2))
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    assert (first.epochs, second.epochs) == (1, 1)
    again = Trainer(model(likelihood="gaussian"), trainer.loss, "cpu")
    for _ in range(2):
        fit(again, x, epochs=1, batch_size=10)
    assert orders[:2] == orders[2:] and same(weights(again.model), weights(trainer.model))


def documented_loops():
    """The examples in the docstring of `Trainer.epochs`, as programs."""
    text = inspect.getdoc(Trainer.epochs)
    block = textwrap.dedent(re.search(r"::\n\n(.*?)\n\n\S", text, re.DOTALL)[1])
    return re.split(r"\n\n", block.strip())


def test_the_documented_loops_run():
    snapshot, stop, warmup = documented_loops()
    assert all(len(loop.splitlines()) == 3 for loop in (snapshot, stop, warmup))
    x, vae = images(250), small_vae()
    names = {"x": x, "model": vae, "trainer": Trainer(vae, vae_loss, "cpu")}
    exec(snapshot, names)
    assert [codes.shape for codes in names["codes"]] == [(250, 2)] * 3
    assert not torch.equal(names["codes"][0], names["codes"][2])
    falling = names["trainer"]
    falling.loss = lambda vae, x: 0 * vae_loss(vae, x) + 115 - 2 * falling.history.epochs
    exec(stop, names)
    assert names["history"].train_loss == [115, 113, 111, 109]
    betas = []

    def loss(model, x):
        betas.append(names["beta"])
        return -elbo(model, x, beta=names["beta"]).elbo

    names["trainer"].loss = loss
    exec(warmup, names)
    assert betas == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1])


# --- the checks of the pixels' values --------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False])
def test_values_are_looked_at_in_the_first_step_of_each_epoch_only(before):
    looked = []

    def loss(ae, x):
        looked.append(validating())
        return reconstruction_loss(ae, x)

    with validation(before):
        for _ in Trainer(model(), loss, "cpu").epochs(images(), epochs=2, batch_size=4):
            assert validating() == before
        assert looked == [before, False, False] * 2
        with pytest.raises(KeyboardInterrupt):
            fit(Trainer(model(), failing_at(5, KeyboardInterrupt()), "cpu"))
        assert validating() == before


def test_labels_out_of_range_are_told_in_a_later_step_too():
    x, y = images(), torch.arange(10)
    cvae = CVAE(2, (5,), SHAPE, num_classes=9)
    with pytest.raises((ValueError, RuntimeError)):
        fit(Trainer(cvae, lambda cvae, x, y: -elbo(cvae, x, y).elbo, "cpu"), x, y=y, batch_size=2)


@pytest.mark.parametrize("kind", [list, np.asarray, lambda y: y.to(torch.uint8)], ids=["list", "array", "bytes"])
def test_labels_may_be_lists_and_arrays(kind):
    y, seen = torch.arange(10), []

    def loss(ae, x, y):
        seen.append(y)
        return reconstruction_loss(ae, x) + y

    history = fit(Trainer(model(), loss, "cpu"), y=kind(y), epochs=1, validation=(images(), kind(y)))
    assert torch.cat(seen[:3]).sort().values.tolist() == y.tolist() and history.epochs == 1


# --- precision, progress, history ------------------------------------------------------------------------------------


def test_bf16_trains_in_bf16_and_keeps_the_weights_in_fp32():
    ae, twin, types = model(), model(), set()

    def loss(ae, x):
        types.add(ae.encode(x).dtype)
        return reconstruction_loss(ae, x)

    half = fit(Trainer(ae, loss, "cpu", precision="bf16"), validation=images(5))
    single = fit(Trainer(twin, reconstruction_loss, "cpu"), validation=images(5))
    assert types == {torch.bfloat16} and {value.dtype for value in ae.parameters()} == {torch.float32}
    assert half.train_loss == pytest.approx(single.train_loss, rel=0.03)
    assert half.train_loss != single.train_loss


@pytest.mark.parametrize("sigma", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("kind", [Autoencoder, VAE])
def test_bf16_gives_the_nats_of_fp32_to_a_fraction(kind, sigma):
    torch.manual_seed(0)
    ae, x = kind(16, (64,), (1, 28, 28), likelihood="gaussian", sigma=sigma), torch.rand(40, 1, 28, 28)
    loss = reconstruction_loss if kind is Autoencoder else vae_loss
    nats = []
    for precision in ("fp32", "bf16"):
        torch.manual_seed(1)
        nats.append(Trainer(ae, loss, "cpu", precision).mean_loss(x))
    assert 0 < abs(nats[1] - nats[0]) < max(0.5, 2e-4 * abs(nats[0]))  # with sigma rounded it would be ten times that


def test_the_bar_shows_epoch_steps_and_loss(capsys):
    history = fit(Trainer(model(), reconstruction_loss, "cpu"), epochs=2, batch_size=10, progress=True)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown and "2/2 [" in shown and f"loss={history.train_loss[-1]:.2f}" in shown


def test_the_bar_of_a_resumed_run_starts_where_it_stopped(capsys, tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(Trainer(model(), failing_at(8, KeyboardInterrupt()), "cpu"), checkpoint=path)
    fit(Trainer(model(), noisy_loss, "cpu"), checkpoint=path, resume=True, progress=True)
    shown = capsys.readouterr().err
    assert "6/9 [" in shown and "9/9 [" in shown and "10/9" not in shown


def test_without_progress_nothing_is_printed(capsys):
    fit(Trainer(model(), reconstruction_loss, "cpu"))
    assert capsys.readouterr() == ("", "")


def test_each_fit_has_a_history_of_its_own():
    trainer = Trainer(model(), reconstruction_loss, "cpu")
    first, second = fit(trainer, epochs=2), fit(trainer, epochs=3)
    assert (first.epochs, second.epochs) == (2, 3) and trainer.history is second
    assert len(second.seconds) == 3 and all(s > 0 for s in second.seconds) and second.validation_loss == []


@pytest.mark.parametrize(
    ("history", "text"),
    [
        (History(), "History: no whole epoch yet"),
        (History([3.0, 2.0], [], [0.5, 0.75]), "History: 2 epochs in 1.2 s, train loss 2.00"),
        (
            History([3.0], [4.0], [1.0], True),
            "History: 1 epochs in 1.0 s, train loss 3.00, validation loss 4.00, interrupted",
        ),
    ],
)
def test_the_history_says_what_it_is(history, text):
    assert repr(history) == text


def test_the_history_plots_itself():
    pytest.importorskip("matplotlib").use("Agg")
    ax = History([3.0, 2.0], [4.0, 3.5], [1.0, 1.0]).plot()
    assert [line.get_label() for line in ax.get_lines()] == ["training", "validation"]
    assert ax.get_lines()[1].get_ydata().tolist() == [4.0, 3.5]


# --- the device ------------------------------------------------------------------------------------------------------


def test_the_accelerator_trains_as_the_cpu_does():
    if ACCELERATOR is None:
        pytest.skip("needs an accelerator")
    ae = model()
    history = fit(Trainer(ae, reconstruction_loss), epochs=60, validation=images(5))
    assert next(ae.parameters()).device.type == ACCELERATOR.type
    assert history.train_loss[-1] < 0.7 * history.train_loss[0]


# --- CUDA graphs -----------------------------------------------------------------------------------------------------

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA GPU")


def labelled_loss(ae, x, y):
    return noisy_loss(ae, x) * (1 + y)


@pytest.mark.parametrize("labels", [None, torch.arange(10) % 3])
def test_what_is_recorded_is_the_loss_of_whole_batches_but_the_first(monkeypatch, labels):
    """With a recorder that records nothing, the run is the same."""
    replayed, x = [], images()

    def pretend(step, sample, weights):
        assert [len(part) for part in sample] == [3] * len(sample)
        step(*sample)  # a warm-up draws random numbers
        return lambda *batch: replayed.append(len(batch[0])) or step(*batch)

    def jitter(images):
        return images + 0.1 * torch.rand_like(images)

    monkeypatch.setattr(training, "CUDAGraph", pretend)
    runs, outside = [], torch.get_rng_state()
    for capture in (False, True):
        ae = model(likelihood="gaussian")
        trainer = Trainer(ae, noisy_loss if labels is None else labelled_loss, "cpu")
        trainer.capture = capture
        runs.append((weights(ae), fit(trainer, x, y=labels, batch_size=3, prepare=jitter), weights(ae)))
    (_, plain, ours), (start, recorded, theirs) = runs
    assert same(ours, theirs) and not same(start, theirs) and plain.train_loss == recorded.train_loss
    assert torch.equal(torch.get_rng_state(), outside)
    assert replayed == [3, 3] * 3  # batches of 3, 3, 3 and 1 in each of three epochs


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("labels", [None, torch.arange(10) % 3])
def test_a_recorded_step_is_the_same_step(labels, precision):
    runs, x = [], images().to("cuda")
    for capture in (False, True):
        ae = model()
        trainer = Trainer(ae, noisy_loss if labels is None else labelled_loss, "cuda", precision, capture=capture)
        runs.append((fit(trainer, x, y=labels, batch_size=3), weights(ae)))
    (plain, ours), (recorded, theirs) = runs
    assert plain.train_loss == pytest.approx(recorded.train_loss, rel=1e-5) and torch.equal(x.cpu(), images())
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


@needs_cuda
def test_a_recorded_run_resumes_as_if_it_had_not_stopped(tmp_path):
    whole, half, path = model(), model(), tmp_path / "run.pt"
    fit(Trainer(whole, noisy_loss, "cuda", capture=True), batch_size=3)
    stopped = Trainer(half, noisy_loss, "cuda", capture=True)
    stopped.loss = failing_at(8, KeyboardInterrupt())  # four calls record it, two are made in each epoch
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, batch_size=3, checkpoint=path)
    assert stopped.history.epochs == 1
    fit(Trainer(half, noisy_loss, "cuda", capture=True), batch_size=3, checkpoint=path, resume=True)
    for name, ours in weights(whole).items():
        torch.testing.assert_close(ours, weights(half)[name], rtol=1e-4, atol=1e-5)


@needs_cuda
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_can_be_recorded(likelihood):
    losses = []
    for capture in (False, True):
        torch.manual_seed(0)
        vae = VAE(2, (5,), SHAPE, likelihood=likelihood)
        losses.append(fit(Trainer(vae, vae_loss, "cuda", capture=capture), batch_size=3).train_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


WAITS = """
import torch
from aetutor import Autoencoder, Trainer, reconstruction_loss
trainer = Trainer(Autoencoder(2), lambda ae, x: reconstruction_loss(ae, x) * x.max().item(), "cuda", capture=True)
trainer.fit(torch.ones(10, 1, 28, 28), epochs=1, progress=False)
"""


@needs_cuda
def test_a_loss_that_waits_for_the_gpu_cannot_be_recorded():
    """In a process of its own: after a recording that failed, torch draws no more random numbers on the GPU."""
    done = subprocess.run([sys.executable, "-c", WAITS], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"cannot be recorded as a CUDA graph.*leave out capture=True, and restart Python", done.stderr)


def test_without_a_cuda_gpu_nothing_can_be_recorded():
    with pytest.raises(ValueError, match="capture=True needs a CUDA GPU; this trainer's device is cpu: leave it out"):
        Trainer(model(), noisy_loss, "cpu", capture=True)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": images()[:0]}, "no images: x is empty"),
        ({"batch_size": 0}, "batch_size must be a whole number, 1 or more; got 0"),
        ({"batch_size": -4}, "batch_size must be a whole number, 1 or more; got -4"),
        ({"lr": -0.1}, "learning rate, must be a finite number, more than 0; got -0.1"),
        ({"lr": 0}, "learning rate, must be a finite number, more than 0; got 0"),
        ({"lr": math.nan}, "learning rate, must be a finite number, more than 0; got nan"),
        ({"lr": math.inf}, "learning rate, must be a finite number, more than 0; got inf"),
        ({"epochs": 0}, "epochs must be a whole number, 1 or more; got 0"),
        ({"y": torch.arange(9)}, "one label an image, shape \\(10,\\); got labels of shape \\(9,\\)"),
        ({"resume": True}, "resume=True needs checkpoint"),
        ({"x": torch.zeros(10, 1, 3, 2)}, r"images of shape \(…, 1, 2, 3\); got \(4, 1, 3, 2\)"),
        ({"x": torch.full((10, *SHAPE), 0.5)}, "pixels that are 0 or 1; got 0.5 among them: binarize"),
        ({"x": torch.full((10, *SHAPE), 7).byte()}, "pixels that are 0 or 1; got 0.0275 among them: binarize"),
        ({"x": torch.ones((10, *SHAPE)).long()}, "takes float images; got torch.int64"),
        ({"validation": images()[:0]}, "validation.*empty"),
        (
            {"validation": torch.zeros(10, 1, 3, 2)},
            r"images of shape \(1, 2, 3\), without labels; got images of shape \(1, 3, 2\), without",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        fit(Trainer(model(), reconstruction_loss, "cpu"), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", ["fp16", "bfloat16", None])
def test_an_unknown_precision_lists_the_known_ones(precision):
    with pytest.raises(ValueError, match=f"Unknown precision {precision!r}: choose 'fp32' or 'bf16'"):
        Trainer(model(), reconstruction_loss, "cpu", precision)


@pytest.mark.parametrize("given", [None, 1.5, [1.0, 2.0]], ids=["nothing", "a number", "a list"])
def test_a_loss_that_is_no_tensor_is_named(given):
    sentence = f"The loss of the VAE must give one number an image, .*got an object of class {type(given).__name__}"
    with pytest.raises(ValueError, match=sentence):
        fit(Trainer(small_vae(), lambda vae, x: given, "cpu"))


def test_a_loss_that_is_a_whole_elbo_is_named():
    with pytest.raises(ValueError, match=r"The loss of the VAE must give .*\(4,\); got an object of class Elbo\."):
        fit(Trainer(small_vae(), elbo, "cpu"))


@pytest.mark.parametrize(("reduce", "shape"), [(torch.mean, "()"), (lambda losses: losses[:, None], "(4, 1)")])
def test_a_loss_that_is_not_one_number_an_image_is_named(reduce, shape):
    with pytest.raises(ValueError, match=r"one number an image, shape \(4,\); got") as caught:
        fit(Trainer(model(), lambda ae, x: reduce(reconstruction_loss(ae, x)), "cpu"))
    assert str(caught.value).endswith(f"got {shape}.")


# --- what the validation must be -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "validation"),
    [(None, (images(4), torch.zeros(4).long())), (torch.zeros(10).long(), images(4))],
    ids=["labels too many", "labels missing"],
)
def test_validation_has_labels_when_the_training_has(y, validation):
    with pytest.raises(ValueError, match="validation must be like what is trained on"):
        Trainer(model(), lambda ae, x, *y: reconstruction_loss(ae, x), "cpu").fit(
            images(), y, epochs=1, batch_size=4, validation=validation, progress=False
        )


def test_a_model_is_trained_where_the_caller_has_gradients_off_too():
    models = []
    for gradients in (True, False):
        torch.manual_seed(0)
        model = Autoencoder(2, (8,), image_shape=(1, 4, 4), likelihood="gaussian")
        with torch.set_grad_enabled(gradients):
            Trainer(model, reconstruction_loss, device="cpu").fit(
                torch.linspace(0, 1, 320).view(20, 1, 4, 4), epochs=1, batch_size=10, progress=False
            )
            assert torch.is_grad_enabled() is gradients
        models.append(model)
    for with_gradients, without in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(with_gradients, without)
