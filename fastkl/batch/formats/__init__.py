"""Files of histograms and of results: a module for each format, and the tables from suffix to format.

A further format is a module here, and a line in each table of `_open.py`. A reader is called after its format, a writer
`_write_` and its format. Readers share `_checks.py`, `_mapped.py`, `_across.py` for rows that lie across a file,
`_chunked.py` for arrays in chunks, and `_unpacked.py` for what is unpacked to a file; writers `_sink.py`, `_target.py`
and `_write_arrays.py`.
"""

from fastkl.batch.formats._open import WITH_IDS, can_read, can_write, carries_ids, open_sink, open_source, split_name

__all__ = ["WITH_IDS", "can_read", "can_write", "carries_ids", "open_sink", "open_source", "split_name"]
