"""What must be the same for a run to go on: version, kind, options, files."""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import fastkl
from fastkl.batch._arrays import ArrayIds
from fastkl.batch._job import Job
from fastkl.batch._kinds import ROW_FUNCTIONS
from fastkl.batch._protocols import SourceError
from fastkl.batch.formats import split_name
from fastkl.batch.formats._checks import stamp
from fastkl.fits import fit
from fastkl.pairs import nearest, pairwise

Identities = Mapping[str, Mapping[str, str | int]]  # what the files are, by their names as arguments
FUNCTIONS: dict[str, Callable[..., Any]] = {**ROW_FUNCTIONS, "pairwise": pairwise, "nearest": nearest, "fit": fit}
_NO_FACTS = ("threads",)  # on which no bit of the result depends
_WORDS = {"mtime_ns": "time of change", "size": "size in bytes"}


def facts_of(kind: str, job: Job, identities: Identities, options: Mapping[str, Any]) -> dict[str, Any]:
    """By the names that messages use; as JSON gives them back. An option that is the function's default is none.

    >>> _plain("weights", [1.0, 2.0])
    '(2,) float64 dc91ce9a50ddc828'
    """
    defaults = inspect.signature(FUNCTIONS[kind]).parameters
    facts: dict[str, Any] = {"the version of fastkl": fastkl.__version__, "kind": kind}
    for name, value in options.items():
        default = defaults[name].default if name in defaults and name != "on_invalid" else None
        if name not in _NO_FACTS and (plain := _plain(name, value)) is not None and plain != default:
            facts[name] = plain
    if job.ids is not None:
        facts["ids"] = job.ids.digest if isinstance(job.ids, ArrayIds) else job.ids.name
    for name, identity in identities.items():
        facts |= {f"the {_WORDS.get(key, key)} of {name}": value for key, value in identity.items()}
    same: dict[str, Any] = json.loads(json.dumps(facts))
    return same


def stamps_of(inputs: Sequence[Any]) -> dict[str, dict[str, str | int]]:
    """What tells each file among the inputs from itself after a change, before it is opened."""
    paths = [split_name(given)[0] for given in inputs if isinstance(given, str | Path)]
    return {str(path.absolute()): stamp(path) for path in paths if path.exists()}


def check_stamps(before: Identities, identities: Identities) -> None:
    """Raise where a file was changed while it was opened, which for text means read."""
    for identity in identities.values():
        first = before.get(str(identity.get("path")))
        if first is not None and any(first[key] != identity[key] for key in first):
            raise SourceError(f"{identity['path']} was changed while it was opened")


def difference(was: dict[str, Any], now: dict[str, Any]) -> str | None:
    """What differs between a run and another that is to be the same, in words; None where nothing does."""
    for name in sorted({*was, *now}):
        before, after = was.get(name), now.get(name)
        if before != after and not (name == "on_invalid" and before == "raise"):  # no invalid row was met then
            return f"{name} was {_shown(name, before)} and is {_shown(name, after)}"
    return None


def _shown(name: str, value: Any) -> str:
    if name.startswith(f"the {_WORDS['mtime_ns']}") and isinstance(value, int):
        moment = datetime.fromtimestamp(value // 10**9).astimezone()
        return f"{moment:%Y-%m-%d %H:%M:%S}.{value % 10**9:09d}"
    return repr(value)


def _plain(name: str, value: Any) -> Any:
    """A value as JSON has it: of arrays a digest."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(name, item) for key, item in sorted(value.items())}
    if isinstance(value, np.dtype | type):
        return str(np.dtype(value))
    if hasattr(value, "dist"):  # a frozen distribution
        return [value.dist.name, _plain(name, list(value.args)), _plain(name, value.kwds)]
    if isinstance(getattr(value, "name", None), str):
        return value.name
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} is a {type(value).__name__}; a run takes numbers, text and arrays of numbers")
    if array.ndim == 0:
        return array.item()
    return f"{array.shape} {array.dtype} {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]}"
