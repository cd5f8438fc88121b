"""The recipe for Spark, in a Spark of this machine: functions of record batches, and of columns in SQL."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

pyspark = pytest.importorskip("pyspark", reason="the extra `spark` is not installed")
pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")

ROOT = Path(__file__).parents[1]
PLACES = [ROOT, ROOT / "examples", Path(pyspark.__file__).parents[1]]
SPARK = """
import json
from functools import partial

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf

import fastkl
from arrow_udf import map_batches

address = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false"}
spark = SparkSession.builder.master("local[2]").config(map=address).getOrCreate()
REFERENCE = np.array([3.0, 1.0, 2.0, 4.0])
histograms = np.random.default_rng(3).integers(1, 50, (50, 4)).astype(float)


def frame_of(histograms):
    rows = [(f"row {k}", row) for k, row in enumerate(histograms.tolist())]
    return spark.createDataFrame(rows, "id string, histogram array<double>").repartition(3)


def mapped(histograms):
    against = partial(map_batches, reference=REFERENCE)
    return frame_of(histograms).mapInArrow(against, "id string, kl double, js double, psi double").collect()


@pandas_udf("double")
def kl(histograms: pd.Series) -> pd.Series:
    return fastkl.kl_divergence(histograms, REFERENCE, threads=1)


spark.udf.register("kl", kl)
frame_of(histograms).createOrReplaceTempView("days")
chosen = spark.sql("select id, kl(histogram) as d from days where kl(histogram) > 0.1").collect()
try:
    mapped(np.vstack([histograms, [[1, -2, 3, 4]]]))
    said = "nothing"
except Exception as error:
    said = str(error)
found = {"mapped": {row.id: row[1:] for row in mapped(histograms)}, "sql": {row.id: row.d for row in chosen}}
print(json.dumps({**found, "said": said}))
"""


def test_the_recipe_in_spark(run_python):
    environment = {"PYTHONPATH": os.pathsep.join(map(str, PLACES)), "PYSPARK_PYTHON": sys.executable}
    found = json.loads(run_python(SPARK, env=environment, timeout=300).splitlines()[-1])
    p, q = np.random.default_rng(3).integers(1, 50, (50, 4)), np.array([3.0, 1.0, 2.0, 4.0])
    kl, js = entropy(p, q[None], axis=1), jensenshannon(p, q[None], axis=1) ** 2
    expected = np.stack([kl, js, kl + entropy(q[None], p, axis=1)], axis=1)
    names = [f"row {k}" for k in range(50)]
    np.testing.assert_allclose([found["mapped"][name] for name in names], expected, rtol=1e-12)
    assert found["sql"].keys() == {name for name, value in zip(names, kl, strict=True) if value > 0.1}
    for name, value in found["sql"].items():
        assert value == found["mapped"][name][0]
    assert "is not a histogram: bin 1 is -2.0; bins must be finite and >= 0" in found["said"]
