"""How many labels a trainer's maximal length would cut off, counted with the user's own tokenizer.

Trainers cut a sequence that is too long without a word, and its last labels with it.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import SettingError
from data.schema import Row
from pipeline.exports.formats import Format


@dataclass(slots=True)
class Lengths:
    """Counts over exported rows: labels, those beyond `most` tokens, rows that lose any; `longest` in tokens."""

    tokenizer: Any
    most: int
    form: Format
    labels: int = 0
    beyond: int = 0
    rows: int = 0
    cut_rows: int = 0
    longest: int = 0
    special: int = field(init=False)

    def __post_init__(self) -> None:
        self.special = self.tokenizer.num_special_tokens_to_add(False)

    def count(self, row: Row) -> None:
        """Count one exported row."""
        ends = [self.special + end for end in self._ends(row)]
        beyond = sum(end > self.most for end in ends)
        self.labels, self.beyond = self.labels + len(ends), self.beyond + beyond
        self.rows, self.cut_rows = self.rows + 1, self.cut_rows + (beyond > 0)
        self.longest = max(self.longest, *ends)

    def told(self) -> str:
        """Say it in a line."""
        if not self.beyond:
            return f"all {self.labels:,} labels lie within {self.most:,} tokens (the last at {self.longest:,})"
        return (
            f"{self.beyond:,} of {self.labels:,} labels, in {self.cut_rows:,} of {self.rows:,} rows, lie beyond "
            f"{self.most:,} tokens and would be cut off by the trainer (the last label is at {self.longest:,})"
        )

    def _ends(self, row: Row) -> Iterator[int]:
        """Yield the number of tokens up to and including that of each label."""
        pieces = self.form.pieces(row) if self.form.pieces else []
        if self.form.mark is None:
            counts = (sum(len(self._encoded(text).ids) for text in piece) for piece in pieces)
            yield from itertools.islice(itertools.accumulate(counts), 1, None)
            return
        ((text,),) = pieces
        encoded = self._encoded(text)
        token = 0
        for mark in re.finditer(self.form.mark, text):
            while token < len(encoded.ids) and encoded.offsets[token][1] < mark.end():
                token += 1
            yield token + 1

    def _encoded(self, text: str) -> Any:
        return self.tokenizer.encode(text, add_special_tokens=False)


def lengths(name: str, most: int, form: Format) -> Lengths:
    """Return a counter with the tokenizer of a folder, a tokenizer.json or a Hub id. Raises SettingError."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - only this check needs it

    if form.pieces is None:
        raise SettingError("what this format's readers tokenize is not laid down: leave out --tokenizer")
    path = Path(name)
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises plain Exceptions
        raise SettingError(
            f"no tokenizer {name!r} ({error}): give a folder with tokenizer.json, that file, or a Hub id"
        ) from error
    tokenizer.no_truncation()
    return Lengths(tokenizer, most, form)
