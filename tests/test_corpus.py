"""What the small model learns is what it will be asked, to the token; slips are slips, and of every kind."""

import itertools
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from data.arith import world
from data.arith.oracle import first_error, solve
from data.errors import RunError
from data.records import NO_ERROR, Trace
from judges.critique import Critique
from pipeline.model import corpus
from pipeline.model.corpus import Example, Solved
from pipeline.model.vocabulary import CONTROL, PARAGRAPHS, UNKNOWN, tokenizer
from stages.solve import prompt
from stages.split import split

JUDGE = Critique("critique_brief")
TOKENIZER = tokenizer()
OPERATION = re.compile(r"(?:(\w+) )?(\d+) (\+|-|\*|/|mod|max) (?:(\w+) )?(\d+) = (\w+) (\d+)\.")


def solved(seed: int, slips: float) -> Solved:
    rng = random.Random(seed)
    problem = world.problem(rng.choice(list(world.LEVELS)), rng.getrandbits(40), "train").text
    return corpus.solution(rng, problem, slips)


some = st.builds(solved, st.integers(0, 10**9), st.sampled_from((0.0, 1.0)))


def text(example: Example) -> str:
    return "".join(piece.text for piece in example)


def learnt(example: Example, said: str, skip: int = 0) -> set[bool]:
    """Return whether what it says here is learnt from: {True}, {False}, or both for parts of it."""
    start = text(example).index(said)
    ends = itertools.accumulate(len(piece.text) for piece in example)
    inside = zip(example, ends, strict=True)
    return {piece.weight > 0 for piece, end in inside if piece.text and start + skip < end <= start + len(said)}


def encoded(made: Tokenizer, said: str) -> Any:
    return made.encode(said, add_special_tokens=False)


@given(some)
def test_the_judge_learns_from_the_very_question_it_will_be_asked(case: Solved) -> None:
    (message,) = JUDGE.ask(Trace(case.problem, case.steps, None)).messages
    assert text(corpus.to_judge(case)).startswith(f"<|user|>{message.content}<|end|><|assistant|>")
    assert corpus.ASK in message.content


@given(some)
def test_the_solver_learns_from_the_very_question_it_will_be_asked(case: Solved) -> None:
    (message,) = prompt(case.problem)
    whole = "".join(case.steps)
    assert text(corpus.to_solve(case)) == f"<|user|>{message.content}<|end|><|assistant|>{whole}<|end|>"
    assert split(whole) == case.steps  # and its steps are those a run would find


@given(some)
def test_the_judges_reply_is_read_as_what_it_says(case: Solved) -> None:
    said = text(corpus.to_judge(case)).rpartition("<|assistant|>")[2].removesuffix("<|end|>")
    assert JUDGE.read(said, len(case.steps)).first_error == case.first_error


@given(some)
def test_the_reply_says_what_each_step_should_say_and_whether_it_does(case: Solved) -> None:
    said = text(corpus.reply(case))
    analysed = re.findall(r"<analysis_(\d+)>\n(.*?)(right|wrong)\n</analysis_\1>", said, re.DOTALL)
    checked = len(case.steps) if case.first_error == NO_ERROR else case.first_error + 1
    assert [int(number) for number, _, _ in analysed] == list(range(1, checked + 1))
    for (_, own, word), step in zip(analysed, case.steps, strict=False):
        assert (own.strip() == step.strip()) == (word == "right")
        assert "?" in own or first_error(case.problem, [own]) == NO_ERROR


def test_a_step_about_nothing_is_wrong_without_more() -> None:
    problem = world.problem("easy", 1, "train").text
    case = Solved(problem, ("Let me think.\n\n",), 0, (False,))
    assert text(corpus.reply(case)).startswith("<analysis_1>\nwrong\n</analysis_1>")


@given(some, st.integers(0, 10**9))
def test_every_example_is_made_of_known_tokens_that_give_the_text_back(case: Solved, seed: int) -> None:
    for example in (corpus.to_solve(case), corpus.to_judge(case), corpus.drill(random.Random(seed))):
        whole = encoded(TOKENIZER, text(example))
        assert UNKNOWN not in whole.tokens
        assert TOKENIZER.decode(whole.ids, skip_special_tokens=False) == text(example)


@given(some)
def test_pieces_are_cut_between_tokens(case: Solved) -> None:
    """Training encodes piece by piece, a run whole messages: both must see the same tokens."""
    for example in (corpus.to_solve(case), corpus.to_judge(case)):
        pieces = [encoded(TOKENIZER, piece.text).ids for piece in example if piece.text]
        assert list(itertools.chain.from_iterable(pieces)) == encoded(TOKENIZER, text(example)).ids


