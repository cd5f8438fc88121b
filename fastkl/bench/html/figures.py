"""The figures of a file that `fastkl bench --json` wrote, checked before anything is made of them."""

import json
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn

_Kinds = dict[str, tuple[type, ...]]
_NUMBER, _MAYBE = (int, float), (int, float, NoneType)

_SESSION: _Kinds = {
    "date": (str,), "machine": (dict,), "scale": _NUMBER, "seconds": _NUMBER, "threads": (int,), "jobs": (list,),
}  # fmt: skip
_MACHINE: _Kinds = {
    "cpu": (str,), "cpus": (int,), "caches": (str,), "memory_gb": _NUMBER, "system": (str,), "python": (str,),
    "versions": (dict,),
}  # fmt: skip
_JOB: _Kinds = {
    "name": (str,), "about": (str,), "rows": (int,), "bins": (int,), "dtype": (str,), "normalize": (bool,),
    "axis": (int,), "unit": (str,), "threads": (int,), "reference": (str,), "others": _MAYBE, "lines": (list,),
    "figures": (list,), "curve": (dict, NoneType),
}  # fmt: skip
_CURVE: _Kinds = {"variable": (str,), "unit": (str,), "per_item": _NUMBER, "marks": (list,), "notes": (list,)}
_MARK: _Kinds = {"at": (int,), "label": (str,)}
_LINE: _Kinds = {
    "name": (str,), "note": (str,), "best": _MAYBE, "median": _MAYBE, "rounds": (int,), "floor_ratio": _MAYBE,
    "scipy_ratio": _MAYBE, "error": _MAYBE, "at": (int, NoneType),
}  # fmt: skip
_ADDED = {"curve", "at"}  # are not in older files, which have no curves
_FIGURE: _Kinds = {
    "name": (str,), "value": _MAYBE, "bound": _NUMBER, "aim": _MAYBE, "at_most": (bool,), "at_best": _MAYBE,
}  # fmt: skip
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object",
          list: "a list", NoneType: "null"}  # fmt: skip


def read_sessions(path: Path) -> list[dict[str, Any]]:
    """The session in a file, or those of a page's figures.json; `CommandError` says where there is something else."""
    from fastkl.cli._command import CommandError

    try:
        stored = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        sessions = stored if isinstance(stored, list) else [stored]
        if not sessions:
            raise ValueError("it is an empty list, expected at least one session")
        for session in sessions:
            check_session(session)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} is no JSON: {error}") from None
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{path} does not hold what `fastkl bench --json` writes: {error}") from None
    return sessions


def check_session(session: Any) -> None:
    """Raise ValueError with the place of the first value that is missing or of another kind.

    What older versions did not write is added: null.
    """
    _check(session, _SESSION, "the session")
    _check(session["machine"], _MACHINE, "machine")
    for name, version in session["machine"]["versions"].items():
        _check({name: version}, {name: (str,)}, "machine.versions")
    if not session["jobs"]:
        raise ValueError("jobs is an empty list, expected at least one job")
    for i, job in enumerate(session["jobs"]):
        _check(job, _JOB, f"jobs[{i}]")
        for j, figure in enumerate(job["figures"]):
            _check(figure, _FIGURE, f"jobs[{i}].figures[{j}]")
        for j, line in enumerate(job["lines"]):
            _check(line, _LINE, f"jobs[{i}].lines[{j}]")
            _check_range(line, f"jobs[{i}].lines[{j}]")
        _check_curve(job, f"jobs[{i}]")


def _check_curve(job: dict[str, Any], place: str) -> None:
    for j, line in enumerate(job["lines"]):
        if line["at"] is not None and job["curve"] is None:
            raise ValueError(f"{place}.lines[{j}].at is {line['at']}, expected null in a job that has no curve")
        if line["at"] is not None and line["at"] < 1:
            raise ValueError(f"{place}.lines[{j}].at is {line['at']}, expected a whole number above zero")
    if (curve := job["curve"]) is None:
        return
    _check(curve, _CURVE, f"{place}.curve")
    if not curve["per_item"] > 0:
        raise ValueError(f"{place}.curve.per_item is {curve['per_item']}, expected a number above zero")
    for j, mark in enumerate(curve["marks"]):
        _check(mark, _MARK, f"{place}.curve.marks[{j}]")
    for j, note in enumerate(curve["notes"]):
        _check({str(j): note}, {str(j): (str,)}, f"{place}.curve.notes")


def _check(value: Any, kinds: _Kinds, place: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{place} is {_shown(value)}, expected an object")
    for key, accepted in kinds.items():
        if key not in value and key in _ADDED:
            value[key] = None
        if key not in value:
            raise ValueError(f"{place} has no {key}")
        if type(value[key]) not in accepted:
            words = " or ".join(_WORDS[kind] for kind in accepted if kind is not int or float not in accepted)
            raise ValueError(f"{place}.{key} is {_shown(value[key])}, expected {words}")


def _check_range(line: dict[str, Any], place: str) -> None:
    if (line["best"] is None) != (line["median"] is None):
        raise ValueError(f"{place} has a best time or a median, expected both or neither")
    for key in ("best", "median"):
        if line[key] is not None and not line[key] > 0:
            raise ValueError(f"{place}.{key} is {line[key]}, expected a time above zero")
    if line["error"] is not None and line["error"] < 0:
        raise ValueError(f"{place}.error is {line['error']}, expected an error of zero or more")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it has {constant}, which is no number")
