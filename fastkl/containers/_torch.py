"""torch: CPU tensors, read in place; bfloat16, which NumPy has not, is widened to float32, without a loss."""

from typing import Any

import numpy as np

from fastkl.containers._dlpack import in_place
from fastkl.containers._labels import Labels
from fastkl.containers._operand import Operand


def read(value: Any, name: str) -> Operand | None:
    """A tensor; results are tensors."""
    import torch

    if not isinstance(value, torch.Tensor):
        return None
    if value.requires_grad:
        raise TypeError(f"{name} requires grad, which divergences do not propagate; pass `{name}.detach()`")
    if value.layout != torch.strided:
        raise TypeError(f"{name} has the layout {value.layout}; pass `{name}.to_dense()`")
    if value.dtype == torch.bfloat16 and value.is_cpu:
        value = value.float()
    array = in_place(value.resolve_neg(), name)
    return Operand(array, (None,) * array.ndim, _give)


def _give(result: Any, _: Labels | None) -> Any:
    import torch

    return torch.from_numpy(np.asarray(result))
