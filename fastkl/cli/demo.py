"""`fastkl demo`: the main job on made-up data, against SciPy; and what both directions of KL fit, in pictures."""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import __version__, kernels
from fastkl._check import check_threads
from fastkl._threads import available_cpus, for_each_chunk
from fastkl.cli._command import UsageError, number
from fastkl.cli._results import check_target, complete_or_absent
from fastkl.cli._story import Story, cells, make_story
from fastkl.cli._story_batch import Timed, description, time_fits
from fastkl.cli._story_timing import timed
from fastkl.rowwise import kl_divergence

ROWS, BINS = 300_000, 256
# Enough rows to be past most caches, which would flatter fastkl; few enough for SciPy to do them several times.
SCIPY_ROWS = 20_000
SHOWN_ROWS = 5
_REPEATS = 5
_ROWS_PER_FIT = 3  # a fit is more work than a divergence
PAGE, PICTURES = "index.html", ("1-target.png", "2-forward.png", "3-reverse.png", "4-summary.png")

_Array = npt.NDArray[np.float64]

_DESCRIPTION = """\
Makes a batch of random histograms, computes the KL divergence of each from its partner, does a part of them
by scipy.stats.entropy too, and shows the first answers, the largest difference and how long both took.

Then it tells the textbook's story of the two directions of KL: normal distributions fitted to a histogram of two
modes, as four pictures and one page of HTML (which need matplotlib), and fits of many such histograms."""

