"""Asks each prompt twice with datatrove's inference runner, in an environment of its own (see bench/peers.py).

As in its examples: one task of a local executor, a rollout that sends one request, JSON lines, checkpoints, bad
requests skipped. Run again, it goes on from its checkpoints. Arguments: prompts, folder, URL, what bench/peers.py sets.
"""

import json
import sys
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


async def rollout(document: Document, generate: Any) -> Any:
    """Ask once."""
    return await generate({"messages": [{"role": "user", "content": document.text}]})


def row(_: Any, document: Document) -> dict[str, Any]:
    """Return what bench/peers.py reads."""
    return {
        "id": document.id,
        "texts": [result["text"] for result in map(_plain, document.metadata["rollout_results"])],
    }


def _plain(result: Any) -> Any:
    """Documents read from a checkpoint hold dictionaries, others the runner's own results."""
    return result if isinstance(result, dict) else vars(result)


def main() -> None:
    """Run the pipeline."""
    prompts, folder, url, settings = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
    config = InferenceConfig(
        server_type="endpoint",
        model_name_or_path=settings["model"],
        endpoint_url=url.removesuffix("/v1"),  # it appends /v1/models, and /v1/chat/completions
        api_key="none",
        default_generation_params={"temperature": 1.0, "top_p": 1.0, "max_tokens": settings["max_tokens"]},
        rollouts_per_document=settings["samples"],
        max_concurrent_generations=settings["in_flight"],
        request_timeout=settings["deadline"],
    )
    runner = InferenceRunner(
        rollout_fn=rollout,
        config=config,
        output_writer=JsonlWriter(
            str(folder / "rows"), output_filename="${rank}_${chunk_index}.jsonl", compression=None, adapter=row
        ),
        checkpoints_local_dir=str(folder / "checkpoints"),
        records_per_chunk=settings["in_flight"],
        skip_bad_requests=True,
    )
    reader = JsonlReader(str(prompts.parent), glob_pattern=prompts.name, text_key="text", id_key="id")
    LocalPipelineExecutor([reader, runner], tasks=1, logging_dir=str(folder / "logs")).run()


if __name__ == "__main__":
    main()
