"""aetutor: a course on autoencoders that runs. The notebooks import what they need from these modules.

Importing this package imports torch and nothing heavier; `aetutor.plots` and `aetutor.widgets` import matplotlib and
ipywidgets when you ask for them.
"""

from aetutor.data import ImageData, binarize, load, one_hot, to_unit
from aetutor.evaluation import (
    Evidence,
    Probe,
    active_units,
    linear_probe,
    log_px_importance,
    log_px_quadrature,
    psnr,
    squared_error,
)
from aetutor.exercises import EXERCISES, check
from aetutor.models import CVAE, VAE, Autoencoder
from aetutor.objectives import Elbo, denoising_loss, elbo, gaussian_kl, importance_weighted_bound, reconstruction_loss
from aetutor.training import History, Trainer, TrainingDiverged, choose_device
from aetutor.verify import show_source, verify

__version__ = "0.1.0"
__all__ = [
    "CVAE",
    "EXERCISES",
    "VAE",
    "Autoencoder",
    "Elbo",
    "Evidence",
    "History",
    "ImageData",
    "Probe",
    "Trainer",
    "TrainingDiverged",
    "active_units",
    "binarize",
    "check",
    "choose_device",
    "denoising_loss",
    "elbo",
    "gaussian_kl",
    "importance_weighted_bound",
    "linear_probe",
    "load",
    "log_px_importance",
    "log_px_quadrature",
    "one_hot",
    "psnr",
    "reconstruction_loss",
    "show_source",
    "squared_error",
    "to_unit",
    "verify",
]
