"""The settings that say which problems a run is about.

All but `limit` are in the recipe's fingerprint: a run with other problems is another one. A larger limit adds to it.
"""

from pydantic import BaseModel, ConfigDict, Field

from data import selection


class Settings(BaseModel):
    """What all groups of settings are: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Data(Settings):
    """Which problems."""

    source: str = Field("arith", description="a known name, a file (.jsonl .json .csv .parquet), or a Hub owner/name")
    limit: int | None = Field(None, ge=1, description="so many problems, picked as `pick` says; all where not given")
    pick: selection.Pick = Field(
        "first", description="first: in the source's order; random: by chance, which `seed` is"
    )
    levels: tuple[str | int, ...] = Field((), description="only problems of these levels; 5 is also 'Level 5'")
    pass_rate: tuple[float, float] | None = Field(
        None, description="only problems of which so large a share of tries is right, as the data says: least, most"
    )
    balance: int | None = Field(
        None, ge=1, description="at most so many right and so many wrong solutions of a problem that brings some"
    )
    deduplicate: bool = Field(default=True, description="one problem written in two ways counts once")
    against: tuple[str, ...] | None = Field(
        None,
        description="evaluation sets, by name or file, of which no problem is taken; where not given, those known by "
        "name if the source is a training set known by name",
    )
    columns: dict[str, str | list[str]] = Field(
        default_factory=dict, description="problem, gold, id, level, solutions, policy, pass_rate, right"
    )
    revision: str | None = Field(None, description="commit of a Hub dataset")
    config: str | None = Field(None, description="configuration of a Hub dataset")
    split: str | None = Field(None, description="split of a Hub dataset")
    seed: int = Field(0, ge=0, description="for problems that are made on the spot, and for what is picked by chance")

    def selection(self, *, given: bool) -> selection.Selection:
        """Return what decides which problems are taken; `given`: solutions that they bring are."""
        levels = tuple(map(str, self.levels))
        return selection.Selection(
            levels, self.pass_rate, self.balance, self.pick, self.deduplicate, given=given, seed=self.seed
        )
