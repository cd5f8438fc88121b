"""What must be the same for a run to go on: version, kind, options, files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastkl
from fastkl.batch._errors import Refused
from fastkl.batch._job import Job
from fastkl.batch._protocols import SourceError
from fastkl.batch.formats import split_name
from fastkl.batch.formats._checks import stamp

_NO_FACTS = ("threads",)  # on which no bit of the result depends


def facts_of(kind: str, job: Job, options: Mapping[str, Any]) -> dict[str, Any]:
    """By the names that messages use; as JSON gives them back.

    >>> _plain("weights", [1.0, 2.0])
    '(2,) float64 dc91ce9a50ddc828'
    """
    facts: dict[str, Any] = {"the version of fastkl": fastkl.__version__, "kind": kind}
    facts |= {
        name: _plain(name, value) for name, value in options.items() if value is not None and name not in _NO_FACTS
    }
    facts["ids"] = job.ids.name if job.ids is not None else None
    for name, identity in job.identities().items():
        facts |= {f"the {key} of {name}": value for key, value in identity.items()}
    same: dict[str, Any] = json.loads(json.dumps(facts))
    return same


def stamps_of(inputs: Sequence[Any]) -> dict[str, dict[str, str | int]]:
    """What tells each file among the inputs from itself after a change, before it is opened."""
    paths = [split_name(given)[0] for given in inputs if isinstance(given, str | Path)]
    return {str(path.absolute()): stamp(path) for path in paths if path.exists()}


def check_stamps(before: dict[str, dict[str, str | int]], identities: Mapping[str, Mapping[str, str | int]]) -> None:
    """Raise where a file was changed while it was opened, which for text means read."""
    for identity in identities.values():
        first = before.get(str(identity.get("path")))
        if first is not None and any(first[key] != identity[key] for key in first):
            raise SourceError(f"{identity['path']} was changed while it was opened")


def check_same(target: Path, was: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise unless a run is to go on with what it began with."""
    for name in sorted({*was, *now}):
        before, after = was.get(name), now.get(name)
        if before == after or (name == "on_invalid" and before == "raise"):  # no invalid row was met till now
            continue
        raise Refused(
            f"the unfinished run to {target} can't be resumed: {name} was {before!r} and is {after!r};"
            " force=True without resume=True discards it and begins anew"
        )


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
