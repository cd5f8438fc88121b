"""The one place that knows other libraries' containers: pandas, polars, pyarrow, xarray, UHI histograms, tensors.

A library is imported only where an object of it is passed, by the module here that reads it.
"""

from fastkl.containers._open import open_containers

__all__ = ["open_containers"]
