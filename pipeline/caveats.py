"""What the labels of a recipe cannot be trusted with: known limits of the methods it uses, with their sources."""

from collections.abc import Iterator

from pipeline.settings import Recipe

LESSONS = "arXiv 2501.07301"
PROCESSBENCH = "arXiv 2412.06559"
SELF_PRM = "arXiv 2505.11227"


def of(recipe: Recipe) -> list[str]:
    """Return the limits that apply to a recipe, a paragraph each."""
    return [*_world(recipe), *_rule(recipe), *_rollouts(recipe), *_judges(recipe), *_always(recipe)]


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
        yield (
            f"A label is kept where it is right with a probability of {1 - recipe.consensus.error:.1%}, as the plan's "
            "prior has it. That is as good as the prior: `completer.prior` is a guess unless learnt from a pilot."
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
            "another one. `violations` counts what was seen of it."
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


def _always(recipe: Recipe) -> Iterator[str]:
    yield (
        "Rejected is not wrong: a solution is rejected where evidence is missing or opinions differ. What is kept is "
        "what was easier to agree on."
    )
    if recipe.data.source not in {"arith", "scripted"}:
        yield "The card does not say whether problems occur in benchmarks: look before evaluating on any."
