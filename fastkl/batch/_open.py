"""Open what a run reads, and check all that can be before anything is computed."""

import contextlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import _check
from fastkl._operands import as_array
from fastkl.batch._allpairs import NearestKind, PairwiseKind
from fastkl.batch._arrays import ArrayIds, ArraySource, AxisSource
from fastkl.batch._beside import check_source_labels, read_beside
from fastkl.batch._errors import Refused
from fastkl.batch._fitted import FitKind
from fastkl.batch._job import Job
from fastkl.batch._kinds import ROW_FUNCTIONS, Kind, RowKind
from fastkl.batch._plan import memory_beside, memory_of, room_of
from fastkl.batch._protocols import Ids, Source, SourceError
from fastkl.batch.formats import open_source
from fastkl.batch.formats._checks import Reading
from fastkl.batch.formats._mapped import MappedSource

_Array = npt.NDArray[Any]
KINDS = (*ROW_FUNCTIONS, "pairwise", "nearest", "fit")
ON_INVALID = ("raise", "nan", "report")
_OF_RUN = ("out", "progress", "keepdims", "dim", "surface", "on_invalid")


def open_job(
    kind: str,
    p: Any,
    q: Any,
    files: ExitStack,
    *,
    memory: int | str,
    on_invalid: str,
    ids: Any,
    header: bool | None = None,
    show_progress: bool,
    options: Mapping[str, Any],
) -> Job:
    """Open what the run reads, to be closed with ``files``, and check all that can be before anything is computed."""
    _check.check_option("kind", kind, KINDS)
    _check.check_option("on_invalid", on_invalid, ON_INVALID)
    _check.check_threads(options.get("threads"))
    for name in _OF_RUN:
        if name in options:
            raise TypeError(f"{name} is no option of a run")
    budget, rest = memory_of(memory), dict(options)
    how = Reading(show_progress, room_of(budget), header)
    axis = rest.pop("axis", -1) if kind in ROW_FUNCTIONS else -1

    def opened(name: str, given: Any, wanted_ids: Any = None) -> Source:
        source: Source = _open(name, given, axis, wanted_ids, how)
        files.callback(source.close)
        return source

    names = ("x", "y") if kind in ("pairwise", "nearest") else ("p", "q")
    first = opened(names[0], p, ids)
    if kind == "fit":
        if q is not None:
            raise TypeError("a fit has no q")
        sources = {"p": first}
    elif kind == "pairwise" and q is None:
        sources = {"x": first, "y": opened("y", p, ids)}
    elif q is None:
        raise TypeError(f"{kind} needs {names[1]}, a file or an array beside {names[0]}")
    else:
        sources = {names[0]: first, names[1]: _open_second(opened, names[1], q, ids)}
    _check_fit_together(kind, sources)
    read_beside(rest, list(sources.values()))
    resolved = dict(rest)
    left = memory_beside(budget, sources.values())
    made = _kind(kind, sources, q is None, rest, left)
    return Job(made, sources, _ids(made.row_source, ids), ids is not None, on_invalid, budget, resolved)


def _kind(kind: str, sources: dict[str, Source], is_itself: bool, options: dict[str, Any], memory: int) -> Kind:
    first, last = next(iter(sources.values())), list(sources.values())[-1]
    if kind == "pairwise":
        return PairwiseKind(first, last, is_itself, options, memory)
    if kind == "nearest":
        return NearestKind(first, last, int(options.pop("k", 1)), options, memory)
    if kind == "fit":
        objective = options.pop("objective", "forward")
        objectives = ("forward", "reverse") if objective == "both" else (objective,)
        return FitKind(first, objectives, options.pop("grid", None), options)
    return RowKind(kind, first, last, options)


def _open(name: str, given: Any, axis: int, ids: Any, how: Reading) -> Source:
    if not isinstance(given, str | Path):
        array = as_array(given, name)
        if axis != -1 and array.ndim > 1:
            array = np.moveaxis(array, axis, -1)
        return ArraySource(name, array, None if ids is None or isinstance(ids, str) else ArrayIds(ids))
    source = open_source(given, ids=ids if isinstance(ids, str) else None, how=how)
    ndim = len(source.shape) + 1
    if axis == -1 or ndim == 1:
        return source
    try:
        if not -ndim <= axis < ndim:
            raise SourceError(f"axis {axis} is out of bounds: {source.name} has {ndim} dimension{'s' * (ndim > 1)}")
        if axis % ndim == ndim - 1:
            return source
        if not isinstance(source, MappedSource):
            raise Refused(f"{source.name} has its bins along the last axis; another axis is read from .npy alone")
    except BaseException:
        source.close()
        raise
    return AxisSource(source, axis % ndim)


def _open_second(opened: Callable[..., Source], name: str, given: Any, ids: Any) -> Source:
    if isinstance(ids, str):
        with contextlib.suppress(SourceError):  # it may have a column of that name, which is no bin, or none
            return opened(name, given, ids)
    return opened(name, given)


def _ids(source: Source, ids: Any) -> Ids | None:
    if ids is not None and not isinstance(ids, str):
        given = ArrayIds(ids)
        if given.count != source.rows:
            raise Refused(f"ids has {given.count} names; there are {source.rows} rows")
        return given
    return source.ids


def _check_fit_together(kind: str, sources: dict[str, Source]) -> None:
    """Raise unless the rows of two files can be compared."""
    first, last = next(iter(sources.values())), list(sources.values())[-1]
    if kind in ("pairwise", "nearest"):
        for source in sources.values():
            if len(source.shape) != 1:
                count = len(source.shape) + 1
                dimensions = f"{count} dimension{'s' * (count > 1)}"
                raise SourceError(f"{source.name} has {dimensions}; it must have two, a histogram a row")
    elif kind != "fit" and first.shape != last.shape and 1 not in (first.rows, last.rows):
        sizes = [" x ".join(map(str, source.shape)) for source in (first, last)]
        raise SourceError(
            f"{first.name} has {sizes[0]} histograms, {last.name} has {sizes[1]}; there must be as many in both, or"
            " one in one of them"
        )
    if first.bins != last.bins:
        number = f"{last.bins} bin{'s' * (last.bins != 1)}"
        raise SourceError(f"{last.name} has {number}, {first.name} has {first.bins}; numbers of bins must agree")
    for what in ("bin", "histogram"):
        check_source_labels(what, first, last)
