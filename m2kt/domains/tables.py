"""Operations whose tables come from a formula: arithmetic modulo a number.

Owns: `modular`. Does not own: the text form (chains).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from m2kt.domains.chains import Chains, Operation
from m2kt.errors import RequestError

_RULES: Final[Mapping[str, tuple[str, Callable[[int, int], int]]]] = MappingProxyType(
    {
        "+": ("plus", lambda a, b: a + b),
        "-": ("minus", lambda a, b: a - b),
        "*": ("times", lambda a, b: a * b),
    }
)


def modular(modulus: int, operations: str = "+-*") -> Chains:
    """Arithmetic modulo `modulus`; every state is one digit, which any tokenizer has.

    Args:
        modulus: From 2 to 10.
        operations: A selection of `+`, `-` and `*`.

    Raises:
        RequestError: modulus or operations are out of range.
    """
    if not 2 <= modulus <= 10:
        raise RequestError(f"expected a modulus from 2 to 10, found {modulus}")
    if not operations or set(operations) - set(_RULES):
        raise RequestError(f"expected some of the operations + - *, found {operations!r}")
    digits = tuple(map(str, range(modulus)))
    chosen = [sign for sign in _RULES if sign in operations]
    name = f"arith.mod{modulus}"
    return Chains(name, digits, [_operation(sign, digits) for sign in chosen])


def _operation(sign: str, digits: tuple[str, ...]) -> Operation:
    word, rule = _RULES[sign]
    modulus = len(digits)
    results = {(a, b): str(rule(int(a), int(b)) % modulus) for a in digits for b in digits}
    return Operation(sign, f"{{left}} {word} {{right}} modulo {modulus}", digits, results)
