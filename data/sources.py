"""Which problems a run is about: a dataset known by name, a local file or folder, or a dataset of the Hub.

What concerns the whole source is an error before the run; what concerns one row is a `Reject` with its reason. The
training sets known by name are freed of what models are measured on.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from data import files
from data.columns import Names
from data.decontaminate import Index
from data.errors import SettingError, SourceError, nearest
from data.gather import Loaded, Reject, gather
from data.hub import opened
from data.registry import EVALUATION, TABLE, Hub, Made
from data.selection import Selection, Sieve

__all__ = ["EVALUATION", "TABLE", "Hub", "Loaded", "Made", "Reject", "Selection", "known", "load"]

_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_ALL: Final = Selection(deduplicate=False)


def load(
    name: str,
    limit: int | None = None,
    *,
    columns: Mapping[str, Names] | None = None,
    revision: str | None = None,
    config: str | None = None,
    split: str | None = None,
    seed: int = 0,
    select: Selection = _ALL,
    against: Sequence[str] | None = (),
) -> Loaded:
    """Return `limit` problems of a source, the first ones or as `select` says (None: all; a made one has a size).

    `name` is an entry of `TABLE`, a file (.jsonl .json .csv .parquet), a local dataset folder, or a Hub id
    `owner/name`. `columns` maps problem, gold, id, level, solutions, policy, pass_rate, right to column names (dotted
    paths; several for solutions; an empty name for none). `revision`, `config` and `split` are for the Hub and
    folders, `seed` for made problems. No problem of the evaluation sets `against` is taken; None: of those of `TABLE`,
    as far as they can be loaded, for a training set of `TABLE`. Raises SourceError; SettingError also for what a kind
    of source would ignore.
    """
    if limit is not None and limit < 1:
        raise SettingError(f"limit={limit}: give at least 1, or leave it out for all problems")
    entry = TABLE.get(name)
    path, hubs = Path(name), {"revision": revision, "config": config, "split": split}
    if isinstance(entry, Made):
        read = {"columns": columns, "against": against, "pass_rate": select.pass_rate, "balance": select.balance}
        _without(f"the problems of {name} are made, not read", read | hubs | {"pick": select.pick == "random"})
        return _made(name, entry, limit, seed, select)
    if entry is None and not path.is_dir() and (path.is_file() or path.suffix.lower() in files.SUFFIXES):
        _without(f"{name} is a file", hubs)
        index, facts, notes = _evaluations(name, against)
        loaded = gather(files.rows(path), path.stem, name, columns or {}, limit=limit, sieve=Sieve(select, index))
        return _with(loaded, notes, facts)
    if entry is None and path.is_dir():
        _without(f"{name} is a local folder", {"revision": revision})
    hub = entry or _named(name)
    hub = replace(hub, revision=revision or hub.revision, split=split or hub.split)
    hub = replace(hub, configs=(config,)) if config else hub
    parts, commit, asked = opened(hub)
    index, facts, notes = _evaluations(name, against)
    rows = enumerate(itertools.chain.from_iterable(parts), 1)
    mapping = {**hub.columns, **(columns or {})}
    sieve = Sieve(select, index)
    loaded = gather(rows, path.name, name, mapping, limit=limit, sieve=sieve, blanks=hub.blanks)
    return _with(loaded, [*_about(hub, asked=asked), *notes], {"commit": commit, **facts} if commit else facts)


def known(name: str) -> None:
    """Raise SourceError where `name` cannot be a source at all; nothing is fetched or read."""
    path = Path(name)
    if name in TABLE:
        return
    if path.suffix.lower() in files.SUFFIXES:
        files.check(path)
        return
    if path.is_file():
        files.reader(path)  # refuses it by its suffix
    _named(name)


def _without(source: str, settings: Mapping[str, object]) -> None:
    """Raise SettingError where settings are given that a kind of source has no use for."""
    given = [f"data.{name}" for name, value in settings.items() if value]
    if given:
        raise SettingError(f"{', '.join(given)}: {source}: leave {'it' if len(given) == 1 else 'them'} out")


def _named(name: str) -> Hub:
    if Path(name).is_dir() or _HUB_ID.fullmatch(name):
        return Hub(name)
    known, near = ", ".join(TABLE), nearest(name, TABLE, 0.7)
    meant = f" (did you mean {near!r}?)" if near else ""
    raise SourceError(
        f"no dataset {name!r}{meant}: give one of {known}, a file such as path/to/file.jsonl, or owner/name"
    )


def _made(name: str, entry: Made, limit: int | None, seed: int, select: Selection) -> Loaded:
    """Make problems; of them only levels are selected, since they are as many as one likes, and none twice."""
    sieve = Sieve(replace(select, deduplicate=False))
    problems = tuple(problem for problem in entry.make(limit or entry.count, seed) if sieve.passes(problem))
    sieve.check(name)
    return Loaded(problems)


def _with(loaded: Loaded, notes: Sequence[str], facts: Mapping[str, Any]) -> Loaded:
    return replace(loaded, notes=(*notes, *loaded.notes), facts={**facts, **loaded.facts})


def _about(hub: Hub, *, asked: bool) -> list[str]:
    """Say what one should know of a Hub dataset before using it."""
    notes = [f"{hub.name} is an evaluation set: never train on it"] if hub.evaluation else []
    return notes if asked else [*notes, f"the Hub cannot be reached: {hub.name} was read from the local cache"]


def _evaluations(name: str, against: Sequence[str] | None) -> tuple[Index | None, dict[str, Any], list[str]]:
    """Return evaluation sets to look problems up in, how many problems each has, and what to tell.

    One that was asked for and cannot be loaded is an error; one of those that are always meant is told of.
    """
    entry = TABLE.get(name)
    usual = EVALUATION if isinstance(entry, Hub) and not entry.evaluation else ()
    index, sizes, faults = Index(), dict[str, int | None](), []
    for one in usual if against is None else against:
        try:
            shown = (
                Path(one).name if Path(one).suffix.lower() in files.SUFFIXES else one
            )  # what is left out is published
            sizes[one] = index.add(shown, load(one).problems)
        except SourceError as error:
            if against is not None:
                raise SourceError(f"data.against: {error}") from error
            sizes[one] = None
            faults.append(f"{one} ({error})")
    if not sizes:
        return None, {}, []
    there, gone = ([one for one in sizes if (sizes[one] is None) is lost] for lost in (False, True))
    notes = [f"freed of what is in {', '.join(there)}"] if there else []
    if gone:
        notes.append(
            f"WARNING: NOT freed of what is in {', '.join(gone)}, which cannot be loaded: the data may hold problems "
            f"that models are measured on; name files of them: data.against=[...] (the first: {faults[0]})"
        )
    return index, {"against": sizes}, notes
