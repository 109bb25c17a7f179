"""Decides how many requests an endpoint may have in flight: additive increase, multiplicative decrease, by goodput.

The limit grows by one an answer at first, which doubles it in a round of `limit` answers; once cut, by one a round.
A "too many" cuts it once a round trip. Where rounds bring no more tokens a second, what is added only waits in the
endpoint's own queue: the limit goes back to where goodput was best and rests there before it tries again.
"""

from dataclasses import dataclass, field

START = 16
CUT = 0.7
GAIN = 1.05  # of goodput, for a round to count as better
FLAT = 2  # rounds without gain after which growing ends
REST = 20  # rounds before it is tried again


@dataclass(slots=True)
class Pace:
    """The number of requests that may be in flight, between 1 and `most`; times in seconds, from any clock."""

    most: int
    _limit: float = field(init=False)
    _doubling: bool = True
    _cut: float = float("-inf")
    _began: float | None = None
    _answers: int = 0
    _worth: int = 0
    _size: float = 0.0  # answers that make a round
    _best: tuple[float, float] = (0.0, 1.0)  # goodput, and the limit it was reached at
    _flat: int = 0
    _resting: int = 0

    def __post_init__(self) -> None:
        self._limit = float(min(START, self.most))

    @property
    def limit(self) -> int:
        """Requests that may be in flight."""
        return int(self._limit)

    def answered(self, now: float, worth: int, *, sent: float, full: bool) -> None:
        """Count an answer of so much worth (tokens) to a request sent then; it tells something while more are waiting.

        A round takes a round trip at least: answers that take equally long come in bursts, whose pace is nobody's.
        """
        if not full or self._began is None:
            self._round(now if full else None)
            return
        self._answers, self._worth = self._answers + 1, self._worth + worth
        if not self._resting:
            self._grow()
        if self._answers >= self._size and sent >= self._began and now > self._began:
            self._judge(self._worth / (now - self._began))
            self._round(now)

    def cut(self, now: float, sent: float) -> None:
        """Take back some of the limit, unless the request was sent before it was last cut."""
        if sent >= self._cut:
            self._limit, self._doubling, self._cut = max(1.0, self._limit * CUT), False, now
            self._best, self._flat, self._resting = (0.0, 1.0), 0, 0
            self._round(None)

    def calm(self) -> None:
        """Begin again at no more than what one begins with: the endpoint has been away."""
        self._limit, self._doubling = min(self._limit, float(START)), True
        self._best, self._flat, self._resting = (0.0, 1.0), 0, 0
        self._round(None)

    def _grow(self) -> None:
        self._limit = min(float(self.most), self._limit + (1.0 if self._doubling else 1.0 / self._limit))

    def _round(self, now: float | None) -> None:
        self._began, self._answers, self._worth, self._size = now, 0, 0, self._limit

    def _judge(self, goodput: float) -> None:
        """End a round: better, or flat; or one more of rest."""
        if self._resting:
            self._resting -= 1
            if not self._resting:  # by single steps nothing would ever be seen to gain
                self._best, self._doubling = (goodput, self._limit), True
        elif goodput > self._best[0] * GAIN:
            self._best, self._flat = (goodput, self._limit), 0
        elif self._limit < self.most:
            self._flat += 1
            if self._flat >= FLAT:
                self._limit, self._doubling = max(1.0, self._best[1]), False
                self._flat, self._resting = 0, REST
