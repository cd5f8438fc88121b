"""Threads, forks, pools of others, Ctrl-C and the end of the interpreter."""

import math
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastkl
from fastkl import _engine, kernels, powers
from fastkl._threads import Stopped, check_wanted, for_each_chunk, stopped_by

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")

# The head of every script. Enough work for several threads: rows of one piece, and a few rows of many.
DATA = """
import os, sys, threading, time
import numpy as np
import fastkl

rng = np.random.default_rng(0)
wide = rng.exponential(size=(2, 4000, 256))
long = rng.exponential(size=(2, 2, 600_000))


def compute(threads=4):
    return [fastkl.kl_divergence(*x, threads=threads) for x in (wide, long)]


def is_right():
    return all(np.array_equal(got, want) for got, want in zip(compute(), expected))

"""


def test_many_python_threads_at_once():
    x, y = np.random.default_rng(0).exponential(size=(2, 2000, 300))
    expected = [fastkl.kl_divergence(x, y), fastkl.js_divergence(x, y), fastkl.kl_divergence(x.T, y.T, axis=0)]
    failures = []

    def work():
        for _ in range(5):
            got = [fastkl.kl_divergence(x, y), fastkl.js_divergence(x, y), fastkl.kl_divergence(x.T, y.T, axis=0)]
            failures.extend(1 for a, b in zip(got, expected, strict=True) if not np.array_equal(a, b))

    callers = [threading.Thread(target=work) for _ in range(12)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()
    assert not failures


def test_inside_the_thread_pools_of_others():
    x, y = np.random.default_rng(0).exponential(size=(2, 30, 50_000))
    expected = fastkl.kl_divergence(x, y)
    with ThreadPoolExecutor(5) as pool:
        rows = list(pool.map(lambda i: fastkl.kl_divergence(x[i], y[i], threads=3), range(30)))
        batches = list(pool.map(lambda _: fastkl.kl_divergence(x, y), range(10)))
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(batches, [expected] * 10)


def test_an_error_in_one_thread_is_raised_after_all_have_stopped():
    running = set()

    def work(chunk):
        running.add(chunk)
        time.sleep(0.002)
        running.discard(chunk)
        if chunk == 5:
            raise KeyError("five")

    with pytest.raises(KeyError, match="five"):
        for_each_chunk(work, 1000, 4)
    assert not running


def test_all_chunks_are_done_once():
    for threads in (1, 2, 7):
        done = []
        for_each_chunk(done.append, 500, threads)
        assert sorted(done) == list(range(500))
    for_each_chunk(done.append, 0, 4)
    assert len(done) == 500


def test_all_chunks_are_done_where_no_more_threads_can_be_started(run_python):
    script = """
    import threading, time
    from fastkl import _threads

    _threads.available_cpus = lambda: 8
    start, started = threading.Thread.start, []

    def start_few(thread):
        if len(started) == ALLOWED:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    threading.Thread.start = start_few
    for _ in range(3):
        done = []

        def work(chunk):
            time.sleep(0.05)
            done.append(chunk)

        _threads.for_each_chunk(work, 11, 8)
        assert sorted(done) == list(range(11)), done
    """
    for allowed in (0, 1, 2):
        run_python(f"ALLOWED = {allowed}\n" + "\n".join(line[4:] for line in script.splitlines()))


def test_small_inputs_and_one_thread_start_no_thread(run_python):
    script = """
    def refuse(thread):
        raise AssertionError("a thread was started")

    threading.Thread.start = refuse
    compute(threads=1)
    fastkl.kl_divergence(wide[0, :50], wide[1, :50])
    fastkl.js_divergence(long[0, 0, :3000], long[1, 0, :3000])
    fastkl.entropy(long[0], threads=1)
    assert threading.active_count() == 1
    """
    run_python(DATA + _dedented(script))


@needs_fork
def test_after_a_fork_children_and_grandchildren_compute(run_python):
    script = """
    expected = compute()
    for generation in range(2):
        child = os.fork()
        if child:
            pid, status = os.waitpid(child, 0)
            ok = is_right() and status == 0
            if generation:
                os._exit(0 if ok else 1)
            assert ok
            break
        if not is_right():
            os._exit(2)
    else:
        os._exit(0 if is_right() else 3)
    """
    run_python(DATA + _dedented(script))


@needs_fork
def test_a_fork_while_other_threads_compute(run_python):
    script = """
    expected = compute()
    stop = threading.Event()

    def keep_computing():
        while not stop.is_set():
            compute()

    callers = [threading.Thread(target=keep_computing) for _ in range(3)]
    for caller in callers:
        caller.start()
    for _ in range(10):
        child = os.fork()
        if child == 0:
            os._exit(0 if is_right() else 1)
        deadline = time.monotonic() + 60
        while (done := os.waitpid(child, os.WNOHANG))[0] == 0:
            assert time.monotonic() < deadline, "the child hangs"
            time.sleep(0.01)
        assert done[1] == 0
    stop.set()
    for caller in callers:
        caller.join()
    assert is_right()
    """
    run_python(DATA + _dedented(script))


@pytest.mark.parametrize("method", ["spawn", pytest.param("fork", marks=needs_fork)])
def test_in_the_children_of_multiprocessing(run_python, method):
    script = f"""
    import concurrent.futures
    import multiprocessing


    def child(_):
        return compute()


    if __name__ == "__main__":
        expected = compute()
        context = multiprocessing.get_context({method!r})
        with context.Pool(2) as pool:
            answers = pool.map(child, range(3))
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            answers += pool.map(child, range(3))
        assert len(answers) == 6
        for answer in answers:
            assert all(np.array_equal(a, b) for a, b in zip(answer, expected))
    """
    run_python(DATA + _dedented(script))


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((100_000_000, 32), id="short rows"),
        pytest.param((20_000_000, 2000), id="rows"),
        pytest.param((50_000, 1 << 20), id="long rows"),
    ],
)
def test_ctrl_c_stops_a_long_call(run_python, shape, threads):
    # Rows that are one in memory: much work, little memory.
    script = f"""
    import signal

    expected = compute()
    shape = {shape}
    few = rng.exponential(size=(2, shape[1]))
    fastkl.js_divergence(np.broadcast_to(few[0], (2, shape[1])), few[1])  # an interrupt of the compiler can get lost
    sent = []

    def interrupt():
        time.sleep(0.5)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        fastkl.js_divergence(np.broadcast_to(few[0], shape), few[1], threads={threads})
    except KeyboardInterrupt:
        waited = time.monotonic() - sent[0]
    assert waited < 10, waited
    assert is_right()
    print(waited)
    """
    print("stopped after", run_python(DATA + _dedented(script)), "s")


