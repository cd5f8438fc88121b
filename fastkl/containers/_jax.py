"""JAX: CPU arrays outside of transformations, read in place; bfloat16 is widened to float32, without a loss."""

from typing import Any

from fastkl.containers._dlpack import in_place
from fastkl.containers._labels import Labels
from fastkl.containers._operand import Operand


def read(value: Any, name: str) -> Operand | None:
    """An array; results are arrays of JAX, in float32 unless ``jax_enable_x64`` is set."""
    import jax

    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{name} is traced by JAX and has no values yet; call fastkl outside of jit, vmap and grad, or through"
            " `jax.pure_callback`"
        )
    if not isinstance(value, jax.Array):
        return None
    if value.dtype.name == "bfloat16":
        value = value.astype("float32")
    array = in_place(value.block_until_ready(), name)
    return Operand(array, (None,) * array.ndim, _give)


def _give(result: Any, _: Labels | None) -> Any:
    import jax.numpy

    return jax.numpy.asarray(result)
