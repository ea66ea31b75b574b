"""A tokenizer with one token for each character.

Text comes back exactly, line breaks included; offsets are character positions.

Owns: how such a tokenizer is built, and its special tokens.
Does not own: which characters a model knows (recipes).
"""

from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from m2kt.errors import RequestError

PAD: Final = "<|pad|>"
END: Final = "<|end|>"
UNKNOWN: Final = "<|unknown|>"
SPECIAL: Final = (PAD, END, UNKNOWN)
PAD_ID: Final = 0
END_ID: Final = 1


def character_tokenizer(characters: str, *, context: int) -> PreTrainedTokenizerFast:
    """Builds the tokenizer of `characters`; any other character becomes the unknown token.

    Documents end with the end token, which also serves as beginning; encoding adds
    neither. Padding goes to the left, as generation in batches needs it.

    Args:
        characters: The vocabulary, in the order of ids after the special tokens.
        context: Most tokens that the model may read.

    Raises:
        RequestError: a character occurs twice.
    """
    if len(set(characters)) != len(characters):
        raise RequestError(f"expected each character once, found some twice in {characters!r}")
    vocabulary = {token: index for index, token in enumerate((*SPECIAL, *characters))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    # Oniguruma's dot leaves line breaks out; this class does not.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=END,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=context,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