def test_the_longest_solution_has_no_more_steps_than_the_judge_can_count() -> None:
    longest = max(len(solve(world.read(p.text))) for p in world.problems("hard", 2000, "train"))
    assert 15 <= longest <= PARAGRAPHS


@pytest.mark.parametrize("said", ["Ann has 3 unicorns.", "é", "\0", "<paragraph_99>\n", "\\boxed{3}"])
def test_words_of_other_worlds_are_unknown(said: str) -> None:
    assert UNKNOWN in encoded(TOKENIZER, said).tokens


@pytest.mark.parametrize("control", CONTROL)
def test_control_tokens_are_one_token_each(control: str) -> None:
    assert encoded(TOKENIZER, f"So {control} Ann").tokens.count(control) == 1


@given(some)
def test_a_solution_has_at_most_one_slip_and_its_place_is_the_truth(case: Solved) -> None:
    assert case.first_error == first_error(case.problem, case.steps)
    before = case.steps if case.first_error == NO_ERROR else case.steps[: case.first_error]
    plain = [f"{line}\n\n" for line in solve(world.read(case.problem))]
    assert all(step.rstrip() + "\n\n" in plain for step in before)


def test_without_slips_all_is_right_and_with_them_most_is_not() -> None:
    assert {solved(seed, 0.0).first_error for seed in range(100)} == {NO_ERROR}
    wrong = sum(solved(seed, 1.0).first_error != NO_ERROR for seed in range(200))
    assert wrong > 180  # a wrong rule sometimes gives the right sentence


def kind(case: Solved) -> str:
    """What is wrong with the first wrong step, told from the step and the problem."""
    step = case.steps[case.first_error].strip()
    story = world.read(case.problem)
    found = OPERATION.search(step)
    if found is None:
        return "answer"
    a, x, op, b, y, name, said = found.groups()
    fact, known = story.facts[name], story.values()
    if op != fact.op:
        return "rule"
    if a != fact.a:
        return "person"
    if (b or y) != fact.b:
        return "whom"
    if (int(x), int(y)) != (known[a], known[b] if b else int(y)):
        return "put in"
    return "result" if int(said) != known[name] else "none"


def test_slips_are_of_every_kind_and_at_every_place() -> None:
    cases = [case for seed in range(600) if (case := solved(seed, 1.0)).first_error != NO_ERROR]
    kinds = Counter(kind(case) for case in cases)
    assert kinds.keys() == {"answer", "rule", "person", "whom", "put in", "result"}
    assert min(kinds.values()) >= 10
    assert {case.first_error for case in cases} >= set(range(10))


@pytest.mark.parametrize("dodges", [0.0, 1.0])
def test_who_was_left_out_is_made_up_or_dodged(dodges: float) -> None:
    looked = 0
    for seed in range(100):
        problem = world.problem("medium", seed, "train").text
        case = corpus.hasty(random.Random(seed), problem, dodges)
        assert case.first_error == first_error(problem, case.steps)
        about = re.match(r"So (\w+): (.*) = ", case.steps[case.first_error])
        if case.first_error == NO_ERROR or about is None:
            continue
        name, used = about.groups()
        story, stated = world.read(problem), " ".join(case.steps[: case.first_error])
        fact = story.facts[name]
        unknown = {who for who in (fact.a, fact.b) if who in story.facts and f"So {who}:" not in stated}
        assert len(unknown) == 1
        assert (unknown.pop() in used.split()) == (dodges == 0.0)
        looked += 1
    assert looked > 50


def test_slips_are_carried_on() -> None:
    """What follows a slip uses its wrong quantity, as a model that errs would."""
    carried = 0
    for seed in range(200):
        case = solved(seed, 1.0)
        rest = case.steps[case.first_error + 1 :] if case.first_error != NO_ERROR else ()
        carried += first_error(case.problem, rest) != NO_ERROR
    assert carried > 80


