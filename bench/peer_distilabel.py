"""Asks for two generations of each prompt with distilabel, in an environment of its own (see bench/peers.py).

As in its documentation: a pipeline of TextGeneration over an OpenAILLM with a `base_url`, its default six retries, its
cache. Run again, it goes on from its cache. Arguments: prompts, folder, URL, what bench/peers.py sets.
"""

import json
import sys
from pathlib import Path

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration


def main() -> None:
    """Run the pipeline, and write its rows."""
    prompts, folder, url, settings = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
    asked = [json.loads(line) for line in prompts.read_text().splitlines()]
    with Pipeline("peer", cache_dir=folder / "cache") as pipeline:
        llm = OpenAILLM(
            model=settings["model"],
            base_url=url,
            api_key="none",
            timeout=settings["deadline"],
            generation_kwargs={"max_new_tokens": settings["max_tokens"]},
        )
        load = LoadDataFromDicts(
            data=[{"id": one["id"], "instruction": one["text"]} for one in asked], batch_size=settings["in_flight"]
        )
        load >> TextGeneration(
            llm=llm,
            num_generations=settings["samples"],
            input_batch_size=settings["in_flight"],  # it asks a batch at once, and waits for all of it
        )
    made = pipeline.run(use_cache=True)["default"]["train"]
    (folder / "rows").mkdir(exist_ok=True)
    with (folder / "rows" / "all.jsonl").open("w") as file:
        file.writelines(json.dumps({"id": one["id"], "texts": [one["generation"]]}) + "\n" for one in made)


if __name__ == "__main__":
    main()
