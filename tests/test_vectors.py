"""The machine code of the loops: vectors as wide as they should be, one division for each, no call."""

import os
import re

import pytest

_COMPILE = """
import numba
from fastkl.kernels import _terms
from fastkl.kernels._sum import fill_ahead, sum_ahead

@numba.njit(error_model="numpy")
def compute(kind, t, x, y, a):
    return {loop}

kind, row = numba.typeof(_terms.{kind}()), numba.types.Array(numba.{real}, 1, "C")
compute.compile((kind, row, row, row, numba.{real}))
print(compute.inspect_asm(compute.signatures[0]))
"""
_CPUS = pytest.mark.parametrize(
    ("cpu", "register"), [("haswell", "ymm"), ("skylake-avx512", "ymm"), ("icelake-server", "zmm"), ("znver4", "zmm")]
)
_TERMS = pytest.mark.parametrize(
    ("kind", "real", "division", "divisions"), [("KL", "float64", "vdivpd", 1), ("JS", "float32", "vdivps", 2)]
)


@pytest.fixture
def code_of(run_python):
    """The machine code of a loop over the terms of a kind, for a CPU."""
    if os.uname().machine != "x86_64":
        pytest.skip("names registers of x86")

    def code_of(loop, kind, real, cpu):
        environment = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
        return run_python(_COMPILE.format(loop=loop, kind=kind, real=real), env=environment)

    return code_of


@_CPUS
@_TERMS
def test_loops_that_add_up(code_of, kind, real, division, divisions, cpu, register):
    code = code_of("sum_ahead(kind, x, y, x[:0], a, a, True, 0, 0)[0]", kind, real, cpu)
    loop = max((loop for loop in _loops(code) if division in loop), key=len)  # with both of its jumps back
    assert loop.count(division) == divisions * {"zmm": 2, "ymm": 4}[register]  # vectors for all lanes of a total
    assert set(re.findall(rf"{division}\s.*%(.mm)", loop)) == {register}
    assert "call" not in loop


@_CPUS
@_TERMS
def test_loops_that_write(code_of, kind, real, division, divisions, cpu, register):
    code = code_of("fill_ahead(kind, t, x, y, a, a, 0, 0)", kind, real, cpu)
    vectors = {"zmm": 1, "ymm": 2}[register] + 1  # those of a line, and what does not fill one
    assert re.findall(r"vdiv\w+\s.*%(.mm)", code) == [register] * divisions * vectors
    assert code.count(division) == divisions * vectors
    loop = max((loop for loop in _loops(code) if division in loop and "prefetch" in loop), key=len)
    assert loop.count(division) == divisions * (vectors - 1)
    assert loop.count("prefetch") == 2
    assert "call" not in loop


@pytest.mark.parametrize(("cpu", "steps"), [("haswell", 1), ("sapphirerapids", 1), ("znver4", 2), ("znver5", 2)])
def test_terms_that_divide_twice_come_in_two_steps_where_that_is_quick(code_of, cpu, steps):
    code = code_of("sum_ahead(kind, x, y, x[:0], a, a, True, 0, 0)[0]", "JS", "float64", cpu)
    loop = max((loop for loop in _loops(code) if "vdivpd" in loop), key=len)
    blocks = [block for block in re.split(r"^\.?L\w+:$", loop, flags=re.MULTILINE) if "vfmadd" in block]
    assert len(blocks) == steps
    assert sum("vdivpd" in block for block in blocks) == 1  # the other has the series


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
