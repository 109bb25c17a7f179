"""How often Python looks for cycles of garbage, in processes that hold thousands of coroutines."""

import gc

SELDOM = 20_000, 20, 20  # objects made until the young ones are looked through; rounds until older ones, and all, are


def seldom() -> None:
    """Look for cycles seldom, and no more at what is there now. For an engine's process, as it starts.

    Nearly everything is freed by its count of references. With 2,048 requests in flight Python's usual thresholds cost
    a third of all CPU: each look goes through what is in flight, in vain (bench.goodput).
    """
    gc.freeze()
    gc.set_threshold(*SELDOM)
