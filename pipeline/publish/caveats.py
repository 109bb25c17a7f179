"""What the labels of a recipe cannot be trusted with: known limits of the methods it uses, with their sources."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.publish import public
from pipeline.publish.markdown import code
from pipeline.settings import Recipe

LESSONS = "arXiv 2501.07301"
PROCESSBENCH = "arXiv 2412.06559"
SELF_PRM = "arXiv 2505.11227"
HIDDEN = 0.02  # at so small a bound counts what rollouts cannot show (docs/plans.md)


def of(recipe: Recipe, data: Mapping[str, Any] | None = None) -> list[str]:
    """Return the limits that apply to a recipe, a paragraph each; `data`: what run.json says of the source."""
    own = recipe.data.source in {"arith", "scripted"}
    benches = [] if own else _benches(data or {})
    return [
        *_world(recipe),
        *_rule(recipe),
        *_rollouts(recipe),
        *_judges(recipe),
        *_rewards(recipe),
        *_always(),
        *benches,
    ]


def _engines(recipe: Recipe) -> set[str]:
    return set(recipe.engines(sampled=recipe.solutions != "given"))


def _world(recipe: Recipe) -> Iterator[str]:
    if "scripted" in _engines(recipe):
        yield (
            "**No model was asked.** The scripted engine makes problems and solutions up: this is a dry run, and "
            "nothing to train on."
        )
    if recipe.data.source == "arith":
        yield "The problems are made by a program, in a handful of forms: they teach little about others."


def _rule(recipe: Recipe) -> Iterator[str]:
    rule = recipe.consensus.rule
    if rule == "judge":
        yield (
            "The labels are the judge's alone; nothing checks them but the final answer, which can only refute a "
            "verdict of no error."
        )
    if rule == "judge" and any(judge.asks for judge in recipe.judge):
        yield (
            "Judges differ widely: on ProcessBench Qwen2.5-72B-Instruct reaches an F1 of 61, the same family's 7B one "
            f"of 33 ({PROCESSBENCH})."
        )
    if rule == "mc":
        yield (
            "The labels are the rollouts' alone. They say whether the right answer can still be reached, not whether a "
            "step is right: a wrong step that is mended later counts as right, and every step of a solution with the "
            "right answer does. Trained on such labels a model reached an F1 of 40 on ProcessBench, on those that a "
            f"judge agreed with 67 ({LESSONS})."
        )
    if rule == "posterior":
        learn = recipe.completer.learn
        source = f"was learnt from {learn:,} of the problems" if learn else "is a guess unless learnt from a pilot"
        yield (
            f"A label is kept where it is right with a probability of {1 - recipe.consensus.error:.1%}, as the plan's "
            f"prior has it. That is as good as the prior: `completer.prior` {source}."
        )
        if recipe.consensus.error <= HIDDEN:
            yield (
                "An error that rollouts mend is hardly shown by any. How often the judge misses one before the step it "
                f"names was taken to be {recipe.completer.prior.missed:.0%} (`completer.prior.missed`). With 4 % "
                "the bound held on arith (on hard problems 1.5 and 0.5 % were wrong at 2 and 1 %); another judge may "
                "miss more."
            )
    if rule != "mc":
        yield (
            "A right answer that the judge passes is kept without a rollout. Right answers by a wrong process exist "
            f"(of right answers to GSM8K 5 %, MATH 12 %, olympiads 27 %, Omni-MATH 43 %: {LESSONS}), and nothing but "
            "the judge could find them: labels without an error are wrong as often as the judge misses one."
        )


def _rollouts(recipe: Recipe) -> Iterator[str]:
    completer = recipe.completer
    if completer.plan == "none":
        return
    yield (
        f"A prefix counts as lost after {completer.tries} decided rollouts without a hit. On problems that the "
        "completer hardly ever solves that says little, and a right step may be called wrong."
    )
    if completer.plan != "exhaustive" or completer.width:
        yield (
            "Sampling stops on what it has seen: where `stopped_early`, `hits` / `tries` is no unbiased rate, and no "
            "soft label. `completer.plan=exhaustive` gives rates."
        )
    if completer.plan == "bisect":
        yield (
            "Bisection takes for granted that a prefix once lost stays lost: an error that is mended later can hide "
            "another one, and bisection does not see where that was so."
        )
    if completer.plan in {"confirm", "sequential"}:
        yield (
            "Only prefixes that can confirm or refute the judge were rolled out: the rollouts say little where the "
            "judge said nothing, and cannot be taken for labels of their own."
        )


def _judges(recipe: Recipe) -> Iterator[str]:
    writers = {policy.engine for policy in recipe.policy} if recipe.solutions != "given" else set()
    asked = {judge.engine for judge in recipe.judge if judge.asks}
    if (writers & asked) - {"scripted"}:
        yield (
            "A judge is a model that wrote solutions itself. Models pass their own errors: of the solutions of hard "
            f"problems that one passed, fewer than 10 % were right ({SELF_PRM})."
        )
    kinds = {judge.kind for judge in recipe.judge}
    if "equations" in kinds:
        yield "The judge `equations` sees false equations and nothing else: from it, no error means little."
    if "given" in kinds:
        yield "The judge `given` repeats the labels the dataset brought, and is as good as those."


def _always() -> Iterator[str]:
    yield (
        "Rejected is not wrong: a solution is rejected where evidence is missing or opinions differ. What is kept is "
        "what was easier to agree on."
    )


def _rewards(recipe: Recipe) -> Iterator[str]:
    if recipe.credit.reference:
        yield (
            "`rewards` spread the outcome over the steps by how the policy differs from a reference (arXiv "
            "2601.10201). They do not say whether a step is right, and played no part in any label."
        )
    if len(recipe.skip) > 1:
        yield "Problems that the policy always or never solved were left out: what is here is of middling difficulty."


def _benches(data: Mapping[str, Any]) -> Iterator[str]:
    """Say which evaluation sets the source was freed of, and which not."""
    sizes = data.get("against") or {}
    if not sizes:
        yield "Problems were not looked up in any benchmark: some may be in one. Look before evaluating on any."
        return
    there, gone = ([code(public.name(one)) for one in sizes if (sizes[one] is None) is lost] for lost in (False, True))
    if there:
        yield (
            f"Problems that are in {', '.join(there)} were left out ({data.get('contaminated', 0):,} rows), as far as "
            "they share numbers and most of their words. Those of other benchmarks may be here, and reworded ones."
        )
    if gone:
        yield f"**Nothing was left out for being in {', '.join(gone)}**: that could not be loaded."
