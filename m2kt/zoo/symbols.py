"""A corpus of games with meaningless symbols, for a student that is to learn facts later.

Copying, reversing, sorting, patterns, look-up in the text, rewriting line by line,
and folding a chain with a table that is drawn anew for each document. Digits and the
signs `+ - *` occur as symbols like any other. No fact of a domain is in it: what
follows `=` comes from a random table, and a document in which digit,
sign `+ - *`, digit and `=` follow one another is thrown away and drawn again, even if
its table is random. So nothing before a transfer says what 3+5 is, not even by chance.

Owns: the games, and the rule above.
Does not own: training on them (corpus, training).
"""

import random
import re
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final

LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
DIGITS: Final = "0123456789"
SIGNS: Final = "+-*/%&|~^@!?"
RELATIONS: Final = "=>:~"
FACT_LIKE: Final = re.compile(r"[0-9]\s*[-+*]\s*[0-9]\s*=")
LONGEST: Final = 200

Texts = tuple[str, ...]
Game = Callable[[random.Random], Texts]


def symbol_document(rng: random.Random, game: str | None = None) -> Texts:
    """Plays `game`, or one drawn by weight: texts given and to be written, in turn."""
    weights = [weight for _, weight in GAMES.values()]
    while True:
        name = game or rng.choices(list(GAMES), weights)[0]
        parts = GAMES[name][0](rng)
        text = "".join(parts)
        if len(text) <= LONGEST and not FACT_LIKE.search(text):
            return parts


def _alphabet(rng: random.Random, most: int = 12) -> list[str]:
    """A few symbols of one kind: letters, digits, capitals or a mixture."""
    kind = rng.choice((LOWER, DIGITS, DIGITS, DIGITS[:7], LOWER.upper(), LOWER + DIGITS))
    return rng.sample(kind, rng.randint(3, min(most, len(kind))))


def _word(rng: random.Random, symbols: Sequence[str], least: int, most: int) -> str:
    return "".join(rng.choice(symbols) for _ in range(rng.randint(least, most)))


def _transform(rng: random.Random) -> Texts:
    """A letter says what to do with a word: copy, reverse, sort, first, last, double."""
    symbols = _alphabet(rng)
    word = _word(rng, symbols + rng.sample(SIGNS, 2), 2, 14)
    rules: dict[str, Callable[[str], str]] = {
        "c": lambda w: w,
        "r": lambda w: w[::-1],
        "s": lambda w: "".join(sorted(w)),
        "f": lambda w: w[0],
        "l": lambda w: w[-1],
        "d": lambda w: "".join(s + s for s in w),
        "u": lambda w: "".join(dict.fromkeys(w)),
    }
    rule = rng.choice(list(rules))
    return f"{rule}:{word}\n", f"#{rules[rule](word)}\n"


def _pattern(rng: random.Random) -> Texts:
    """A word is repeated; go on."""
    word = _word(rng, _alphabet(rng) + rng.sample(SIGNS + "=,; ", 2), 3, 30)
    text = word * rng.randint(2, 3)
    cut = len(word) + 2
    return text[:cut], text[cut:] + "\n"


def _lookup(rng: random.Random) -> Texts:
    """Pairs are given, then some keys are asked for."""
    keys, values = _alphabet(rng), _alphabet(rng)
    relation, between = rng.choice(RELATIONS), rng.choice(";,\n")
    ask = rng.choice((relation, "?"))
    table = {key: _word(rng, values, 1, rng.choice((1, 1, 3))) for key in keys}
    given = between.join(f"{key}{relation}{value}" for key, value in table.items()) + "\n"
    parts = []
    for key in rng.choices(keys, k=rng.randint(1, 6)):
        parts += [f"{given}{key}{ask}", f"{table[key]}\n"]
        given = ""
    return tuple(parts)


def _peel(rng: random.Random) -> Texts:
    """Each line is the one before without its first, or last, few characters."""
    width = rng.choice((1, 1, 2))
    word = _word(rng, _alphabet(rng) + rng.sample(SIGNS, 3), 3, 10)
    from_left = rng.random() < 0.7
    lines = []
    rest = word
    while len(rest) > width:
        rest = rest[width:] if from_left else rest[:-width]
        lines.append(rest)
    return f"{word}\n", "".join(line + "\n" for line in lines) + f"#{rest}\n"


