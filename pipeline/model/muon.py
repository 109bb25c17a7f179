"""Muon: momentum whose matrix updates are made orthogonal by Newton-Schulz steps (Jordan et al., 2024).

torch's own does this in bfloat16, one matrix after another, which took half of all training time on two cores; here
matrices of one shape go through together in float32 (docs/decisions/002).
"""

from collections import defaultdict
from collections.abc import Iterable

import torch

_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5
MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):  # type: ignore[misc]  # torch is not type-checked
    """Optimiser of 2-D weights; learning rates are those of AdamW (updates are scaled to its usual size)."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], weight_decay: float) -> None:
        super().__init__(parameters, {"lr": 0.0, "weight_decay": weight_decay})

    @torch.no_grad()  # type: ignore[untyped-decorator]  # as above
    def step(self) -> None:
        """Update all weights from their gradients."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for weight in group["params"]:
                shapes[weight.shape].append(weight)
            for shape, weights in shapes.items():
                moved = orthogonal(torch.stack([self._momentum(weight) for weight in weights]))
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                for weight, update in zip(weights, moved, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _momentum(self, weight: torch.nn.Parameter) -> torch.Tensor:
        buffer = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
        buffer.lerp_(weight.grad, 1 - MOMENTUM)
        return torch.lerp(weight.grad, buffer, MOMENTUM)


def orthogonal(updates_NRC: torch.Tensor) -> torch.Tensor:
    """Return the N matrices with all singular values near 1."""
    tall = updates_NRC.shape[1] > updates_NRC.shape[2]
    x = updates_NRC.mT if tall else updates_NRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.mT if tall else x
