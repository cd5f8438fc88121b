"""Numbers as labels."""

import math
from collections.abc import Iterable

_DIGITS, _DIVERGENCE_DIGITS = 5, 6
_LINE = 76  # characters of a legend


def divergence_name(objective: str | float) -> str:
    """What is minimised, as a formula."""
    if isinstance(objective, str):
        return {"forward": "KL(P‖Q)", "reverse": "KL(Q‖P)"}[objective]
    return f"D(P‖Q; alpha = {objective:g})"


def divergence_text(objective: str | float, value: float) -> str:
    """A divergence with its unit."""
    return f"{divergence_name(objective)} = {nats(value)}"


def nats(value: float) -> str:
    """A divergence to six digits."""
    return f"{value:.{_DIVERGENCE_DIGITS}g} nats"


def parameter_text(name: str, value: float, span: float) -> str:
    """A parameter to five digits; one of location to those that can be seen on an axis as long as ``span``."""
    if not name.startswith("loc") or not math.isfinite(span) or span <= 0:
        return f"{name} = {value:.{_DIGITS}g}"
    decimals = _DIGITS - 1 - math.floor(math.log10(span))
    rounded = round(value, decimals) + 0.0  # no negative zero
    text = f"{rounded:.{max(decimals, 0)}f}"
    return f"{name} = {text.rstrip('0').rstrip('.') if '.' in text else text}"


def wrapped(start: str, parts: Iterable[str]) -> str:
    """``start: part, part, ...``, in lines of a length that a legend has room for."""
    lines = [start + ":"]
    for k, part in enumerate(parts):
        piece = part if k == 0 else ", " + part
        if len(lines[-1]) + len(piece) + 1 <= _LINE:
            lines[-1] += " " + piece if k == 0 else piece
        else:
            lines[-1] += "," * (k > 0)
            lines.append("   " + part)
    return "\n".join(lines)
