"""A run directory: what it is a run of, whether a recipe still fits it, and what is owed.

The same command on the same directory goes on where it stopped; a changed recipe is
refused with the difference, unless told to label `again` from what the ledger holds. Raising the limit is no change.
A run's own ledger lies within it, so that a run can be moved; one that is shared is named in `run.json`.
"""

import json
import platform
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from pydantic import ValidationError

from data import places, schema, shards
from data.errors import RunError, SettingError
from data.ledger import held
from data.places import Place
from data.records import Task
from data.sources import Loaded
from pipeline.crew import wordings
from pipeline.settings import Recipe

FREE = ("cluster", "budget", "license")  # settings that may change while a run lasts
FILE, LEDGER, SKIPPED, MODELS, CARD = "run.json", "ledger", "skipped.jsonl", "models.json", "README.md"
EXPORTS, PILOT = "exports", "pilot"
GROWN = 2  # bits that a run may lack: shards are then four times as large as they should be
_KEYS = re.compile("[^:/]+://[^@]*:[^@]*@")
_PACKAGES = ("ctranslate2", "math-verify", "pyarrow", "ray", "sympy")


@dataclass(frozen=True, slots=True)
class Run:
    """An opened run: its id, where it and its ledger lie, how it is cut into shards, and under which recipe."""

    id: str
    place: Place
    ledger: Place
    bits: int
    fingerprint: str
    recipe: Recipe

    def plan(self, tasks: list[Task]) -> dict[str, tuple[Task, ...]]:
        """Cut the tasks into shards."""
        return shards.plan(tasks, self.bits)

    def metadata(self) -> dict[str, str]:
        """Return what each shard says about its making: no times, no paths, so that equal rows make equal files."""
        recipe = json.dumps({k: v for k, v in self.recipe.dump().items() if k not in FREE}, sort_keys=True)
        return {"recipe": recipe, "fingerprint": self.fingerprint, "versions": json.dumps(versions(), sort_keys=True)}


