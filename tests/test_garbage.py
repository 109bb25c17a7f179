import gc

from pipeline import garbage


def test_cycles_are_looked_for_seldom_but_still_found() -> None:
    usual = gc.get_threshold()
    try:
        garbage.seldom()
        assert gc.isenabled()
        assert gc.get_threshold() == garbage.SELDOM
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        assert gc.collect() > 0
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
