"""From the arguments of a public function to its result: check, run, shape the answer."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fastkl import _check
from fastkl._engine import Answers, Question, are_few, are_single, run, run_few, run_logits, run_single
from fastkl._operands import are_alike, batch_of, batch_of_alike, bins_last, is_last, precision_of
from fastkl._sparse import compare_sparse, has_sparse
from fastkl._zero_policies import Pseudocount, answer_by_rule, rule_of
from fastkl.containers import open_containers
from fastkl.lazy import has_lazy

_Array = npt.NDArray[Any]
OnInvalid = Literal["raise", "nan"]


def _as_it_is(values: Any) -> Any:
    return values


class Form(NamedTuple):
    """What the rows of the arguments are: how their divergences are computed, and what is said of invalid ones."""

    run: Callable[..., Answers]
    describe_invalid: Callable[..., str]


HISTOGRAMS = Form(run, _check.describe_invalid)
LOGITS = Form(run_logits, _check.describe_invalid_logits)


class Options(NamedTuple):
    """What a user may say beside the histograms."""

    axis: int
    base: float | None
    normalize: bool
    weights: npt.ArrayLike | None
    pseudocount: Pseudocount
    on_invalid: OnInvalid
    keepdims: bool
    out: _Array | None
    dtype: npt.DTypeLike | None
    threads: int | None
    dim: str | None = None


# Options(*given) in a fifth of the time, which one pair of histograms would notice.
options_of = cast(Callable[[tuple[Any, ...]], Options], partial(tuple.__new__, Options))


def compare(
    kind: Any,
    named: dict[str, Any],
    options: Options,
    finish: Callable[[Any], Any] = _as_it_is,
    answer: Callable[..., Answers] | None = None,
    form: Form = HISTOGRAMS,
) -> Any:
    """The divergences ``kind`` of the named arguments, p and q or one alone; ``finish`` makes results of them.

    ``answer`` is what runs the engine, where one run is not enough.
    """
    values = list(named.values())
    is_usual_pair = form is HISTOGRAMS and answer is None and _are_usual(options) and are_single(values[0], values[-1])
    if is_usual_pair:
        single = run_single(kind, values[0], values[-1], options.normalize)
        if single is not None:
            return finish(single)
    is_plain, given_answer = _is_plain(options), answer
    question, answer = _question(kind, options, answer or form.run, is_entropy=len(named) == 1)
    if is_plain and not is_usual_pair:
        result = _compare_plain(question, values[0], values[-1], options, finish, answer)
        if result is not None:
            return result
    if has_lazy([*values, options.weights]):
        from fastkl.lazy._rows import compare_lazily

        return compare_lazily(partial(compare, kind, finish=finish, answer=given_answer), form, named, options)
    if has_sparse(values):
        return _compare_sparse(question, named, options, finish, answer, form)
    return _compare_dense(question, named, options, finish, answer, form)


def _are_usual(options: Options) -> bool:
    # True for the defaults, normalised or not, on any number of threads, which need no check: by type and identity, as
    # what a user gives may be anything.
    axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim = cast(Any, options)
    return (
        base is weights is out is dtype is dim is None
        and keepdims is False
        and (normalize is True or normalize is False)
        and (threads is None or (type(threads) is int and threads >= 1))
        and type(axis) is int
        and axis in (0, -1)
        and type(pseudocount) is float
        and pseudocount == 0.0
        and type(on_invalid) is str
        and on_invalid == "raise"
    )


def _is_plain(options: Options) -> bool:
    o = options
    return o.weights is o.dtype is o.dim is None and o.keepdims is False and type(o.axis) is int


def _compare_plain(
    question: Question, p: Any, q: Any, options: Options, finish: Callable[[Any], Any], answer: Callable[..., Answers]
) -> Any:
    """The result for arrays that are computed as they lie; None for others, and where that can't tell all.

    The general way, which follows, has careful loops, and words for invalid rows.
    """
    if options.axis != -1 and not is_last(options.axis, p, q):
        return None
    is_one_run = answer is run
    if is_one_run and options.out is None and question.pseudocount == 0.0 and are_single(p, q):
        single = run_single(question.kind, p, q, question.normalize, question.factor)
        return None if single is None else finish(single)
    if is_one_run and are_few(p, q, question):
        few = run_few(p, q, question)
        return None if few is None else _deliver(finish(few), None, options.out, p.dtype)
    if not are_alike(p, q):
        return None
    batch, precision = batch_of_alike(p, q), precision_of([p, q], None, question.fits_single)
    flat, found_invalid = answer(batch, question, precision, options.threads)
    if found_invalid and options.on_invalid == "raise":
        return None
    return _deliver(batch.unmerged(finish(flat)), None, options.out, p.dtype)


def _question(
    kind: Any, options: Options, answer: Callable[..., Answers], is_entropy: bool
) -> tuple[Question, Callable[..., Answers]]:
    """What the engine is asked, once the options are found good, and what answers."""
    pseudocount = options.pseudocount
    rule = rule_of(pseudocount, kind, is_entropy) if isinstance(pseudocount, str) else None
    number = pseudocount if rule is None else 0.0
    question = _checked(
        kind, options.on_invalid, options.threads, options.keepdims, options.normalize, number, options.base
    )
    if rule is not None:
        return question._replace(normalize=question.normalize or rule.scales), partial(answer_by_rule, rule, answer)
    return question, answer


def _checked(*given: Any) -> Question:
    # Most calls repeat the options of an earlier one: to check them takes as long as the kernel does for two rows.
    try:
        return _kept_question(*given)
    except TypeError:  # what has no hash, or is no option
        pass
    return _question_of(*given)


def _question_of(
    kind: Any, on_invalid: Any, threads: Any, keepdims: Any, normalize: Any, pseudocount: Any, base: Any
) -> Question:
    _check.check_option("on_invalid", on_invalid, ("raise", "nan"))
    _check.check_threads(threads)
    _check.check_flag("keepdims", keepdims)
    normalize = _check.check_flag("normalize", normalize)
    return Question(kind, normalize, _check.check_pseudocount(pseudocount), _check.check_base(base))


# By type too: 1 is no flag, and tags without parameters are equal.
_kept_question = lru_cache(maxsize=256, typed=True)(_question_of)


def _compare_sparse(
    question: Question,
    named: dict[str, Any],
    options: Options,
    finish: Callable[[Any], Any],
    answer: Callable[..., Answers],
    form: Form,
) -> Any:
    if form is LOGITS:
        name = next(name for name, value in named.items() if has_sparse([value]))
        raise ValueError(
            f"{name} has sparse rows, whose bins that are not stored would be logits of 0; pass a dense array, or"
            " probabilities to kl_divergence"
        )
    if isinstance(options.pseudocount, str):
        raise ValueError(
            f"pseudocount must be a number for sparse rows, not {options.pseudocount!r}; for what that tool does pass"
            " dense arrays, which `.toarray()` makes"
        )
    dtype_of = partial(result_dtype_of, dtype=options.dtype)
    flat, dtype, axis = compare_sparse(question, named, options, dtype_of, answer)
    return _deliver(finish(flat), axis if options.keepdims else None, options.out, dtype)


def _compare_dense(
    question: Question,
    named: dict[str, Any],
    options: Options,
    finish: Callable[[Any], Any],
    answer: Callable[..., Answers],
    form: Form,
) -> Any:
    weights, dtype, out = options.weights, options.dtype, options.out
    given = named if weights is None else {**named, "weights": weights}
    arrays, axis, give, label = open_containers(given, _check.check_axis(options.axis), options.dim)
    result_dtype = result_dtype_of(arrays[: len(named)], dtype)
    if weights is not None:
        _check.check_weights(arrays[-1])
    # Weights and pseudo-counts of more than single precision would be rounded, the smallest to zero.
    precision = precision_of(arrays, None if dtype is None else result_dtype, question.fits_single)
    names = list(given)
    moved, axis = bins_last(names, arrays, axis)
    histograms = dict(zip(named, moved, strict=False))
    weighing = moved[len(named) :]
    if len(named) == 1:  # the entropy is the cross-entropy with itself
        names, moved = [names[0], *names], [moved[0], *moved]
    batch = batch_of(names, moved)
    flat, found_invalid = answer(batch, question, precision, options.threads)
    if options.on_invalid == "raise" and found_invalid:
        for name, array in histograms.items():
            _raise_for_invalid(form, name, array, weighing, question, precision, label)
    result = _deliver(batch.unmerged(finish(flat)), axis if options.keepdims else None, out, result_dtype)
    return give(result) if out is None else out


def _raise_for_invalid(
    form: Form,
    name: str,
    array: _Array,
    weights: list[_Array],
    question: Question,
    precision: np.dtype[Any],
    label: Callable[[str, tuple[int, ...]], str],
) -> None:
    # A histogram is invalid if it can't be compared with itself: the kernels find those in no time.
    batch = batch_of([name, name, "weights"], [array, array, *weights])
    is_invalid = np.isnan(batch.unmerged(form.run(batch, question, precision, None)[0]))
    if is_invalid.any():
        first = tuple(int(i) for i in np.argwhere(is_invalid)[0])
        raise ValueError(form.describe_invalid(name, array, is_invalid, bool(weights)) + label(name, first))


def result_dtype_of(arrays: list[_Array], dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    """The type of the results: what the user wants, or that of the arithmetic."""
    if dtype is None:
        return precision_of(arrays, None)
    try:
        wanted = np.dtype(dtype)
    except (TypeError, ValueError):  # what is no type at all
        raise ValueError(f"dtype must be float64 or float32, not {dtype!r}") from None
    if wanted not in (np.float64, np.float32):
        raise ValueError(f"dtype must be float64 or float32, not {wanted}")
    return wanted


def _deliver(result: _Array, kept_axis: int | None, out: _Array | None, dtype: np.dtype[Any]) -> Any:
    if kept_axis is not None:
        result = np.expand_dims(result, kept_axis)
    if out is None:
        if result.dtype != dtype:
            with np.errstate(over="ignore"):  # beyond single precision it is inf
                result = result.astype(dtype)
        return result if result.ndim else result[()]
    _check.check_out(out, result.shape)
    with np.errstate(over="ignore"):
        np.copyto(out, result, casting="same_kind")
    return out