@given(some, st.sampled_from([0.0, 0.33]))
def test_only_right_steps_are_learnt_from_and_each_shown_step_has_its_verdict(case: Solved, each: float) -> None:
    if each:
        case = corpus.solution(random.Random(case.problem), case.problem, 0.0, each)
    assert case.first_error == (case.verdicts.index(False) if False in case.verdicts else NO_ERROR)
    solving = corpus.to_solve(case)
    assert [learnt(solving, step) for step in case.steps] == [{verdict} for verdict in case.verdicts]
    assert solving[-1].weight > 0
    judged = corpus.to_judge(case)
    assert [piece.verdict for piece in judged if piece.verdict is not None] == list(case.verdicts)
    shown = [f"<paragraph_{number}>\n{step.strip()}" for number, step in enumerate(case.steps, 1)]
    found = [learnt(judged, step, skip=step.index("\n") + 1) for step in shown]
    assert found == [{verdict} for verdict in case.verdicts]


def test_a_third_of_the_steps_wrong_is_told_step_by_step() -> None:
    cases = [
        corpus.solution(random.Random(seed), world.problem("hard", seed, "train").text, 0.0, 0.33) for seed in range(50)
    ]
    wrong = [verdict for case in cases for verdict in case.verdicts].count(False)
    assert 0.2 < wrong / sum(len(case.verdicts) for case in cases) < 0.4


@given(st.integers(0, 10**9), st.integers(1, 12))
def test_comparing_is_between_what_is_shown_and_what_should_be(seed: int, steps: int) -> None:
    said = text(corpus.compare(random.Random(seed), steps))
    shown = re.findall(r"<paragraph_\d+>\n(.*?)\n</paragraph", said)
    analysed = re.findall(r"<analysis_\d+>\n(.*?)\n(right|wrong)\n", said)
    assert len(shown) == len(analysed) == steps
    assert all((step == own) == (word == "right") for step, (own, word) in zip(shown, analysed, strict=True))
    assert UNKNOWN not in encoded(TOKENIZER, said).tokens


@given(st.integers(0, 10**9), st.integers(2, 20))
def test_looking_up_gives_what_was_told(seed: int, people: int) -> None:
    given_, _, asked = text(corpus.recall(random.Random(seed), people)).partition("<|assistant|>")
    told = dict(re.findall(r"(\w+) (\d+)\.", given_))
    found = re.findall(r"(\w+) (\d+)\.", asked)
    assert (len(told), len(found)) == (people, 2 * people + 2)
    assert all(told[name] == number for name, number in found)


