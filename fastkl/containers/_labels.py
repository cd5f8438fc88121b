"""Labels of bins and of rows: where two arguments have them, they must agree."""

from typing import Any

import numpy as np

# Anything with a length and items: an index of pandas, names of columns, the bins of axes.
Labels = Any


def check_labels(
    what: str, p_name: str, p: Labels, q_name: str, q: Labels, without_labels: str = "pass arrays"
) -> None:
    """Raise unless ``p`` and ``q`` are the same labels in the same order; their number is not looked at."""
    if len(p) != len(q) or _are_equal(p, q):
        return
    for i in range(len(p)):
        if not is_same(p[i], q[i]):
            raise ValueError(
                f"{p_name} and {q_name} must have the same {what} labels in the same order: {what} {i} is"
                f" {spell(p[i])} in {p_name} and {spell(q[i])} in {q_name}; reorder one of them, or"
                f" {without_labels} to compare by position"
            )


def is_same(a: Any, b: Any) -> bool:
    """True for equal labels; NaN is equal to NaN."""
    return bool(a is b or a == b or (a != a and b != b))


def spell(label: Any) -> str:
    """A label in a message."""
    return repr(label.item() if isinstance(label, np.generic) else label)


def _are_equal(p: Labels, q: Labels) -> bool:
    # In one go; labels of two types may still be equal one by one.
    if hasattr(p, "equals"):
        return bool(p.equals(q))
    return type(p) is type(q) and bool(p == q)
