"""The judge of step data that brings its own labels: repeats what people, or the dataset's rollouts, said."""

from dataclasses import dataclass

from data.records import NO_ERROR, Trace, Verdict

NO_RATINGS = "the dataset has no labels"
UNRATED_BEFORE = "an earlier step has no label"


@dataclass(frozen=True, slots=True)
class Given:
    """The dataset as a judge."""

    fingerprint: str = "given/1"

    def read(self, trace: Trace) -> Verdict:
        """First step whose value is 0, where every step before it has one; -1 where all are above 0."""
        if not trace.ratings:
            return Verdict(None, (None,), NO_RATINGS)
        for index, rating in enumerate(trace.ratings):
            if not rating:
                return Verdict(None, (None,), UNRATED_BEFORE) if rating is None else Verdict(index, (index,))
        return Verdict(NO_ERROR, (NO_ERROR,))