def _substitute(rng: random.Random) -> Texts:
    """A word is spelt anew, one line for each symbol, by a table."""
    symbols = _alphabet(rng, 8)
    table = dict(zip(symbols, rng.sample(symbols, len(symbols)), strict=True))
    relation = rng.choice(RELATIONS)
    given = ",".join(f"{key}{relation}{value}" for key, value in table.items())
    word = _word(rng, symbols, 2, 6)
    lines = "".join(f"{key}{relation}{table[key]}\n" for key in word)
    return f"{given}\n{word}\n", f"{lines}#{''.join(table[key] for key in word)}\n"


def _chain(
    rng: random.Random, symbols: Sequence[str], signs: Sequence[str], longest: int
) -> tuple[str, list[tuple[str, str]]]:
    links = [(rng.choice(signs), rng.choice(symbols)) for _ in range(rng.randint(1, longest))]
    start = rng.choice(symbols)
    return start + "".join(sign + symbol for sign, symbol in links), links


def _fold_by_rule(rng: random.Random) -> Texts:
    """A chain is folded from the left; each sign stands for left, right, greater or lesser.

    Which sign does what is the same in every document; none is a domain's sign.
    """
    symbols = sorted(_alphabet(rng))
    rules: dict[str, Callable[[str, str], str]] = {
        "<": min,
        "/": lambda left, _: left,
        "|": lambda _, right: right,
        "^": max,
    }
    question, links = _chain(rng, symbols, list(rules), 5)
    lines, left = [], question[0]
    for sign, right in links:
        result = rules[sign](left, right)
        lines.append(f"{left}{sign}{right}>{result}\n")
        left = result
    return f"{question}\n", "".join(lines) + f"#{left}\n"


def _fold_by_table(rng: random.Random) -> Texts:
    """A table of random results is given, then chains are folded by it, one line a step."""
    symbols, signs = _alphabet(rng, 7), rng.sample(SIGNS, rng.randint(1, 3))
    relation, table = rng.choice("==:>"), dict[str, str]()
    parts: list[str] = []
    for _ in range(rng.randint(1, 3)):
        question, links = _chain(rng, symbols, signs, 4)
        lines, left = [], question[0]
        for sign, right in links:
            result = table.setdefault(f"{left}{sign}{right}", rng.choice(symbols))
            lines.append(f"{left}{sign}{right}{relation}{result}\n")
            left = result
        parts += [f"{question}\n", "".join(lines) + f"#{left}\n"]
    for _ in range(rng.randint(0, 6)):
        other = f"{rng.choice(symbols)}{rng.choice(signs)}{rng.choice(symbols)}"
        table.setdefault(other, rng.choice(symbols))
    rows = [f"{stem}{relation}{result}" for stem, result in table.items()]
    rng.shuffle(rows)
    return (f"{','.join(rows)}\n{parts[0]}", *parts[1:])


def _walk(rng: random.Random) -> Texts:
    """A chain is written as the pairs of its neighbours, one line each, then its last symbol."""
    symbols, signs = _alphabet(rng), rng.sample(SIGNS, rng.randint(1, 4))
    question, links = _chain(rng, symbols, signs, 6)
    lines, left = [], question[0]
    for sign, right in links:
        lines.append(f"{left}{sign}{right}\n")
        left = right
    return f"{question}\n", "".join(lines) + f"#{left}\n"


GAMES: Final[MappingProxyType[str, tuple[Game, int]]] = MappingProxyType(
    {
        "transform": (_transform, 2),
        "pattern": (_pattern, 3),
        "lookup": (_lookup, 3),
        "peel": (_peel, 1),
        "substitute": (_substitute, 2),
        "fold by rule": (_fold_by_rule, 3),
        "fold by table": (_fold_by_table, 6),
        "walk": (_walk, 2),
    }
)
"""The games by name, each with its weight in the corpus."""