@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_that_are_not_wanted_are_not_begun(threads):
    event, begun = threading.Event(), []

    def work(chunk):
        begun.append(chunk)
        event.set()
        time.sleep(0.001)

    with pytest.raises(Stopped), stopped_by(event):
        for_each_chunk(work, 1000, threads)
    assert len(begun) < 1000
    for_each_chunk(begun.append, 10, threads)  # of another caller
    assert len(begun) >= 10


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (fastkl.kl_divergence, (40, 100)),
        (fastkl.kl_divergence, (1, 40 * kernels.PIECE)),
        (lambda p, q, threads: fastkl.renyi_divergence(p, q, math.inf, threads=threads), (40, 100)),
    ],
)
def test_careful_loops_end_where_they_are_not_wanted(function, shape, monkeypatch):
    event, checks = threading.Event(), []

    def counted():
        checks.append(None)
        if len(checks) == 4:
            event.set()
        check_wanted()

    monkeypatch.setattr(_engine, "_LARGEST_CAREFUL_CHUNK", min(shape[-1], kernels.PIECE))
    monkeypatch.setattr(powers, "_BLOCK", shape[-1])
    for module in (_engine, powers):
        monkeypatch.setattr(module, "check_wanted", counted)
    p, q = np.random.default_rng(1).random((2, *shape)) * 1e-310
    with pytest.raises(Stopped), stopped_by(event):
        function(p, q, threads=1)
    assert len(checks) == 4


def test_calls_at_the_end_of_the_interpreter(run_python):
    script = """
    import atexit

    expected = compute(threads=1)

    def at_exit():
        print("right" if is_right() else "wrong")

    atexit.register(at_exit)
    if POOL:
        assert is_right()
    """
    for pool in (False, True):
        assert run_python(f"POOL = {pool}\n" + DATA + _dedented(script)) == "right\n"


def _dedented(script):
    return "\n".join(line[4:] for line in script.splitlines())