_EXAMPLES = f"""\
examples:
  fastkl demo                  {ROWS:,} pairs of {BINS} bins: some seconds, {2 * ROWS * BINS * 8 / 1e9:.1f} GB
  fastkl demo --rows 20000     the same where memory is short
  fastkl demo --threads 1      the speed of one thread
  fastkl demo --out pictures   the page is pictures/{PAGE}
  fastkl demo --no-story       divergences alone
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much to do, on how many threads."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    count = number(int, _check_rows, "a whole number >= 1")
    add("--rows", type=count, default=ROWS, metavar="N", help=f"pairs of histograms (default: {ROWS:,})")
    count = number(int, check_threads, "a whole number >= 1")
    add("--threads", type=count, metavar="N", help="the most threads to use (default: all CPUs)")
    add("--out", type=Path, default=Path("fastkl-demo"), metavar="DIR", help="of the pictures (default: fastkl-demo)")
    add("--force", action="store_true", help="replace files in DIR")
    add("--no-story", dest="story", action="store_false", help="no fits and no pictures")


def run(args: argparse.Namespace) -> int:
    """Make, compute, compare, and say so step by step."""
    threads = args.threads or available_cpus()
    draws = args.story and _has_matplotlib()
    if draws:
        _check_folder(args.out, args.force)
    _say(f"fastkl {__version__}: the divergence KL(P||Q) of {args.rows:,} pairs of histograms\n")
    p, q = _make(args.rows, threads)
    answers = _compute(p, q, threads)
    part = slice(0, SCIPY_ROWS)
    _compare_with_scipy(p[part], q[part], answers[part], threads)
    if args.story:
        del p, q
        story = make_story(threads)
        _tell(story, args.out / PAGE if draws else None)
        fits = _fit_many(-(-args.rows // _ROWS_PER_FIT), threads)
        if draws:
            _write_page(story, fits, args.out, args.force)
    return 0


def _make(rows: int, threads: int) -> tuple[_Array, _Array]:
    seconds, (p, q) = timed(lambda: tuple(_histograms(rows, seed, threads) for seed in (0, 1)))
    size = f"{rows:,} x {BINS} bins each, float64, {(p.nbytes + q.nbytes) / 1e9:.2f} GB together"
    _say(f"  data        {size}")
    _say(f"              gamma-distributed, seeds 0 and 1, made in {seconds:.1f} s")
    return p, q


def _compute(p: _Array, q: _Array, threads: int) -> _Array:
    seconds, _ = timed(lambda: kl_divergence(p[:2], q[:2]))
    _say(f"  first call  {seconds * 1e3:.0f} ms on 2 rows: {_where_kernels_came_from()}")
    seconds, answers = min((timed(lambda: kl_divergence(p, q, threads=threads)) for _ in range(3)), key=_seconds)
    rate = (p.nbytes + q.nbytes) / seconds / 1e9
    _say(f"  all rows    {seconds * 1e3:.1f} ms on {threads} thread{'s' * (threads > 1)}, best of 3")
    _say(f"              {seconds / p.size * 1e9:.2f} ns per bin, {rate:.1f} GB/s")
    return np.asarray(answers)


def _compare_with_scipy(p: _Array, q: _Array, answers: _Array, threads: int) -> None:
    from scipy.stats import entropy  # half a second that no other command should pay

    runs = [
        # In turns, so that a slow moment of the machine strikes both.
        (timed(lambda: kl_divergence(p, q, threads=threads)), timed(lambda: entropy(p, q, axis=1)))
        for _ in range(_REPEATS)
    ]
    ours, theirs = (min(map(_seconds, column)) for column in zip(*runs, strict=True))
    by_scipy = runs[0][1][1]
    _say("\nThe first answers, in nats:\n")
    _say("  row  fastkl.kl_divergence  scipy.stats.entropy")
    for row, (a, b) in enumerate(zip(answers[:SHOWN_ROWS].tolist(), by_scipy.tolist(), strict=False)):
        _say(f"  {row:>3}  {a!r:<20}  {b!r}")
    _say(f"\nThe first {len(p):,} rows by both, best of {_REPEATS} in turns:\n")
    _say(f"  fastkl.kl_divergence  {ours / p.size * 1e9:6.2f} ns per bin")
    _say(f"  scipy.stats.entropy   {theirs / p.size * 1e9:6.2f} ns per bin, {theirs / ours:.1f} times as long")
    _say(f"  largest relative difference of the answers: {np.max(np.abs(answers - by_scipy) / by_scipy):.1e}")


def _tell(story: Story, page: Path | None) -> None:
    _say("\nForward and reverse: normal distributions fitted to P = (N(0, 1) + N(10, 1)) / 2\n")
    _say("  fit                      mu   sigma  KL(P||Q)   KL(Q||P)")
    for row in story.rows:
        name, mu, sigma, forward, reverse = cells(row)
        _say(f"  {name:<19}{mu:>8}  {sigma}  {forward:>9}  {reverse:>9}")
    _say("\n  The least KL(P||Q) covers both modes, the least KL(Q||P) takes one of them: ln 2 = 0.693147.")
    if page is None:
        _say("  Pictures are left out, they need matplotlib: pip install 'fastkl[plot]'")
    else:
        _say(f"  Pictures: {page}, when the fits below are done")


def _fit_many(rows: int, threads: int) -> Timed:
    _say(f"\nFits of {description(rows)}\n")
    fits = time_fits(rows, threads)
    for name, seconds in fits.seconds.items():
        _say(f"  {name}  {seconds:.2f} s, {fits.rows / seconds:,.0f} histograms per second")
    _say(f"  SciPy    {fits.scipy_text}")
    _say("           by scipy.special.rel_entr(...).sum(1) over a table of the distributions, the grid alone")
    _say(f"  largest relative difference of the divergences on the grid: {fits.difference:.1e}")
    return fits


def _write_page(story: Story, fits: Timed, folder: Path, force: bool) -> None:
    from fastkl.cli._story_figures import draw_figures
    from fastkl.cli._story_page import page

    figures = draw_figures(story)
    folder.mkdir(exist_ok=True)
    contents = [*(figure.png for figure in figures), page(story, figures, fits).encode()]
    for name, content in zip((*PICTURES, PAGE), contents, strict=True):
        with complete_or_absent(folder / name, force) as file:
            file.write(content)


def _check_folder(folder: Path, force: bool) -> None:
    """Refuse what can't be written before anything is computed."""
    if folder.is_dir():
        for name in (*PICTURES, PAGE):
            check_target(folder / name, force)
    elif os.path.lexists(folder):
        raise UsageError(f"{folder} is not a folder")
    else:
        check_target(folder, force)


def _has_matplotlib() -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def _check_rows(rows: int) -> None:
    if rows < 1:
        raise ValueError


def _histograms(rows: int, seed: int, threads: int) -> _Array:
    """Random histograms that depend on the seed alone: each chunk of rows has a generator of its own."""
    histograms = np.empty((rows, BINS))
    chunk = 1 << 12
    seeds = np.random.SeedSequence(seed).spawn(-(-rows // chunk))

    def fill(k: int) -> None:
        np.random.default_rng(seeds[k]).standard_gamma(2.0, out=histograms[k * chunk : (k + 1) * chunk])

    for_each_chunk(fill, len(seeds), threads)
    return histograms


def _where_kernels_came_from() -> str:
    stats = getattr(kernels.rows, "stats", None)
    if stats is not None and stats.cache_hits:
        return "reads compiled kernels from disk, once in a process"
    kept = stats is not None and stats.cache_path is not None
    return "compiles kernels for this CPU" + (" and keeps them on disk for later processes" if kept else "")


def _seconds(timed: tuple[float, Any]) -> float:
    return timed[0]


def _say(line: str) -> None:
    print(line, flush=True)
