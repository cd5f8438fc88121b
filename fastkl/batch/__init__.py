"""Runs over files of any size: in bounded memory, resumable, and with a result that is complete or absent.

`run` reads histograms from .npy, .npz, .csv, .zarr, .h5, .parquet, .arrow or .feather, or takes arrays, computes block
by block while it reads others, and writes any of those formats. The commands ``fastkl kl``, ``pairwise``, ``nearest``
and ``fit`` are runs.

===========  ==========================================================================================================
`_run`       the loop, and what is kept when it ends early
`_open`      files opened and compared, options checked
`_job`       blocks computed two at a time, or while the next is read
`_kinds`     divergences of rows; `_allpairs`: pairwise and nearest; `_fitted`: fits
`_beside`    weights, edges and points in files
`_plan`      how many rows make a block; `_pace`: fewer where they are slow
`_journal`   the state beside the target; `_kept`: its files; `_facts`: what must not change; `_lock`: one run at a time
`_finished`  the note of a run that is complete
`_layout`    results as columns of a file; `_finish`: that file and its name
`_report`    summary and progress
`_advice`    what the system is told of parts of files
`_arrays`    arrays in memory, and other axes, as files
`formats`    files, a module each, behind the protocols of `_protocols`
===========  ==========================================================================================================
"""

from fastkl.batch._errors import Interrupted, InvalidHistogram, Refused
from fastkl.batch._report import Progressed, Summary
from fastkl.batch._run import run

__all__ = ["Interrupted", "InvalidHistogram", "Progressed", "Refused", "Summary", "run"]
