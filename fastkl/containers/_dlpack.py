"""Tensors that DLPack hands over in place, of any library."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.containers._operand import Operand

# DLPack's numbers of memory that a CPU reads: its own, pinned by CUDA or ROCm, managed by CUDA.
_HOST = (1, 3, 11, 13)


def is_tensor(value: Any) -> bool:
    """True for what speaks DLPack, NumPy's own arrays excepted."""
    return hasattr(value, "__dlpack_device__") and not isinstance(value, np.ndarray)


def read(value: Any, name: str) -> Operand:
    """A tensor whose library isn't known here; results are arrays."""
    array = in_place(value, name)
    return Operand(array, (None,) * array.ndim)


def in_place(tensor: Any, name: str) -> npt.NDArray[Any]:
    """The memory of a tensor as an array."""
    try:
        device = tensor.__dlpack_device__()[0]
        array = np.from_dlpack(tensor) if device in _HOST else None
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        dtype = getattr(tensor, "dtype", None)
        raise TypeError(f"{name}, of dtype {dtype}, can't be read in place: {error}") from error
    if array is None:
        raise TypeError(
            f"{name} is in the memory of a device; copy it to the CPU: `{name}.cpu()` of torch,"
            f" `jax.device_get({name})` of JAX, `{name}.get()` of CuPy"
        )
    return array
