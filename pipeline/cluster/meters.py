"""What a run has counted, as Ray's own metrics: where a cluster has a Prometheus, it finds them among Ray's."""

from ray.util.metrics import Counter, Gauge

from pipeline.progress import Health, Progress

RUN, ENGINE, CAUSE = ("run",), ("run", "engine"), ("run", "engine", "cause")


class Meters:
    """Sets `stepwise_...`, tagged with the run's id: counters of this driver, and how the engines are now."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, ...], float] = {}
        self._solutions = Counter("stepwise_solutions", "solutions labelled", RUN)
        self._kept = Counter("stepwise_solutions_kept", "solutions labelled and kept", RUN)
        self._asked = Counter("stepwise_samples_asked", "samples asked of an engine", ENGINE)
        self._recalled = Counter("stepwise_samples_recalled", "samples answered from the ledger", ENGINE)
        self._written = Counter("stepwise_tokens_written", "tokens an engine wrote", ENGINE)
        self._read = Counter("stepwise_tokens_read", "tokens of prompts an engine read", ENGINE)
        self._failed = Counter("stepwise_requests_failed", "requests to an endpoint that failed", CAUSE)
        self._gauges = {
            name: Gauge(f"stepwise_requests_{name}", f"requests to an endpoint: {name}", ENGINE)
            for name in ("in_flight", "waiting", "limit")
        }

    def set(self, now: Progress, health: Health, run: str) -> None:
        """Take new counts; a count that has become less is one that began anew."""
        self._raise(self._solutions, now.finished, run=run)
        self._raise(self._kept, now.kept, run=run)
        for engine, paid in now.engines.items():
            for counter, total in (
                (self._asked, paid.asked),
                (self._recalled, paid.recalled),
                (self._written, paid.written),
                (self._read, paid.read),
            ):
                self._raise(counter, total, run=run, engine=engine)
        for engine, state in health.items():
            for name, gauge in self._gauges.items():
                gauge.set(state.get(name, 0), {"run": run, "engine": engine})
            for cause, failed in state.get("errors", {}).items():
                self._raise(self._failed, failed, run=run, engine=engine, cause=cause)

    def _raise(self, counter: Counter, total: float, **tags: str) -> None:
        key = (counter.info["name"], *tags.values())
        more = total - self._totals.get(key, 0)
        self._totals[key] = total
        if more := more if more >= 0 else total:
            counter.inc(more, tags)
