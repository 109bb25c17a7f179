"""Step scores of a process reward model behind an endpoint (vLLM's `/pooling`), kept in a file as they come.

The chat is Qwen2.5-Math-PRM's: the solution's steps, a mark after each, of which the model says how probably all is
right so far. What the file holds already is not asked again, so that the same command goes on.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from data import files
from data.errors import Refused, Unavailable
from data.records import Trace
from judges.judge import fence
from pipeline.engines.openai import OpenAI
from pipeline.exports.formats import EXTRA, SYSTEM
from pipeline.limiter import Failure

AT_ONCE: Final = 32
TRIES: Final = 6
DEADLINE: Final = 600.0  # seconds a request may take
LONGEST_PAUSE: Final = 30.0  # seconds between tries


def chat(trace: Trace) -> list[dict[str, str]]:
    """Return the messages that are scored; a mark inside a step's own text is fenced."""
    marked = "".join(fence(step).strip() + EXTRA for step in trace.steps)
    turns = (("system", SYSTEM), ("user", fence(trace.problem)), ("assistant", marked))
    return [{"role": role, "content": text} for role, text in turns]


def rate(specification: str, traces: Mapping[str, Trace], file: Path) -> list[str]:
    """Score what `file` does not hold yet, and add it; return why some could not be scored, by id.

    Raises Unavailable where the endpoint stays away, SettingError where it would refuse everything.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.truncate(file, file.read_bytes().rfind(b"\n") + 1)  # a line that was being written when it was killed
    known = {str(row["id"]) for _, row in files.rows(file)}
    owed = {name: trace for name, trace in traces.items() if name not in known}
    return asyncio.run(_rate(OpenAI(specification), owed, file))


async def _rate(engine: OpenAI, owed: Mapping[str, Trace], file: Path) -> list[str]:
    room, refused = asyncio.Semaphore(AT_ONCE), []
    with file.open("a", encoding="utf-8") as out:

        async def one(name: str, trace: Trace) -> None:
            async with room:
                try:
                    scores = await _scores(engine, trace)
                except Refused as error:
                    refused.append(f"{name}: {error}")
                    return
            print(json.dumps({"id": name, "scores": scores}), file=out, flush=True)

        try:
            async with asyncio.TaskGroup() as group:
                for name, trace in owed.items():
                    group.create_task(one(name, trace))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            await engine.close()
    return refused


async def _scores(engine: OpenAI, trace: Trace) -> list[float]:
    """Ask until there is an answer. Raises Refused where it is not one score a step."""
    for number in range(TRIES):
        try:
            rated = await asyncio.wait_for(engine.rate(chat(trace)), DEADLINE)
        except (Failure, TimeoutError) as error:
            last = error
            await asyncio.sleep(getattr(error, "retry_after", None) or min(2.0**number / 4, LONGEST_PAUSE))
            continue
        if len(rated) != len(trace.steps):
            raise Refused(f"{len(rated)} scores came back for {len(trace.steps)} steps: is it a process reward model?")
        return [values[-1] for values in rated]
    raise Unavailable(f"{engine.name} did not answer {TRIES} times: {last}")