@given(st.integers(0, 10**9), st.integers(2, 14))
def test_rules_are_looked_up_in_an_order_of_their_own(seed: int, count: int) -> None:
    example = corpus.rules(random.Random(seed), count)
    told, _, said = text(example).partition("<|end|><|assistant|>")
    story, lines = world.read(told), said.split("\n\n")[:-1]
    assert (len(story.facts), len(lines)) == (count, max(1, count // 2))
    assert set(lines) <= set(solve(story))
    assert [piece.text.strip() for piece in example if piece.weight == 1.0] == [line.split()[2] for line in lines]
    assert all(learnt(example, f"So {line.split()[1]}") == {False} for line in lines)
    pieces = [encoded(TOKENIZER, piece.text).ids for piece in example]
    assert list(itertools.chain.from_iterable(pieces)) == encoded(TOKENIZER, text(example)).ids


@given(some)
def test_operands_of_sentences_and_each_steps_beginning_and_operation_know_whose_they_are(case: Solved) -> None:
    story = world.read(case.problem)
    operands = [(name, operand) for name, fact in story.facts.items() for operand in (fact.a, fact.b)]
    lines = filter(None, map(re.compile(r"So (\w+): \w+ [\d?]+ (\S+) ").match, case.steps))
    steps = [(line[1], word) for line in lines for word in (f"{line[1]}:", line[2])]
    for example in (corpus.to_solve(case), corpus.to_judge(case)):
        known = [(piece.whose, piece.text.split()[-1]) for piece in example if piece.whose]
        assert sorted(known[: len(operands)]) == sorted(operands)
        assert known[len(operands) :][: len(steps)] == steps
        assert all(TOKENIZER.token_to_id(who) is not None for who, _ in known)
        pieces = [encoded(TOKENIZER, piece.text).ids for piece in example]
        assert list(itertools.chain.from_iterable(pieces)) == encoded(TOKENIZER, text(example)).ids


def test_some_solutions_go_through_the_people_in_another_order() -> None:
    cases = [solved(seed, 0.0) for seed in range(300)]
    plain = [[f"{line}\n\n" for line in solve(world.read(case.problem))] for case in cases]
    places = [[lines.index(step) for step in case.steps[:-1]] for case, lines in zip(cases, plain, strict=True)]
    assert 20 < sum(found != sorted(found) for found in places) < 120


@given(st.integers(0, 10**9))
def test_drills_are_true(seed: int) -> None:
    lines = text(corpus.drill(random.Random(seed))).removeprefix("<|assistant|>").split("\n\n")
    assert len(lines) == 13
    assert lines[-1] == ""
    for line in lines[:-1]:
        found = OPERATION.search(line)
        assert found
        assert world.apply(found[3], int(found[2]), int(found[5])) == int(found[7])


def test_training_never_sees_a_test_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    from pipeline.model import batches  # noqa: PLC0415 - needs torch

    splits = Counter[str]()
    problem = world.problem

    def watched(level: str, index: int, split: world.Split = "test") -> Any:
        splits[split] += 1
        return problem(level, index, split)

    monkeypatch.setattr(world, "problem", watched)
    for progress in (0.0, 0.5, 1.0):
        rng = random.Random(progress)
        for _ in range(60):
            assert batches.example(rng, progress, [])
    assert splits.keys() == {"train"}


@pytest.mark.slow
def test_an_interrupted_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs the extra `train`")
    pytest.importorskip("transformers", reason="training needs the extra `train`")
    from pipeline.model import train  # noqa: PLC0415 - needs torch

    first = train.Training(tmp_path, TOKENIZER, steps=2)
    told = first.run(1)
    assert told["steps"] == 1
    assert told["text"] > 0
    second = train.Training(tmp_path, TOKENIZER, steps=2)
    assert (second.done, second.progress) == (1, 0.5)
    for ours, theirs in zip(second.model.parameters(), first.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert second.run(5)["steps"] == 2
    done = train.Training(tmp_path, TOKENIZER, steps=2)
    assert done.progress == 1
    assert done.run(1)["steps"] == 2  # nothing is left to do


@pytest.mark.slow
def test_training_attends_as_the_model_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs the extra `train`")
    pytest.importorskip("transformers", reason="training needs the extra `train`")
    from pipeline.model import batches, train  # noqa: PLC0415 - both need torch

    model = train.Training(tmp_path, TOKENIZER, steps=2).model
    batch = next(batches.batches(TOKENIZER, random.Random(0), 0.5, []))
    assert (batch.targets_BT[:, -2] == batches.IGNORED).any()  # rows of several lengths
    ours = train.losses(model, batch)
    model.config._attn_implementation = "sdpa"
    for one, other in zip(ours, train.losses(model, batch), strict=True):
        assert torch.isclose(one, other, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isclose(ours[0], train.losses(model, batch)[0], rtol=0.05)


def test_whose_a_sentence_is_counts_only_once_rules_are_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    pytest.importorskip("transformers", reason="training needs the extra `train`")
    from pipeline.model import train  # noqa: PLC0415 - needs torch

    weights: list[float] = []

    def noted(_: object, __: object, ___: float, whose_weight: float) -> tuple[float, float, float]:
        weights.append(whose_weight)
        return 0.0, 0.0, 0.0

    monkeypatch.setattr(train.Training, "_step", noted)
    training = train.Training(tmp_path, TOKENIZER, steps=2)
    training.run(1)
    training.sizes["rules"] += 1
    training.run(1)
    assert weights == [0.0, train.WHOSE_WEIGHT]


@pytest.mark.slow
def test_training_looks_up_until_that_is_learnt_or_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    pytest.importorskip("transformers", reason="training needs the extra `train`")
    from pipeline.model import train  # noqa: PLC0415 - needs torch

    monkeypatch.setattr(train, "IN_VAIN", 1)
    with pytest.raises(RunError, match=r"among 2 people is not learnt after \d steps"):
        train.Training(tmp_path, TOKENIZER, steps=2).look_up()
    monkeypatch.setattr(train, "LEARNT", 1e9)
    monkeypatch.setattr(train, "IN_VAIN", 9)
    arts = {"people": train.Art(corpus.recall, 2, 4, 0.0), "rules": train.Art(corpus.rules, 8, 9, 0.5)}
    monkeypatch.setattr(train, "ARTS", arts)
    train.Training(tmp_path, TOKENIZER, steps=2).look_up()
    later = train.Training(tmp_path, TOKENIZER, steps=2)
    assert (later.sizes, later.looked, later.done) == ({"people": 5, "rules": 8}, 3, 0)  # rules are not due yet
    later.run(1)
    later.look_up()
    later = train.Training(tmp_path, TOKENIZER, steps=2)
    assert (later.sizes, later.looked, later.done) == ({"people": 5, "rules": 10}, 5, 1)
    later.look_up()
    assert later.looked == 5
