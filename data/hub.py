"""Opens a dataset of the Hub, or a local folder as one; without a network, from the cache."""

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from data.errors import SourceError
from data.registry import Hub

_PATIENCE: Final = 5.0  # seconds until the Hub counts as not reachable
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")

Parts = list[Iterable[Mapping[str, Any]]]


def opened(hub: Hub) -> tuple[Parts, str | None, bool]:
    """Return the rows of every configuration, the commit they are of where it is known, and whether the Hub was asked.

    Raises SourceError with what to give instead.
    """
    import datasets  # noqa: PLC0415 - takes a second to import, and only Hub datasets need it

    local, before = Path(hub.name).is_dir(), datasets.config.HF_HUB_OFFLINE
    offline = not local and (before or not reachable())
    commit = None if local else _commit(hub, ask=not offline)
    datasets.config.HF_HUB_OFFLINE = (
        before or offline
    )  # else its client retries for half a minute before it looks in the cache
    revision = commit or hub.revision
    try:
        parts = [datasets.load_dataset(hub.name, one, split=hub.split, revision=revision) for one in hub.configs]
    except Exception as error:  # the one boundary to the Hub's client, which raises what its parts raise
        advice = (
            " Without a network and with nothing cached, give a file: DATASET=path/to/file.jsonl" if offline else ""
        )
        raise SourceError(f"{hub.name} cannot be loaded: {str(error).strip()}.{advice}") from error
    finally:
        datasets.config.HF_HUB_OFFLINE = before
    return parts, commit, not offline


@functools.cache
def reachable() -> bool:
    """Whether the Hub answers at all, be it with a refusal; asked once."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - as above
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 - as above

    try:
        HfApi().dataset_info("openai/gsm8k", timeout=_PATIENCE)
    except HfHubHTTPError:
        return True
    except Exception:  # noqa: BLE001 - whichever HTTP client is installed has its own words for "no network"
        return False
    return True


def _commit(hub: Hub, *, ask: bool) -> str | None:
    """Return the commit that a dataset's revision names now; None where only the Hub knows, and does not say."""
    if hub.revision and _COMMIT.fullmatch(hub.revision):
        return hub.revision
    return _newest(hub.name, hub.revision) if ask else None


def _newest(name: str, revision: str | None) -> str | None:
    from huggingface_hub import HfApi  # noqa: PLC0415 - as above

    try:
        commit: str | None = HfApi().dataset_info(name, revision=revision, timeout=_PATIENCE).sha
    except Exception:  # noqa: BLE001 - loading it, which comes next, has the better words for what is wrong
        return None
    return commit
