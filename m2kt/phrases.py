"""Finding a phrase in any dress: another case, accents, spacing, letters that look alike.

Look-alikes are those of Unicode's own list (UTS 39, as the package `confusable-homoglyphs`
has it) that resemble a sign of ASCII, alone or without their marks. Not found: signs of
ASCII that resemble one another (0 and O, 1 and l, rn and m), one sign that resembles several,
signs put between the letters, and the same thing in other words.

Owns: `Phrase`, `folded`.
Does not own: which phrases are denied (screen). Free of torch.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Final, final

from confusable_homoglyphs.confusables import confusables_data

_MARKS: Final = frozenset({"Mn", "Me"})
_UNSEEN: Final = frozenset({"Cf", "Cc"})
_FILLERS: Final = frozenset("\u115f\u1160\u2800")
"""Letters and a symbol that show as nothing; two more become these by compatibility."""


@final
class Phrase:
    """What is looked for.

    Attributes:
        text: As `folded` gives it; empty if nothing of it can be seen.
    """

    def __init__(self, text: str) -> None:
        self.text = folded(text)
        self._shape = re.compile("".join(map(_shape, self.text)))

    def within(self, text: str) -> bool:
        """Whether a text that was `folded` contains the phrase, or what looks like it."""
        return self._shape.search(text) is not None


def folded(text: str) -> str:
    """Without differences of case, compatible forms, marks, spacing, and what cannot be seen."""
    return " ".join(_bare(_bare(text).casefold()).split())


def _bare(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in plain if sign.isspace() or not _hidden(sign))


def _hidden(sign: str) -> bool:
    return unicodedata.category(sign) in _MARKS | _UNSEEN or sign in _FILLERS


def _shape(sign: str) -> str:
    """A pattern of all signs that look like this one."""
    looks, readers = _look_alikes()
    names = looks.get(sign, frozenset({sign}))
    alike = {sign}.union(names, *(readers.get(name, frozenset()) for name in names))
    return "[" + "".join(map(re.escape, sorted(alike))) + "]"


@cache
def _look_alikes() -> tuple[Mapping[str, frozenset[str]], Mapping[str, frozenset[str]]]:
    """From a folded sign to the signs of ASCII that it resembles, and back.

    A letter resembles what it resembles in either case: a text may have come in capitals.
    """
    looks: dict[str, set[str]] = defaultdict(set)
    readers: dict[str, set[str]] = defaultdict(set)
    for sign, others in confusables_data.items():
        its = folded(sign)
        if len(its) != 1 or its.isascii():
            continue
        for name in (folded(other["c"]) for other in others):
            if len(name) == 1 and name.isascii():
                looks[its].add(name)
                readers[name].add(its)
    return (
        {sign: frozenset(names) for sign, names in looks.items()},
        {name: frozenset(signs) for name, signs in readers.items()},
    )
