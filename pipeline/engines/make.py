"""An engine specification ("embedded", "vllm:MODEL") becomes an engine; its libraries are imported only then."""

from importlib.util import find_spec
from pathlib import Path

from data.errors import SettingError
from pipeline.engines.scripted import Scripted
from pipeline.limiter import Limited, Limits
from pipeline.settings import ENGINES, Recipe
from stages.engine import Engine

_PATHS = (".", "/", "~")  # what no Hub id begins with


def make(specification: str, recipe: Recipe, gpus: int = 0) -> Engine:
    """Return the engine, set up as the recipe says, on `gpus` GPUs. Raises SettingError for one nobody knows."""
    kind, _, model = specification.partition(":")
    if kind == "scripted":
        return Scripted(recipe.script())
    if kind == "embedded":
        from pipeline.engines.embedded import Embedded, found  # noqa: PLC0415 - loads ctranslate2 and the model

        return Embedded(found(model)) if model else Embedded()
    if kind == "openai":
        from pipeline.engines.openai import OpenAI  # noqa: PLC0415 - loads the SDK

        cluster = recipe.cluster
        return Limited(OpenAI(specification), Limits(cluster.requests, cluster.deadline, cluster.patience))
    if kind == "vllm" and model:
        try:
            from pipeline.engines.vllm import VLLM  # noqa: PLC0415 - loads vllm and the model
        except ImportError as error:
            raise SettingError(f"{specification}: vllm cannot be imported ({error}): `make install-vllm`") from error
        return VLLM(model, recipe.vllm_for(model), gpus, recipe.cluster.memory_share)
    raise SettingError(f"no engine {specification!r}: there are {', '.join(ENGINES)}")


def check(specification: str, recipe: Recipe) -> None:
    """Raise SettingError where this machine could not make the engine, as far as can be told without making it."""
    kind, _, model = specification.partition(":")
    if kind == "embedded":
        from pipeline.engines.embedded import FOLDER, check_files, found  # noqa: PLC0415 - loads ctranslate2

        check_files(found(model) if model else FOLDER)
    if kind == "openai":
        from pipeline.engines.openai import check_key  # noqa: PLC0415 - loads the SDK

        check_key(specification)
    if kind != "vllm":
        return
    if find_spec("vllm") is None:
        raise SettingError(f"{specification}: vllm is not installed: `make install-vllm`")
    template = recipe.vllm_for(model).chat_template
    for name, path in (("model", model if model.startswith(_PATHS) else None), ("vllm.chat_template", template)):
        if path and not Path(path).exists():
            raise SettingError(f"{specification}: no file or folder {path} ({name})")
