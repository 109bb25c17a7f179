"""A run on the Hugging Face Hub: exactly the files that its manifest counts, in one commit.

Each shard is read, checked against its seal and sent, one batch after another, so a run may lie in a store and be
larger than memory. What an earlier push left there and this run does not have is deleted by the same commit.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError

from data import shards
from data.errors import PipelineError, RunError, SettingError
from pipeline import run
from pipeline.publish import card, public
from pipeline.run import Run

EXTRA = ("report.html",)  # goes along where there is one
TOGETHER = 32  # files in memory and on their way at a time
_WORDS = 300  # characters of another's message that are passed on
_REPOSITORY = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
_OURS = re.compile(rf"(?:{'|'.join(shards.SIDES)})/[^/]+\.parquet|ledger/.+\.seg")


def push(made: Run, repository: str, *, private: bool = True, partial: bool = False, ledger: bool = False) -> str:
    """Upload a run and return the address of the commit.

    Raises SettingError without a token or for a name that is none, RunError where the run is not finished (unless
    `partial`) or the Hub does not take it.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise SettingError(f"{repository!r} names no repository: give REPO=owner/name")
    if not partial and not run.told(made.place).get("finished"):
        raise RunError(f"{made.place} is not finished: `make synth` goes on with it, --partial uploads what there is")
    if get_token() is None:
        raise SettingError("no token for the Hub: set HF_TOKEN, or log in with `hf auth login`")
    api = HfApi()
    with _hub(repository):
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        there = api.list_repo_files(repository, repo_type="dataset")
        operations: list[Any] = []
        files = _files(made, ledger=ledger)
        while additions := [CommitOperationAdd(name, data) for name, data in islice(files, TOGETHER)]:
            api.preupload_lfs_files(repository, additions, repo_type="dataset")
            operations += additions
        sent = {operation.path_in_repo for operation in operations}
        operations += [CommitOperationDelete(name) for name in there if _OURS.fullmatch(name) and name not in sent]
        said = f"{made.recipe.data.source.rpartition('/')[2]}: run {made.id}"
        return str(api.create_commit(repository, operations, commit_message=said, repo_type="dataset").commit_url)


def _files(made: Run, *, ledger: bool) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of all that is uploaded. Raises RunError for a shard that is not as it was sealed."""
    yield card.FILE, card.text(made).encode()
    yield run.FILE, _recipe(made)
    yield shards.MANIFEST, (made.place / shards.MANIFEST).read()
    for name in EXTRA:
        if (made.place / name).exists():
            yield name, (made.place / name).read()
    for side in shards.SIDES:
        yield from shards.files(made.place, side)
    if ledger:
        yield run.MODELS, (made.place / run.MODELS).read()
        yield from _ledger(made)


def _recipe(made: Run) -> bytes:
    """Return run.json as others may read it: no paths of this machine, no ledger that they could not reach."""
    told = run.told(made.place)
    origin = told.get("refiltered")
    kept: dict[str, Any] = {
        name: told[name] for name in ("id", "fingerprint", "bits", "versions", "finished") if name in told
    }
    kept |= {"recipe": public.settings(made.recipe), "ledger": None}
    kept |= {"data": public.plain(told["data"])} if "data" in told else {}
    kept |= {"refiltered": {name: origin[name] for name in ("id", "fingerprint")}} if origin else {}
    return (json.dumps(kept, indent=1) + "\n").encode()


def _ledger(made: Run) -> Iterator[tuple[str, bytes]]:
    for part in made.ledger.names():
        for name in (made.ledger / part).names():
            if name.endswith(".seg"):
                yield f"{run.LEDGER}/{part}/{name}", (made.ledger / part / name).read()


@contextmanager
def _hub(repository: str) -> Iterator[None]:
    """Say in a sentence what the Hub, or the way to it, has against an upload."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:  # the one boundary to the Hub's client, which raises what its parts raise
        raise RunError(_told(repository, error)) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of; the last says what really happened."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _told(repository: str, error: BaseException) -> str:
    causes = list(_causes(error))
    first = next((one for one in causes if isinstance(one, HfHubHTTPError)), causes[-1])
    words = " ".join(public.secretless(str(first)).split())[:_WORDS]
    status = first.response.status_code if isinstance(first, HfHubHTTPError) else None
    if status == 401:
        return (
            "the Hub does not know the token (401): log in with `hf auth login`, or set HF_TOKEN to one that is valid"
        )
    if status == 403:
        return f"the token may not write to {repository} (403): take one that may, or another REPO"
    where = public.secretless(constants.ENDPOINT)
    return (
        f"{repository} could not be uploaded to {where}: {type(first).__name__}: {words}. Nothing of it is to be seen "
        "there; the same command tries again"
    )
