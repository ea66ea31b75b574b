"""Operations whose tables come from a formula: arithmetic modulo a number.

Owns: `modular`. Does not own: the text form (chains).
"""

from collections.abc import Callable, Mapping
from string import ascii_letters, digits
from types import MappingProxyType
from typing import Final

from m2kt.domains.chains import LONGEST_CHAIN, Chains, Operation
from m2kt.errors import RequestError

_RULES: Final[Mapping[str, tuple[str, Callable[[int, int], int]]]] = MappingProxyType(
    {
        "+": ("plus", lambda a, b: a + b),
        "-": ("minus", lambda a, b: a - b),
        "*": ("times", lambda a, b: a * b),
    }
)


NUMERALS: Final = f"{digits}{ascii_letters}αβγδεζηθικλμνοπρστυφχωбвгджзиклмнпт"
"""What numbers are written with; in SmolLM2's tokenizer each is one token."""


def modular(modulus: int, operations: str = "+-*", *, longest: int = LONGEST_CHAIN) -> Chains:
    """Arithmetic modulo `modulus`; every state is one character.

    Args:
        modulus: From 2 to 97. Up to 10 states are digits, which any tokenizer has.
        operations: A selection of `+`, `-` and `*`.
        longest: Operations of the longest chain.

    Raises:
        RequestError: modulus or operations are out of range.
    """
    if not 2 <= modulus <= len(NUMERALS):
        raise RequestError(f"expected a modulus from 2 to {len(NUMERALS)}, found {modulus}")
    if not operations or set(operations) - set(_RULES):
        raise RequestError(f"expected some of the operations + - *, found {operations!r}")
    states = NUMERALS[:modulus]
    chosen = [sign for sign in _RULES if sign in operations]
    name = f"arith.mod{modulus}"
    return Chains(name, states, [_operation(sign, states) for sign in chosen], longest=longest)


def _operation(sign: str, states: str) -> Operation:
    word, rule = _RULES[sign]
    modulus = len(states)
    results = {
        (left, right): states[rule(a, b) % modulus]
        for a, left in enumerate(states)
        for b, right in enumerate(states)
    }
    gloss = f"{{left}} {word} {{right}} modulo {modulus}"
    return Operation(sign, gloss, tuple(states), results)
