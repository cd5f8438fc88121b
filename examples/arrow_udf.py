"""Divergences of histograms in Spark, Ray and whatever else hands over record batches of Arrow.

A column of lists has a histogram a row, a row of the result has the other columns and those of the divergences. The
batches are computed in place, a few hundred million bins a second on each core: the cluster's time goes into reading.

Spark, with the histograms in a column of type ``array<double>`` (or of any other type of numbers)::

    from functools import partial
    import numpy as np
    from arrow_udf import map_batches

    rows = [("a", [8.0, 1.0, 1.0]), ("b", [1.0, 8.0, 1.0])]
    frame = spark.createDataFrame(rows, "id string, histogram array<double>")
    against = partial(map_batches, reference=np.array([1.0, 1.0, 1.0]))
    frame.mapInArrow(against, "id string, kl double, js double, psi double").show()

As a function of columns, which stands in SQL too::

    from pyspark.sql.functions import pandas_udf

    @pandas_udf("double")
    def kl(histograms: pd.Series) -> pd.Series:
        return fastkl.kl_divergence(histograms, reference, threads=1)

    frame.select("id", kl("histogram"))

Ray, from Parquet to Parquet::

    against = partial(with_divergences, reference=reference)
    ray.data.read_parquet("histograms/").map_batches(against, batch_format="pyarrow").write_parquet("divergences/")

What to know:

- fastkl and this file are installed where the workers are: ``pip install 'fastkl[arrow]'``, for functions of columns
  pandas too (``fastkl[spark]`` is all, with Spark, which wants Java 17 or later);
  ``spark.sparkContext.addPyFile("arrow_udf.py")`` sends a file along.
- Each task has one thread, ``threads=1``: Spark and Ray start as many tasks as there are cores.
- Kernels are compiled by the first batch of a machine and kept on its disk. Where the workers' home can't be written,
  set ``NUMBA_CACHE_DIR`` to a folder that can, or each Python process spends seconds on it.
- A histogram that is none ends the job with an error that names its row in the batch; with ``on_invalid="nan"`` its
  divergences are NaN. A row without a histogram, null, is an error in any case.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

import fastkl

DIVERGENCES = {"kl": fastkl.kl_divergence, "js": fastkl.js_divergence, "psi": fastkl.psi}


def with_divergences(batch: Any, reference: Any, column: str = "histogram", **options: Any) -> Any:
    """A RecordBatch or Table with its column of histograms replaced by their divergences from a reference.

    Parameters
    ----------
    batch : pyarrow.RecordBatch or pyarrow.Table
        One that has a column of lists of equal lengths.
    reference : array_like of shape (bins,), or str
        The histogram that all are compared with, or the name of a column that has one for each row.
    column : str
        The column of histograms.
    **options
        Those of `fastkl.kl_divergence`, such as ``pseudocount`` and ``on_invalid``.

    Examples
    --------
    >>> import pyarrow as pa
    >>> batch = pa.record_batch({"id": ["a", "b"], "histogram": [[8, 1, 1], [1, 1, 1]]})
    >>> with_divergences(batch, [1, 1, 1]).to_pylist()
    [{'id': 'a', 'kl': 0.459..., 'js': 0.115..., 'psi': 0.970...}, {'id': 'b', 'kl': 0.0, 'js': 0.0, 'psi': 0.0}]
    """
    histograms, others = batch.column(column), [column]
    if isinstance(reference, str):
        others.append(reference)
        reference = batch.column(reference)
    result = batch.drop_columns(others)
    for name, divergence in DIVERGENCES.items():
        # An empty batch doesn't say how many bins its histograms have.
        values = divergence(histograms, reference, threads=1, **options) if len(histograms) else np.empty(0)
        result = result.append_column(name, pa.array(values, pa.float64()))
    return result


def map_batches(
    batches: Iterable[pa.RecordBatch], reference: Any, column: str = "histogram", **options: Any
) -> Iterator[pa.RecordBatch]:
    """`with_divergences` of batches that come one by one, as Spark's ``mapInArrow`` has them."""
    for batch in batches:
        yield with_divergences(batch, reference, column, **options)
