"""An engine specification ("embedded", "openai:MODEL@URL") becomes an engine; its libraries are imported only then."""

from data.errors import SettingError
from pipeline.engines.scripted import Script, Scripted
from pipeline.limiter import DEFAULT, Limited, Limits
from stages.engine import Engine


def make(specification: str, script: Script, limits: Limits = DEFAULT) -> Engine:
    """Return the engine; `script` is for the scripted one, `limits` for endpoints.

    Raises SettingError for a specification nobody knows.
    """
    kind = specification.partition(":")[0]
    if kind == "scripted":
        return Scripted(script)
    if kind == "embedded":
        from pipeline.engines.embedded import Embedded  # noqa: PLC0415 - loads ctranslate2 and the model

        return Embedded()
    if kind == "openai":
        from pipeline.engines.openai import OpenAI  # noqa: PLC0415 - loads the SDK

        return Limited(OpenAI(specification), limits)
    raise SettingError(f"no engine {specification!r}: there are embedded, scripted and openai:MODEL@URL")
