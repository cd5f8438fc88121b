"""The comparison page: what `fastkl bench --json` wrote, as a folder to open in a browser, offline.

::

    figures   reads and checks the JSON             words    numbers and names as people read them
    charts    what each chart shows, and in words   tables   the tables, which hold every figure
    page      puts the page together                markup   elements whose text is escaped
    folder    writes all of it, or nothing          static   template, style, script, the chart library and its licence
"""

from fastkl.bench.html.figures import read_sessions
from fastkl.bench.html.folder import check_folder, write_page

__all__ = ["check_folder", "read_sessions", "write_page"]
