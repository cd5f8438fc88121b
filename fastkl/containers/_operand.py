"""What is found in containers: the numbers, their labels, and how to give results back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from fastkl.containers._labels import Labels

_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Operand:
    """One container that was opened."""

    array: _Array
    labels: tuple[Labels | None, ...]  # of each axis
    # Makes a container of results, whose rows have the labels or none. Where it is missing results are arrays.
    give: Callable[[Any, Labels | None], Any] | None = None
    is_joint: bool = False  # several axes of the user's are the bins

    def bin_labels(self, axis: int) -> Labels | None:
        """The labels of the bins, which are along ``axis``, counted from the end; or all that a 1-D array has."""
        if self.array.ndim == 1:
            return self.labels[0]
        return self.labels[axis] if self.array.ndim >= -axis else None

    def row_labels(self, axis: int) -> Labels | None:
        """The labels along the other axis of a 2-D array."""
        return self.labels[-3 - axis] if self.array.ndim == 2 and axis in (-1, -2) else None


class Opened(NamedTuple):
    """The arguments of a call, each an array."""

    arrays: list[_Array]
    axis: int  # of the bins, in the array with the most dimensions
    give: Callable[[Any], Any]  # makes of the results what the user gets
    # The end of a message: how the histogram of an argument that has the index is labelled.
    label: Callable[[str, tuple[int, ...]], str]


def check_real(what: str, is_real: bool, dtype: Any, hint: str = "") -> None:
    """Raise unless the numbers are real."""
    if not is_real:
        raise TypeError(f"{what} has dtype {dtype}; it must have real numbers: floats, integers or bools{hint}")


def refuse_lists(what: str) -> NoReturn:
    """Raise for a column of lists beside other columns."""
    raise ValueError(f"{what} has lists, not numbers; pass that column alone")


def refuse_missing(where: str, count: int) -> None:
    """Raise for values that are missing, ``count`` of them; the first is ``where``."""
    raise ValueError(f"{where} is missing ({count} in all); drop or fill what is missing first, 0 is an empty bin")


def place(name: str, shape: list[int], flat: int) -> str:
    """Where in an array of the name and shape the element is that has the number ``flat``."""
    return f"{name}[{', '.join(str(i) for i in np.unravel_index(flat, shape))}]"


def width_of(name: str, shape: list[int], lengths: npt.NDArray[Any]) -> int:
    """The length of lists that must all have the same; they are the elements of an array of the shape."""
    if len(lengths) == 0:
        return 0
    differs = lengths != lengths[0]
    if differs.any():
        i = int(np.argmax(differs))
        found = f"{lengths[i]} bin{'' if lengths[i] == 1 else 's'}"
        raise ValueError(
            f"{place(name, shape, i)} has {found}, {place(name, shape, 0)} has {lengths[0]}; all histograms must have"
            " the same number"
        )
    return int(lengths[0])
