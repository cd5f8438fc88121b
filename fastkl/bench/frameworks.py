"""How torch and JAX get a job: as a formula over the library and its arrays."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastkl._threads import available_cpus
from fastkl.bench.case import Case
from fastkl.bench.contestant import Call, Unsuitable

Formula = Callable[..., Any]


def by_torch(formula: Formula, case: Case, *arrays: Any) -> Call:
    """The formula over torch and these arrays, on as many threads as the others."""
    import torch

    tensors = [torch.from_numpy(array) for array in arrays]

    def call() -> Any:
        torch.set_num_threads(case.threads)
        return formula(torch, *tensors)

    return call


def by_jax(formula: Formula, case: Case, *arrays: Any) -> Call:
    """The formula over jax.numpy and these arrays, compiled."""
    import jax
    import jax.numpy as jnp

    if case.threads != available_cpus():
        raise Unsuitable("uses all threads, always")
    jax.config.update("jax_platforms", "cpu")  # where there are others, too
    jax.config.update("jax_enable_x64", True)
    compiled = jax.jit(partial(formula, jnp))
    operands = [jnp.asarray(array) for array in arrays]
    return lambda: jax.block_until_ready(compiled(*operands))


def as_arrays(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """Results of any of the libraries as arrays of NumPy."""
    return tuple(np.asarray(array) for array in answer)
