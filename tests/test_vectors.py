"""The machine code of the loops: vectors as wide as they should be, one division for each, no call."""

import os
import re

import pytest

_COMPILE = """
import numba
from fastkl.kernels import _terms
from fastkl.kernels._sum import sum_ahead

@numba.njit(error_model="numpy")
def add_up(kind, x, y, a):
    return sum_ahead(kind, x, y, x[:0], a, a, True, 0, 0)[0]

kind, row = numba.typeof(_terms.{kind}()), numba.types.Array(numba.{real}, 1, "C")
add_up.compile((kind, row, row, numba.{real}))
print(add_up.inspect_asm(add_up.signatures[0]))
"""


@pytest.mark.parametrize(
    ("cpu", "register"), [("haswell", "ymm"), ("skylake-avx512", "ymm"), ("icelake-server", "zmm"), ("znver4", "zmm")]
)
@pytest.mark.parametrize(
    ("kind", "real", "division", "divisions"), [("KL", "float64", "vdivpd", 1), ("JS", "float32", "vdivps", 2)]
)
def test_loops_over_bins(run_python, kind, real, division, divisions, cpu, register):
    if os.uname().machine != "x86_64":
        pytest.skip("names registers of x86")
    environment = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    code = run_python(_COMPILE.format(kind=kind, real=real), env=environment)
    loop = max((loop for loop in _loops(code) if division in loop), key=len)  # with both of its jumps back
    assert loop.count(division) == divisions * {"zmm": 2, "ymm": 4}[register]  # vectors for all lanes of a total
    assert set(re.findall(rf"{division}\s.*%(.mm)", loop)) == {register}
    assert "call" not in loop


def _loops(code):
    """The text of each loop without a loop in it: from a label to the jump back to it."""
    lines = code.splitlines()
    labels = {line[:-1]: i for i, line in enumerate(lines) if re.fullmatch(r"\.?L\w+:", line)}
    jumps = ((re.match(r"\s*j\w+\s+(\.?L\w+)", line), i) for i, line in enumerate(lines))
    ends = [(labels[jump[1]], i) for jump, i in jumps if jump and labels.get(jump[1], i) < i]
    return [
        "\n".join(lines[first : last + 1])
        for first, last in ends
        if not any(first < start and end < last for start, end in ends)
    ]
