"""Which problems a run is about: a dataset known by name, a local file or folder, or a dataset of the Hub.

What concerns the whole source is an error before the run; what concerns one row is a `Reject` with its reason. Hub
datasets are pinned to a commit.
"""

import importlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data import files, stepwise
from data.columns import Names, match, parse, row_value
from data.errors import SettingError, SourceError
from data.files import Numbered
from data.records import Problem

_PEEK = 100  # rows from which the columns are told
_PATIENCE = 5.0  # seconds until the Hub counts as not reachable
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset of the Hub: several configurations are read one after another."""

    name: str
    revision: str | None = None
    configs: tuple[str | None, ...] = (None,)
    split: str = "train"
    columns: Mapping[str, Names] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """Problems made on the spot by `make(count, seed)`; `count` where the user gives no limit."""

    make: Callable[[int, int], Iterable[Problem]]
    count: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A row, or one solution of it, that cannot be used: its number in the source and why."""

    row: int
    reason: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """Problems in the source's order, what the user should know about them, and what was left out."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    rejects: tuple[Reject, ...] = ()


def _arith(count: int, seed: int) -> Iterable[Problem]:
    made: Iterable[Problem] = importlib.import_module("data.arith.world").problems(None, count, start=seed * 1_000_000)
    return made


def _scripted(count: int, seed: int) -> Iterable[Problem]:
    made: Iterable[Problem] = importlib.import_module("data.scripted").problems(count, seed)
    return made


_GSM8K = {"problem": "question", "gold": "answer"}
_MATH = {"problem": "problem", "gold": "solution", "level": "level"}
_MATH500 = {"problem": "problem", "gold": "answer", "id": "unique_id", "level": "level"}
_SUBJECTS = (
    *("algebra", "counting_and_probability", "geometry", "intermediate_algebra"),
    *("number_theory", "prealgebra", "precalculus"),
)

TABLE: dict[str, Hub | Made] = {
    "arith": Made(_arith, 500),
    "scripted": Made(_scripted, 500),
    "gsm8k": Hub("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", ("main",), "train", _GSM8K),
    "math": Hub("EleutherAI/hendrycks_math", "21a5633873b6a120296cce3e2df9d5550074f4a3", _SUBJECTS, "train", _MATH),
    "math500": Hub("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", (None,), "test", _MATH500),
}


def load(
    name: str,
    limit: int | None = None,
    *,
    columns: Mapping[str, Names] | None = None,
    revision: str | None = None,
    config: str | None = None,
    split: str | None = None,
    seed: int = 0,
) -> Loaded:
    """Return the first `limit` problems of a source (None: all; a made one has a size of its own).

    `name` is an entry of `TABLE`, a file (.jsonl .json .csv .parquet), a local dataset folder, or a Hub id
    `owner/name`. `columns` maps problem, gold, id, level, solutions, policy to column names (dotted paths; several for
    solutions; an empty name for none). `revision`, `config` and `split` are for the Hub and folders, `seed` for made
    problems. Reading stops at the limit. Raises SourceError, or SettingError for a setting that makes no sense.
    """
    if limit is not None and limit < 1:
        raise SettingError(f"limit={limit}: give at least 1, or leave it out for all problems")
    entry = TABLE.get(name)
    if isinstance(entry, Made):
        return Loaded(tuple(entry.make(limit or entry.count, seed)))
    path = Path(name)
    if entry is None and not path.is_dir() and (path.is_file() or path.suffix.lower() in files.SUFFIXES):
        return _gather(files.rows(path), path.stem, name, columns or {}, limit)
    hub = entry or _named(name)
    hub = replace(hub, revision=revision or hub.revision, split=split or hub.split)
    hub = replace(hub, configs=(config,)) if config else hub
    parts, notes = _opened(hub)
    rows = enumerate(itertools.chain.from_iterable(parts), 1)
    loaded = _gather(rows, path.name, name, {**hub.columns, **(columns or {})}, limit)
    return replace(loaded, notes=(*notes, *loaded.notes))


def known(name: str) -> None:
    """Raise SourceError where `name` cannot be a source at all; nothing is fetched or read."""
    if name not in TABLE and Path(name).suffix.lower() not in files.SUFFIXES:
        _named(name)


def _named(name: str) -> Hub:
    if Path(name).is_dir() or _HUB_ID.fullmatch(name):
        return Hub(name)
    known = ", ".join(TABLE)
    raise SourceError(f"no dataset {name!r}: give one of {known}, a file such as path/to/file.jsonl, or owner/name")


def _gather(
    rows: Iterable[Numbered], dataset: str, where: str, mapping: Mapping[str, Names], limit: int | None
) -> Loaded:
    """Make problems of rows. Rows with the same id, text and gold answer are one problem with all their solutions."""
    stream = iter(rows)
    first = list(itertools.islice(stream, _PEEK))
    if not first:
        raise SourceError(f"{where}: holds no rows")
    kind = None if {"problem", "solutions"} & mapping.keys() else stepwise.recognise(first[0][1])
    if kind:
        first, stream = [(number, kind.plain(row)) for number, row in first], _plain(stream, kind)
    chosen = match([row for _, row in first], mapping, where)
    problems: dict[str, Problem] = {}
    rejects: list[Reject] = []
    golds: Counter[str] = Counter()
    repeated = 0
    for number, row in itertools.chain(first, stream):
        parsed = parse(row, chosen, (kind and row_value(row, "dataset")) or dataset)
        problem = parsed.problem
        if problem and limit and len(problems) >= limit and problem.id not in problems:
            break
        rejects += (Reject(number, reason, problem.id if problem else None) for reason in parsed.reasons)
        if problem is None:
            continue
        known = problems.get(problem.id)
        if known is None:
            problems[problem.id] = problem
            golds[parsed.gold_from or "none"] += 1
        elif (known.text, known.gold) != (problem.text, problem.gold):
            rejects.append(Reject(number, "the id stands for another problem in an earlier row", problem.id))
        else:
            problems[problem.id] = joined = _joined(known, problem)
            repeated += joined is known
    if not problems:
        raise SourceError(f"{where}: no row can be used; the first: row {rejects[0].row}: {rejects[0].reason}")
    read = (f"read as {kind.name}: steps and labels are the dataset's own",) if kind else ()
    return Loaded(tuple(problems.values()), (*read, *_notes(chosen.told(), golds, repeated, rejects)), tuple(rejects))


def _plain(rows: Iterable[Numbered], kind: stepwise.Kind) -> Iterator[Numbered]:
    return ((number, kind.plain(row)) for number, row in rows)


def _joined(known: Problem, again: Problem) -> Problem:
    """Return `known` with the solutions that `again` adds; `known` itself where there are none."""
    added = tuple(given for given in again.given if given not in known.given)
    return replace(known, given=known.given + added) if added else known


def _notes(mapping: str, golds: Mapping[str, int], repeated: int, rejects: Iterable[Reject]) -> tuple[str, ...]:
    found = ", ".join(f"{how} ({count})" for how, count in golds.items() if how != "none")
    lines = [mapping, f"gold answers found {found}" if found else ""]
    if golds.get("none"):
        lines.append(f"{golds['none']} problems have no gold answer: they can be judged, not graded or rolled out")
    if repeated:
        lines.append(f"{repeated} rows repeat an earlier one and count once")
    reasons = Counter(reject.reason for reject in rejects)
    lines += (f"left out: {reason} ({count})" for reason, count in reasons.most_common(5))
    return tuple(line for line in lines if line)


def _opened(hub: Hub) -> tuple[list[Iterable[Mapping[str, Any]]], tuple[str, ...]]:
    """Open every configuration; without a network, from the cache. Raises SourceError with what to give instead."""
    import datasets  # noqa: PLC0415 - takes a second to import, and only Hub datasets need it

    before = datasets.config.HF_HUB_OFFLINE
    offline = not Path(hub.name).is_dir() and (before or not _reachable(hub.name))
    datasets.config.HF_HUB_OFFLINE = (
        before or offline
    )  # else its client retries for half a minute before it looks in the cache
    try:
        parts = [datasets.load_dataset(hub.name, one, split=hub.split, revision=hub.revision) for one in hub.configs]
    except Exception as error:  # the one boundary to the Hub's client, which raises what its parts raise
        advice = (
            " Without a network and with nothing cached, give a file: DATASET=path/to/file.jsonl" if offline else ""
        )
        raise SourceError(f"{hub.name} cannot be loaded: {str(error).strip()}.{advice}") from error
    finally:
        datasets.config.HF_HUB_OFFLINE = before
    return parts, (f"the Hub cannot be reached: {hub.name} was read from the local cache",) if offline else ()


def _reachable(name: str) -> bool:
    """Whether the Hub answers at all, be it with a refusal."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - as above
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 - as above

    try:
        HfApi().dataset_info(name, timeout=_PATIENCE)
    except HfHubHTTPError:
        return True
    except Exception:  # noqa: BLE001 - whichever HTTP client is installed has its own words for "no network"
        return False
    return True
