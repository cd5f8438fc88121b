"""What the tasks of all functions share: indices of dimensions, places of blocks, the threads of a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.array.core import unify_chunks
from dask.layers import ArraySliceDep

from fastkl._check import describe_invalid
from fastkl._matrix import Matrix

_Array = npt.NDArray[Any]
# Where a block lies in the whole result; NaN where chunks are of unknown length.
Place = tuple[slice, ...]


def as_chunked(array: Any) -> Any:
    """An array of dask; others become one of a single chunk."""
    return array if isinstance(array, da.Array) else da.from_array(array, chunks=-1)


def block_by_block(
    work: Callable[..., _Array],
    arrays: Sequence[Any],
    indices: Sequence[tuple[int, ...]],
    result: tuple[int, ...],
    dtype: np.dtype[Any],
    added: dict[int, int] | None = None,
    sizes: dict[int, Sequence[int]] | None = None,
) -> Any:
    """The array of dask whose blocks are ``work(place, *blocks)``, with the dimensions ``result``.

    Dimensions of the arrays are named by numbers. Those that the result lacks lie in one chunk; ``added`` are new ones
    and their lengths, and ``sizes`` the lengths of the result's chunks where they are not those of the arguments.
    """
    added = added or {}
    pairs = [side for array, index in zip(arrays, indices, strict=True) for side in (as_chunked(array), index)]
    chunks, unified = unify_chunks(*pairs)
    batch = tuple(d for d in result if d not in added)
    place = ArraySliceDep(tuple(chunks[d] for d in batch))
    pairs = [side for array, index in zip(unified, indices, strict=True) for side in (array, index)]
    shaped = {"new_axes": added, "adjust_chunks": sizes, "align_arrays": False}
    typed = {"dtype": dtype, "meta": np.empty((0,) * len(result), dtype)}
    return da.blockwise(_Work(work), result, place, batch, *pairs, token="fastkl", **shaped, **typed)


@dataclass(frozen=True)
class _Work:
    """A function of blocks as dask calls it: what lies along a dimension that the result lacks comes in lists."""

    work: Callable[..., _Array]

    def __call__(self, place: Place, *blocks: Any) -> _Array:
        return self.work(place, *map(_only, blocks))


def _only(block: Any) -> Any:
    while isinstance(block, list):
        (block,) = block
    return block


def threads_of_task(threads: int | None) -> int:
    """One, unless the user says more: tasks run side by side."""
    return 1 if threads is None else int(threads)


def name_of_row(name: str, index: Sequence[int], origin: Sequence[float]) -> str:
    """A row of a block, which begins at the origin, as a row of the whole argument."""
    if not index:
        return name
    if np.isnan(origin).any():
        return f"{name}[{', '.join(map(str, index))}] of a chunk, after chunks of unknown length,"
    return f"{name}[{', '.join(str(int(first) + i) for first, i in zip(origin, index, strict=True))}]"


def check_rows(name: str, block: _Array, origin: Sequence[float], pseudocount: float, normalize: bool) -> None:
    """Raise for rows of a block that are no histograms, and name the first by its place in the whole argument."""
    matrix = Matrix(name, block.reshape(-1, block.shape[-1]))
    is_invalid = np.isnan(matrix.spread(pseudocount, normalize, 1))
    if is_invalid.any():
        first = int(np.argmax(is_invalid))
        index = [int(i) for i in np.unravel_index(first, block.shape[:-1])]
        where, row = name_of_row(name, index, origin), matrix.values[first]
        raise ValueError(describe_row(describe_invalid, where, row, is_invalid.reshape(block.shape[:-1]), False))


def describe_row(
    describe: Callable[..., str], where: str, row: _Array, is_invalid: npt.NDArray[np.bool_], is_weighted: bool
) -> str:
    """What is wrong with the first invalid row of a block, and how many there are."""
    found = describe(where, row, np.ones((), np.bool_), is_weighted)
    if not is_invalid.ndim:
        return found
    return f"{found} ({np.count_nonzero(is_invalid)} of {is_invalid.size} in its chunk are invalid)"


def refuse_at_once(options: dict[str, Any]) -> None:
    """Raise for options that ask for values while nothing is computed."""
    if options.get("out") is not None:
        raise TypeError("out is for results that are computed at once; `dask.array.store` writes those of dask")
    if options.get("progress"):
        raise TypeError("progress is for calls that compute at once; `dask.diagnostics.ProgressBar` shows that of dask")
