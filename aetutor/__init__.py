"""aetutor: a course on autoencoders that runs. The notebooks import what they need from these modules.

Importing this package imports torch and nothing heavier; `aetutor.plots`, `aetutor.widgets` and `aetutor.freeze` import
matplotlib and ipywidgets when you ask for them.
"""

from aetutor.data import ImageData, binarize, load, one_hot, to_unit
from aetutor.devices import choose_device
from aetutor.evaluation import psnr, squared_error
from aetutor.evidence import (
    Evidence,
    active_units,
    log_likelihoods,
    log_px_importance,
    log_px_quadrature,
    posterior_grid,
)
from aetutor.exercises import EXERCISES, check
from aetutor.models import CVAE, VAE, Autoencoder, load_model
from aetutor.objectives import Elbo, denoising_loss, elbo, gaussian_kl, importance_weighted_bound, reconstruction_loss
from aetutor.probe import Probe, fit_probe
from aetutor.training import History, Trainer, TrainingDiverged
from aetutor.verify import show_source, verify

__version__ = "0.1.0"
# fmt: off
__all__ = [
    "CVAE", "EXERCISES", "VAE", "Autoencoder", "Elbo", "Evidence", "History", "ImageData", "Probe", "Trainer",
    "TrainingDiverged", "active_units", "binarize", "check", "choose_device", "denoising_loss", "elbo", "fit_probe",
    "freeze", "gaussian_kl", "importance_weighted_bound", "load", "load_model", "log_likelihoods", "log_px_importance",
    "log_px_quadrature", "one_hot", "posterior_grid", "psnr", "reconstruction_loss", "show_source", "squared_error",
    "to_unit", "verify",
]
# fmt: on


def __getattr__(name: str) -> object:
    if name == "freeze":  # it needs ipywidgets
        from aetutor.widgets.frozen import freeze

        return freeze
    raise AttributeError(f"module 'aetutor' has no attribute {name!r}")
