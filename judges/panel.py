"""Several judges, one verdict: how opinions that may differ, or be missing, become one.

A verdict without opinion (None) abstains and never counts as "no error"; where nobody has one, or the rule finds no
winner, the panel has none either and says why.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from data.records import NO_ERROR, Verdict

Rule = Literal["majority", "all", "any"]


def plurality(votes: Iterable[int | None]) -> tuple[int | None, str | None]:
    """Return the vote cast more often than any other; None with "tie" or "unparsed" where there is none."""
    ranked = Counter(vote for vote in votes if vote is not None).most_common(2)
    if not ranked:
        return None, "unparsed"
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        return None, "tie"
    return ranked[0][0], None


def decide(verdicts: Sequence[Verdict], rule: Rule) -> Verdict:
    """Combine verdicts on one trace; `votes` holds the first error each judge gave.

    majority: the first error named more often than any other (a tie is undecided).
    all:      the first error that all judges with an opinion name, "no error" included.
    any:      the earliest step that any judge calls wrong; "no error" where none does.
    """
    votes = tuple(verdict.first_error for verdict in verdicts)
    opinions = [vote for vote in votes if vote is not None]
    if not opinions:
        return Verdict(None, votes, "no opinion")
    if rule == "majority":
        winner, reason = plurality(opinions)
        return Verdict(winner, votes, reason)
    if rule == "all":
        return Verdict(opinions[0], votes) if len(set(opinions)) == 1 else Verdict(None, votes, "disagreement")
    return Verdict(min((vote for vote in opinions if vote != NO_ERROR), default=NO_ERROR), votes)
