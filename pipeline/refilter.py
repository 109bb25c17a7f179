"""A finished run decided anew by another rule, threshold or label, from its recorded evidence: no engine, no tokens.

All columns but those a decision fills are taken over as they are. The new run is as any other, and `synth` with its
recipe finds nothing left to do in it.
"""

import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from pyarrow import compute

from data import places, schema, shards
from data.errors import RunError, SettingError
from data.places import Place
from data.records import Decision, Problem, Task, Trace, Verdict
from data.schema import Row
from data.shards import Packed, Seal
from pipeline import recipe, run, summary
from pipeline.crew import wordings
from pipeline.publish import card
from pipeline.run import Run
from pipeline.settings import Recipe
from stages import consensus

ORIGIN = ("problem_id", "dataset", "problem", "gold_answer", "level", "policy", "sample", "tokens", "ratings")
_CREDIT = ("rewards", "rewards_reason")  # no rule sees them
_TEXT = ("prompt", "completions", "id", "answer", "cut")
EVIDENCE = tuple(name for name in schema.SCHEMA.names if name not in {*ORIGIN, *_TEXT, *_CREDIT})
DECIDED = ("completions", "labels", "first_error", "kept", "agreement", "reason")
_AT_ONCE = 4  # shards: reading, packing and syncing let go of the interpreter
_ORDER = [(name, "ascending") for name in ("problem_id", "policy", "sample")]


def refilter(out: str, to: str, overrides: Sequence[str]) -> Run:
    """Make the run `to` of the sealed shards of `out`, under `consensus.*` settings given as `name=value`.

    Raises SettingError for other settings, and for a rule that the run's plan gathered no evidence for; RunError where
    `to` holds a run already.
    """
    old = run.find(out)
    new = _opened(old, to, recipe.changed(old.recipe, overrides))
    owed = shards.sealed(old.place).values()
    if not owed:
        raise RunError(f"{old.place} has no finished shard: nothing can be decided anew")
    metadata = new.metadata()
    with shards.lock(new.place), ThreadPoolExecutor(_AT_ONCE) as pool:
        run.sweep(new.place)
        seals = list(pool.map(lambda seal: shards.seal(new.place, _decided(old, seal, new, metadata)), owed))
        shards.enter_all(new.place, seals)
        origin = {"out": str(old.place), "id": old.id, "fingerprint": old.fingerprint}
        run.write(new, run.ledger(out), origin, run.told(old.place).get("data"))
        shards.settle(new.place, {seal.part for seal in seals})
        _take_over(old.place, new)
        card.write(new)
    return new


def _opened(old: Run, to: str, changed: Recipe) -> Run:
    if changed.model_copy(update={"consensus": old.recipe.consensus}) != old.recipe:
        raise SettingError("refilter decides anew from what is recorded: only consensus.* can be set")
    recipe.check_rule(changed)
    place = places.at(to)
    if (place / run.FILE).exists():
        raise RunError(f"{place} holds a run already: give another --to")
    run.own(place)
    fingerprint = changed.fingerprint(wordings(changed))
    return Run(uuid.uuid4().hex[:12], place, old.ledger, old.bits, fingerprint, changed)


def _decided(old: Run, seal: Seal, new: Run, metadata: Mapping[str, str]) -> Packed:
    """Return a shard with every solution decided anew."""
    both = [shards.table(old.place, seal, side) for side in shards.SIDES if seal.sha256(side)]
    table = (
        pa.concat_tables([schema.SCHEMA.empty_table(), *both], promote_options="default")
        .sort_by(_ORDER)
        .combine_chunks()
    )
    rows = table.select([*EVIDENCE]).to_pylist()
    settings = new.recipe.consensus.made()
    for row in rows:
        row.update(schema.decided(row, _decision(row, settings)))
    told = dict(sorted({"schema_version": str(schema.SCHEMA_VERSION), **metadata}.items()))
    for name in DECIDED:
        column = pa.array([row[name] for row in rows], schema.SCHEMA.field(name).type)
        table = table.set_column(table.schema.get_field_index(name), name, column)
    table = table.replace_schema_metadata(told)
    kept = pa.array([row["kept"] for row in rows], pa.bool_())
    origin = table.select([*ORIGIN, *_CREDIT]).to_pylist()
    counts = summary.counted([{**row, **more} for row, more in zip(rows, origin, strict=True)])
    digest = shards.digest(_tasks(rows, origin, old, seal), new.fingerprint)
    return shards.pack(seal.part, table.filter(kept), table.filter(compute.invert(kept)), digest, counts)


def _decision(row: Row, settings: consensus.Settings) -> Decision:
    """Apply the rule; a solution without steps never came as far as a rule."""
    if not row["steps"]:
        return Decision(row["kept"], row["first_error"], tuple(row["labels"]), row["agreement"], row["reason"])
    trace = Trace("", tuple(row["steps"]), None)
    verdict = Verdict(row["judge_first_error"], tuple(row["judge_votes"]), row["judge_reason"])
    return consensus.agree(trace, row["outcome"], schema.estimate(row), verdict, settings)


def _tasks(rows: Sequence[Row], origin: Sequence[Row], old: Run, seal: Seal) -> list[Task]:
    """Return a shard's tasks. Whether a dataset cut unlabelled solutions itself, no column says; the old seal does."""
    split, cut = ([_task(*pair, cut=cut) for pair in zip(rows, origin, strict=True)] for cut in (False, True))
    return cut if cut != split and shards.digest(cut, old.fingerprint) == seal.digest else split


def _task(row: Row, origin: Row, *, cut: bool) -> Task:
    """Return the task of a row, as far as it tells: without tokens of a policy it brought its solution, if any.

    `cut`: with its steps, as one whose steps are labelled always does.
    """
    problem = Problem(
        origin["problem_id"], origin["dataset"], origin["problem"], origin["gold_answer"], origin["level"]
    )
    given = None if origin["tokens"]["solve"] else "".join(row["steps"]) or None  # none: the policy refused
    ratings = tuple(origin["ratings"] or ())
    steps = tuple(row["steps"]) if ratings or (cut and given) else ()
    return Task(problem, origin["policy"], origin["sample"], given, steps, ratings)


def _take_over(old: Place, new: Run) -> None:
    """Copy which rows could not be used and which models answered, and note whether the old run was finished."""
    for name in (run.SKIPPED, run.MODELS):
        if (old / name).exists():
            (new.place / name).write((old / name).read())
    if run.told(old).get("finished"):
        run.finish(new)
