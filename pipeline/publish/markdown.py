"""Text of others in a Markdown page: shown as it is, never read as markup, a table's edge or a tag."""

import re
from collections.abc import Iterable, Iterator, Sequence

LONGEST = 300  # characters of a text in a line


def code(text: object) -> str:
    """Return a text as code on one line, shortened; control characters are written out.

    Backticks and bars end a span or a table's cell whatever stands around them, so where there are any, all but letters
    and digits become character references, which are never markup.
    """
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))
    line = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
    if line.strip() and not re.search("[`|]", line):
        return f"`{line}`"
    return f"<code>{''.join(c if c.isalnum() or c == ' ' else f'&#{ord(c)};' for c in line)}</code>"


def block(text: str, language: str = "") -> str:
    """Return a text as a code block that no line of it can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; what is not ours in its cells is `code`."""
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
