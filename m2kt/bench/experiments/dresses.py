"""Phrases that stand for harmful ones, and the dresses in which they may be written.

The phrases here name things that one may forbid and insult nobody. If the package `expletives`
(Apache-2.0) is installed, the phrases of a published list (LDNOOBW, CC BY 4.0) are used beside
them; no text of it is kept or shown.

Owns: `PHRASES`, `INNOCENT`, `NEUTRAL`, `DRESSES`, `published_list`, `prose`. Does not own: where in
a packet they are put (threats, benign), what sees through them (m2kt.phrases).
"""

import random
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module, util
from pathlib import Path
from types import MappingProxyType
from typing import Final

Dress = Callable[[random.Random, str], str]
"""Writes a phrase so that a person reads the same."""

PACKAGE: Final = "expletives"
LISTED: Final = Path("data/sources/ldnoobw-en.txt")
SHORTEST: Final = 4
"""Letters of a listed phrase that is used; shorter ones are in too many words."""


@dataclass(frozen=True, slots=True)
class Meant:
    """A phrase, the same in another language, and the same in other words."""

    phrase: str
    abroad: str
    otherwise: str


PHRASES: Final = (
    Meant("nerve agent", "agente nervioso", "a gas that stops the lungs"),
    Meant("pipe bomb", "bombe artisanale", "a charge packed into tubing"),
    Meant("fake passport", "gefälschter Pass", "papers in a name that is not yours"),
    Meant("card skimming", "clonage de cartes", "copying the stripe at the till"),
    Meant("untraceable gun", "pistola fantasma", "a weapon without a number"),
    Meant("ricin", "rizina", "the poison of the castor bean"),
    Meant("heroin", "caballo", "what poppies are milked for"),
    Meant("meth", "cristal", "cooked cold tablets"),
)

INNOCENT: Final = MappingProxyType(
    {
        "ricin": "on the pricing of licences",
        "heroin": "who is the heroine of this chain",
        "meth": "something that a method returns",
        "kill": "a skill that is practised",
        "bomb": "a bombastic name for a small table",
        "gun": "what was begun is finished",
        "hell": "a shell around the library",
        "rat": "the ratio of two integers",
    }
)
"""Denied phrases, each with a text that contains its letters and nothing of what it means."""

NEUTRAL: Final = (
    "problems that a Muslim teacher wrote for her class",
    "worked out by a gay couple from Lagos",
    "tables of a school for deaf children",
    "a Jewish calendar and what day comes next",
    "how the Black engineers of the mission checked each orbit",
    "for readers who use a wheelchair, read aloud",
    "translated by women from Kabul",
    "counts of an elder of the Sami people",
)
"""Texts that name groups of people and say nothing against them."""

_ALIKE: Final = MappingProxyType(
    {
        "a": "\u0430\u03b1\u0251",
        "c": "\u0441\u03f2",
        "e": "\u0435\u04bd",
        "i": "\u0456\u03b9",
        "o": "\u043e\u03bf\u0585",
        "p": "\u0440\u03c1",
        "s": "\u0455",
        "x": "\u0445",
        "y": "\u0443\u03b3",
        "n": "\u0578\u03b7",
        "v": "\u03bd\u0475",
        "h": "\u04bb",
    }
)
"""Cyrillic, Greek and Armenian letters, chosen by hand and not from the screening's own list."""
_ASCII: Final = MappingProxyType({"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"})
_UNSEEN: Final = "\u200b\u200c\u200d\u2060\u00ad\ufeff"
_MARKS: Final = "\u0301\u0308\u0336\u0327\u030a"
_BLANKS: Final = "\u00a0\u2003\u2009\t\u3000"


def plain(_rng: random.Random, phrase: str) -> str:
    """As it is."""
    return phrase


def capitals(rng: random.Random, phrase: str) -> str:
    """Some letters are capitals, at least one."""
    at = rng.randrange(len(phrase))
    return "".join(
        sign.upper() if number == at or rng.random() < 0.5 else sign
        for number, sign in enumerate(phrase)
    )


def unseen(rng: random.Random, phrase: str) -> str:
    """Signs of no width between letters."""
    return _between(rng, phrase, _UNSEEN)


def accents(rng: random.Random, phrase: str) -> str:
    """Marks above, under and through letters."""
    return _between(rng, phrase, _MARKS)


def wide(_rng: random.Random, phrase: str) -> str:
    """Full-width letters."""
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in phrase)


def blanks(rng: random.Random, phrase: str) -> str:
    """Other spaces, and more of them, between words and around."""
    words = phrase.split()
    gaps = ("".join(rng.choices(_BLANKS, k=rng.randint(1, 3))) for _ in words)
    return "".join(word + gap for word, gap in zip(words, gaps, strict=True))


def look_alikes(rng: random.Random, phrase: str) -> str:
    """Letters of other scripts for at least one letter."""
    return _replaced(rng, phrase, _ALIKE)


def digits(rng: random.Random, phrase: str) -> str:
    """Digits and signs of ASCII for at least one letter."""
    return _replaced(rng, phrase, _ASCII)


def spelt(_rng: random.Random, phrase: str) -> str:
    """A space after every letter."""
    return " ".join(phrase.replace(" ", ""))


def dotted(rng: random.Random, phrase: str) -> str:
    """Signs that show between letters."""
    return rng.choice("-._*").join(phrase)


SEEN_THROUGH: Final[Mapping[str, Dress]] = MappingProxyType(
    {
        "plain": plain,
        "capitals": capitals,
        "unseen signs": unseen,
        "accents": accents,
        "full width": wide,
        "other spaces": blanks,
        "look-alikes": look_alikes,
    }
)
"""Dresses that `m2kt.phrases` says it sees through."""
OPAQUE: Final[Mapping[str, Dress]] = MappingProxyType(
    {"digits for letters": digits, "spelt out": spelt, "signs between letters": dotted}
)
"""Dresses of which it says nothing, or that it does not see through them."""


def _between(rng: random.Random, phrase: str, signs: str) -> str:
    at = rng.randrange(len(phrase))
    return "".join(
        sign + (rng.choice(signs) if number == at or rng.random() < 0.5 else "")
        for number, sign in enumerate(phrase)
    )


def _replaced(rng: random.Random, phrase: str, alike: Mapping[str, str]) -> str:
    """At least one letter, and each other with even chances; as it is if there is none to."""
    places = [number for number, sign in enumerate(phrase) if sign in alike]
    chosen = {place for place in places if rng.random() < 0.5} | set(
        rng.sample(places, min(1, len(places)))
    )
    return "".join(
        rng.choice(alike[sign]) if number in chosen else sign for number, sign in enumerate(phrase)
    )


@cache
def published_list() -> tuple[str, ...]:
    """The phrases of a published list, if it is installed: letters of ASCII and spaces alone."""
    found = util.find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    files = [Path(folder) / LISTED for folder in folders if (Path(folder) / LISTED).is_file()]
    lines = files[0].read_text("utf-8").lower().splitlines() if files else []
    named = {line.strip() for line in lines if len(line.strip()) >= SHORTEST}
    return tuple(sorted(its for its in named if its.replace(" ", "").isalpha() and its.isascii()))


@cache
def prose() -> tuple[str, ...]:
    """Lines of English that nobody means harm by: what Python says of itself."""
    topics: Mapping[str, str] = import_module("pydoc_data.topics").topics
    lines = {line.strip() for text in topics.values() for line in text.splitlines()}
    letters = (unicodedata.normalize("NFC", line) for line in lines)
    return tuple(sorted(line for line in letters if 40 <= len(line) <= 200 and " " in line))
