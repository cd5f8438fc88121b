"""The functions that every test of all of them goes through, by name."""

from collections.abc import Callable
from functools import partial
from typing import Any

from reference import ALPHAS, ORDERS, P_WEIGHT

import fastkl


def _entropy(p: Any, q: Any, **options: Any) -> Any:
    return fastkl.entropy(p, **options)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "kl_divergence": fastkl.kl_divergence,
    "cross_entropy": fastkl.cross_entropy,
    "entropy": _entropy,
    "js_divergence": fastkl.js_divergence,
    "weighted js_divergence": partial(fastkl.js_divergence, p_weight=P_WEIGHT),
    "jeffreys_divergence": fastkl.jeffreys_divergence,
    **{name: partial(fastkl.alpha_divergence, alpha=alpha) for name, alpha in ALPHAS.items()},
    **{name: partial(fastkl.renyi_divergence, alpha=alpha) for name, alpha in ORDERS.items()},
}
# Never negative, zero for equal histograms alone.
DIVERGENCES = {name: function for name, function in FUNCTIONS.items() if "entropy" not in name}
SYMMETRIC = {name: FUNCTIONS[name] for name in ("js_divergence", "jeffreys_divergence")}


def call(name: str, p: Any, q: Any, **options: Any) -> Any:
    """One of the functions, of p alone if it is the entropy."""
    return FUNCTIONS[name](p, q, **options)
