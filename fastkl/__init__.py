"""Exact Kullback-Leibler divergence of large batches of histograms, at the speed of memory, on a CPU."""

from importlib import import_module
from typing import Any

from fastkl import jit
from fastkl.bothways import kl_divergences
from fastkl.continuous import continuous_kl_divergence
from fastkl.fits import fit
from fastkl.fitting._result import Fit
from fastkl.logits import kl_divergence_from_logits
from fastkl.pairs import nearest, pairwise
from fastkl.powers import alpha_divergence, renyi_divergence
from fastkl.rowwise import cross_entropy, entropy, kl_divergence
from fastkl.symmetric import jeffreys_divergence, js_distance, js_divergence, psi

__version__ = "0.1.0"

__all__ = [
    "Fit",
    "__version__",
    "alpha_divergence",
    "continuous_kl_divergence",
    "cross_entropy",
    "entropy",
    "fit",
    "jeffreys_divergence",
    "jit",
    "js_distance",
    "js_divergence",
    "kl_divergence",
    "kl_divergence_from_logits",
    "kl_divergences",
    "nearest",
    "pairwise",
    "psi",
    "renyi_divergence",
]


def __getattr__(name: str) -> Any:
    if name in ("batch", "plot"):  # which import more, and are imported when used
        return import_module(f"fastkl.{name}")
    raise AttributeError(f"module 'fastkl' has no attribute {name!r}")
