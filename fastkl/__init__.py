"""Exact Kullback-Leibler divergence of large batches of histograms, at the speed of memory, on a CPU."""

from fastkl.rowwise import cross_entropy, entropy, kl_divergence
from fastkl.symmetric import jeffreys_divergence, js_distance, js_divergence, psi

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "cross_entropy",
    "entropy",
    "jeffreys_divergence",
    "js_distance",
    "js_divergence",
    "kl_divergence",
    "psi",
]
