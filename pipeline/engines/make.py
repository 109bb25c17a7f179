"""An engine specification ("embedded", "scripted") becomes an engine; libraries are imported only where one is used."""

from data.errors import SettingError
from pipeline.engines.scripted import Script, Scripted
from stages.engine import Engine


def make(specification: str, script: Script) -> Engine:
    """Return the engine; `script` is for the scripted one. Raises SettingError for a specification nobody knows."""
    kind = specification.partition(":")[0]
    if kind == "scripted":
        return Scripted(script)
    if kind == "embedded":
        from pipeline.engines.embedded import Embedded  # noqa: PLC0415 - loads ctranslate2 and the model

        return Embedded()
    raise SettingError(f"no engine {specification!r}: there are embedded and scripted")
