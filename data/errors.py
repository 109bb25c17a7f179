"""Every error a user can meet, in one tree. A message says what is wrong, where, and what to do.

PipelineError
├── SettingError      a setting is unknown, contradictory or out of range
├── SourceError       a dataset, file or column cannot be used; names file, row and column
├── RunError          a run directory is in use, damaged, or belongs to another recipe
└── EngineError       a model did not answer
    ├── Unavailable   for now: asking again may help
    │   └── Died      once it has been started again
    └── Refused       for good: the same ask will always fail
"""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str | None:
    """Return what was probably meant by a name that does not exist; None where nothing is like it."""
    return next(iter(difflib.get_close_matches(name, names, 1, cutoff)), None)


class PipelineError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""


class SettingError(PipelineError):
    """A setting is unknown, contradictory or out of range."""


class SourceError(PipelineError):
    """A dataset, file or column cannot be used."""


class RunError(PipelineError):
    """A run directory is in use, damaged, or belongs to another recipe."""


class EngineError(PipelineError):
    """A model did not answer."""


class Unavailable(EngineError):
    """The engine cannot answer now; the same ask may succeed later."""


class Died(Unavailable):
    """The engine's process is no longer of use; started again, it may answer."""


class Refused(EngineError):
    """The engine will never answer this ask (too long, unknown model, no permission)."""
