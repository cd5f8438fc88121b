"""Arrays of options that are given as files: weights, and where the bins of a fit are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import Source, SourceError
from fastkl.batch.formats import open_source
from fastkl.containers._labels import check_labels
from fastkl.fitting._axis import axis_of

_Array = npt.NDArray[Any]
NAMES = ("weights", "edges", "points")


def read_beside(options: dict[str, Any], sources: Sequence[Source]) -> None:
    """Put arrays in the place of the names of files."""
    for name in NAMES:
        if isinstance(given := options.get(name), str | Path):
            options[name] = _weights(Path(given), sources) if name == "weights" else _axis(name, Path(given))


def check_source_labels(what: str, first: Source, last: Source) -> None:
    """Raise unless the columns of two files have the same names, where both have some."""
    labels = [getattr(source, f"{what}_labels", None) for source in (first, last)]
    if labels[0] is not None and labels[1] is not None:
        check_labels(what, first.name, labels[0], last.name, labels[1], "remove a header")


def _weights(path: Path, sources: Sequence[Source]) -> _Array:
    """The weights in a file, one for each bin."""
    file, weights = _read(path)
    if max(weights.shape) != weights.size:
        raise SourceError(f"{path} has shape {weights.shape}; weights are one row, a number for each bin")
    for source in sources:
        if (count := weights.size) != source.bins:
            raise SourceError(f"{path} has {count} weight{'s' * (count != 1)}, {source.name} has {source.bins} bins")
        check_source_labels("bin", source, file)
    return weights.ravel()


def _axis(name: str, path: Path) -> _Array:
    """The edges or points in a file, in a row or in a column."""
    _, values = _read(path)
    if sum(length != 1 for length in values.shape) > 1:
        raise SourceError(f"{path} has shape {values.shape}; it must be one row of numbers, or one column")
    axis = {"edges": None, "points": None, name: values.ravel()}
    try:  # what is wrong with it is said of the file
        axis_of(axis["edges"], axis["points"])
    except (ValueError, TypeError) as error:
        raise SourceError(f"{path}: {error}") from None
    return values.ravel()


def _read(path: Path) -> tuple[Source, _Array]:
    file = open_source(path)
    try:
        return file, np.array(file.read(0, file.rows)).reshape(*file.shape, file.bins)
    finally:
        file.close()
