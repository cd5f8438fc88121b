"""What is wrong with an argument, in one sentence."""

import math
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]
_BLOCK = 1 << 20  # bins looked at together


def check_option(name: str, value: Any, accepted: tuple[str, ...]) -> None:
    """Raise unless ``value`` is one of the accepted words."""
    if value not in accepted:
        words = " or ".join(repr(word) for word in accepted)
        raise ValueError(f"{name} must be {words}, not {value!r}")


def check_base(base: float | None) -> float:
    """The factor that turns nats into the unit of ``base``."""
    if base is None:
        return 1.0
    if not (base > 0 and base != 1 and math.isfinite(base)):
        raise ValueError(f"base must be a positive number other than 1, or None for nats, not {base!r}")
    return 1.0 / math.log(base)


def check_pseudocount(pseudocount: float) -> float:
    """``pseudocount`` as a float."""
    if not (pseudocount >= 0 and math.isfinite(pseudocount)):
        raise ValueError(f"pseudocount must be a finite number >= 0, not {pseudocount!r}")
    return float(pseudocount)


def check_threads(threads: int | None) -> None:
    """Raise unless ``threads`` is None or a whole number of at least 1."""
    if threads is not None and (not isinstance(threads, int | np.integer) or threads < 1):
        raise ValueError(f"threads must be None or a whole number >= 1, not {threads!r}")


def check_weights(weights: _Array) -> None:
    """Raise unless all weights are finite and >= 0."""
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"weights{list(where)} is {weights[where].item()!r}; weights must be finite and >= 0"
            f" ({np.count_nonzero(wrong)} of {weights.size} are not)"
        )


def raise_for_invalid(
    named: dict[str, _Array], normalize: bool, pseudocount: float, is_weighted: bool
) -> NoReturn:
    """Raise ValueError for the first invalid histogram: whose it is, where, what was found, how many there are."""
    for name, array in named.items():
        found = list(_invalid_histograms(array, normalize and pseudocount == 0))
        if found:
            index, reason = found[0]
            place = f"{name}[{', '.join(map(str, index))}]" if index else name
            total = math.prod(array.shape[:-1])
            count = f" ({len(found)} of {total} histograms of {name} are invalid)" if index else ""
            raise ValueError(f"{place} is not a histogram: {reason}{count}")
    what = "weighted total" if is_weighted else "total"
    raise ValueError(f"a histogram has a {what} of zero, which can't be normalised")


def _invalid_histograms(array: _Array, needs_total: bool) -> Iterator[tuple[tuple[int, ...], str]]:
    batch, bins = array.shape[:-1], array.shape[-1]
    for index in np.ndindex(*batch):
        row = array[index]
        reason = _first_bad_bin(row)
        if reason is None and needs_total and not any(row[i : i + _BLOCK].any() for i in range(0, bins, _BLOCK)):
            reason = "its total is zero, which can't be normalised" if bins else "it has no bins"
        if reason is not None:
            yield index, reason


def _first_bad_bin(row: _Array) -> str | None:
    for start in range(0, len(row), _BLOCK):
        block = row[start : start + _BLOCK]
        bad = ~(block >= 0) | ~np.isfinite(block)
        if bad.any():
            i = int(np.argmax(bad))
            return f"bin {start + i} is {block[i].item()!r}; bins must be finite and >= 0"
    return None