def start(
    out: str,
    recipe: Recipe,
    solutions: int,
    *,
    again: bool = False,
    ledger: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> Run:
    """Open `out` for a recipe, making it where it is new. Raises RunError where it belongs to another recipe.

    One in which nothing was asked yet, since no engine was there, is as new. `data`: facts about the source.
    """
    place = places.at(out)
    own(place)
    fingerprint = recipe.fingerprint(wordings(recipe))
    known = _read(place) if begun(place) else None
    if known and not again:
        _refuse_changes(place, known, recipe, fingerprint)
        _refuse_contamination(place, known.get("data") or {}, data or {})
    bits = _cut(known, solutions)
    shared: str | None = _resolved(ledger) if ledger else (known or {}).get("ledger")
    name = (known or {}).get("id") or uuid.uuid4().hex[:12]
    run = Run(name, place, places.at(shared or place / LEDGER), bits, fingerprint, recipe)
    same = known if known and known["fingerprint"] == fingerprint else {}
    write(run, shared, same.get("refiltered"), data)
    return run


def write(
    run: Run, ledger: str | None, refiltered: Mapping[str, str] | None = None, data: Mapping[str, Any] | None = None
) -> None:
    """Write run.json; `ledger` where it is shared, `refiltered` what tells of the run this one was made of.

    `data` are facts about the source, as `Loaded.facts`.
    """
    told = {
        "id": run.id,
        "recipe": run.recipe.dump(),
        "fingerprint": run.fingerprint,
        "bits": run.bits,
        "ledger": ledger,
        "versions": versions(),
    }
    told |= {"refiltered": dict(refiltered)} if refiltered else {}
    told |= {"data": dict(data)} if data else {}
    (run.place / FILE).write(_text(told))


def own(place: Place) -> None:
    """Raise RunError where a run would write its card over a README.md of somebody else's."""
    if (place / CARD).exists() and not (place / FILE).exists():
        raise RunError(f"{place} is no run directory, and holds a {CARD} that would be lost: give a folder of its own")


def find(out: str) -> Run:
    """Open a run that exists, to look at. Raises RunError where there is none."""
    place = there(out)
    known = told(place)
    return Run(
        known.get("id", ""),
        place,
        places.at(known["ledger"] or place / LEDGER),
        known["bits"],
        known["fingerprint"],
        _made(place, known),
    )


def there(out: str) -> Place:
    """Return where a run lies, whichever version made it. Raises RunError where there is none."""
    place = places.at(out)
    if not told(place):
        if (place / PILOT / FILE).exists():
            raise RunError(f"{place} is about to learn from its pilot: look at {place / PILOT}")
        raise RunError(f"{place} holds no run: `make synth` makes one, OUT=... names another")
    return place


def sweep(place: Place) -> None:
    """Remove what killed writers left half written in a run. For one who holds its lock."""
    for folder in (place, *(place / name for name in (*shards.SIDES, EXPORTS))):
        places.sweep(folder)


def ledger(out: str) -> str:
    """Return where a run's ledger lies, as another run's `--ledger` names it."""
    known = _read(places.at(out)) or {}
    return known.get("ledger") or _resolved(places.within(out, LEDGER))


def check_ledger(where: str) -> None:
    """Raise RunError where there is no ledger to share: in its place one would be begun, and all be paid for again."""
    place = places.at(_resolved(where))
    if held(place):
        return
    with places.usable(place):
        run = (place / FILE).exists()
    advice = (
        f"it is a run, whose ledger is {ledger(where)}" if run else "give RUN/ledger of a run that has asked something"
    )
    raise RunError(f"{place} holds no ledger: {advice}; or NEW_LEDGER=... (--new-ledger), to begin one")


def met(place: Place, names: Mapping[str, str]) -> None:
    """Note under which name each engine answers, by specification: the ledger's keys are made with it."""
    known = models(place)
    for specification, name in names.items():
        known[specification] = [*(one for one in known.get(specification, []) if one != name), name]
    (place / MODELS).write(_text(known))


def models(place: Place) -> dict[str, list[str]]:
    """Return the names under which each engine of a run answered, the newest last; none in runs that noted none."""
    file = place / MODELS
    try:
        known: dict[str, list[str]] = json.loads(file.read()) if file.exists() else {}
        return {str(one): [str(name) for name in names] for one, names in known.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def versions() -> dict[str, str]:
    """Return the versions of what makes labels."""
    return {"python": platform.python_version(), "schema": str(schema.SCHEMA_VERSION)} | {
        name: metadata.version(name) for name in _PACKAGES
    }


def leave_out(run: Run, loaded: Loaded) -> None:
    """Write which rows of the dataset could not be used, and why."""
    skipped = "".join(json.dumps(asdict(reject), ensure_ascii=True) + "\n" for reject in loaded.rejects)
    (run.place / SKIPPED).write(skipped.encode())


def finish(run: Run) -> None:
    """Note that every solution of the recipe is labelled; opening the run again takes that back."""
    (run.place / FILE).write(_text((_read(run.place) or {}) | {"finished": True}))


def told(place: Place) -> dict[str, Any]:
    """Return what run.json says: `id`, `recipe`, `fingerprint`, `bits`, `ledger`, and perhaps `finished`, `refiltered`.

    Nothing where there is no run. Raises RunError where it cannot be read.
    """
    return _read(place) or {}


def _text(told: Mapping[str, Any]) -> bytes:
    return (json.dumps(told, indent=1) + "\n").encode()


def _read(place: Place) -> dict[str, Any] | None:
    file = place / FILE
    with places.usable(file):
        text = file.read() if file.exists() else None
    if text is None:
        return None
    try:
        known: dict[str, Any] = json.loads(text)
        known["recipe"], known["fingerprint"], known["bits"], known["ledger"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RunError(f"{file} cannot be read ({error!r}): restore it, or give another OUT") from None
    return known


def begun(place: Place) -> bool:
    """Whether a run lies there that has asked or sealed something; of a shared ledger, taken for so."""
    known = _read(place)
    return known is not None and bool(known["ledger"] or (place / shards.MANIFEST).exists() or (place / LEDGER).names())


def _cut(known: dict[str, Any] | None, solutions: int) -> int:
    """Return by how many bits a run is cut: as before, unless it has grown so much that its shards would be huge.

    Whoever tries a few problems first does not want all of them in two shards. What was paid for is found again.
    """
    bits = shards.bits_for(solutions)
    return known["bits"] if known and bits <= known["bits"] + GROWN else bits


def _made(place: Place, known: dict[str, Any]) -> Recipe:
    """Return the recipe a run was made with."""
    try:
        return Recipe.model_validate(known["recipe"])
    except ValidationError as error:
        told = error.errors()[0]
        where = ".".join(map(str, told["loc"]))
        raise RunError(
            f"{place} was made with settings this version does not know ({where}: {told['msg']}): give another OUT, "
            "or label it again from its ledger (AGAIN=1)"
        ) from None


def _resolved(ledger: str) -> str:
    """Return a URI as it is, and a path so that it means the same from any folder.

    Raises SettingError where a URI holds keys.
    """
    if _KEYS.match(ledger):
        raise SettingError(
            f"{places.keyless(ledger)} is written into files: give its keys in the environment, not in the URI"
        )
    return ledger if "://" in ledger else places.at(ledger).path


def _refuse_changes(place: Place, known: dict[str, Any], recipe: Recipe, fingerprint: str) -> None:
    before = _made(place, known)
    limits = (before.data.limit, recipe.data.limit)
    shrinks = limits[1] is not None and (limits[0] is None or limits[1] < limits[0])
    if known["fingerprint"] == fingerprint and not shrinks:
        return
    changed = "\n".join(_difference(before.dump(), recipe.dump())) or "  the wording of a prompt, or a version"
    raise RunError(
        f"{place} was made with another recipe:\n{changed}\nGive another directory, sharing what was paid for "
        f"(OUT=... LEDGER={known['ledger'] or place / LEDGER}), or label this one again from its ledger (AGAIN=1)"
    )


def _refuse_contamination(place: Place, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to take problems in again of which a run was freed, since an evaluation set cannot be loaded now."""
    sizes = now.get("against") or {}
    lost = [
        name for name, size in (before.get("against") or {}).items() if size is not None and sizes.get(name) is None
    ]
    if lost:
        raise RunError(
            f"{place} was freed of problems that are in {', '.join(lost)}, which cannot be loaded now: give the "
            "command again where they can be, or label the run again without (AGAIN=1)"
        )


def _difference(before: object, after: object, name: str = "") -> Iterator[str]:
    """Yield a line for each setting that differs, but where and how fast."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if key not in FREE:
                yield from _difference(before.get(key), after.get(key), f"{name}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _difference(*pair, name=f"{name}.{index}")
    elif before != after:
        yield f"  {name}: {before!r} -> {after!r}"
