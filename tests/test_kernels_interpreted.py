"""The kernels as plain Python: what the interpreter computes is what the machine code computes."""

import os
import subprocess
import sys
from pathlib import Path

import kernel_cases
import numpy as np
from conftest import PACKAGE


def test_interpreted_kernels_agree_with_compiled_ones(tmp_path):
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, str(Path(kernel_cases.__file__)), str(tmp_path / "answers.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    compiled = dict(kernel_cases.cases())
    with np.load(tmp_path / "answers.npz") as interpreted:
        assert set(interpreted.files) == set(compiled)
        for label, answer in compiled.items():
            # Fused multiply-adds and the order of vector lanes are the machine code's own.
            tolerance = {"rtol": 1e-5, "atol": 1e-6} if answer.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-15}
            np.testing.assert_allclose(interpreted[label], answer, **tolerance, err_msg=label)
