"""Why a packet, a request or a candidate was refused: one code for each cause.

Owns: the list of codes and the sentence each stands for.
Does not own: who raises them (errors, verdict, screen, verify).
"""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """A stable code; the sentence in `SENTENCES` is what a student would say."""

    UNKNOWN_KEY = "UNKNOWN_KEY"
    REVOKED_KEY = "REVOKED_KEY"
    WEAK_KEY = "WEAK_KEY"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    REPLAYED = "REPLAYED"
    WRONG_AUDIENCE = "WRONG_AUDIENCE"
    WRONG_NONCE = "WRONG_NONCE"
    NOT_PERMITTED = "NOT_PERMITTED"
    CHUNK_MISMATCH = "CHUNK_MISMATCH"
    INCOMPLETE = "INCOMPLETE"
    MALFORMED = "MALFORMED"
    OVERSIZE = "OVERSIZE"
    BAD_SHAPE = "BAD_SHAPE"
    NOT_FINITE = "NOT_FINITE"
    NORM_OUT_OF_RANGE = "NORM_OUT_OF_RANGE"
    MEAN_MISMATCH = "MEAN_MISMATCH"
    TOO_FEW_EXEMPLARS = "TOO_FEW_EXEMPLARS"
    TRACE_REFUTED = "TRACE_REFUTED"
    DENIED_CONCEPT = "DENIED_CONCEPT"
    DENIED_PHRASE = "DENIED_PHRASE"
    UNSUPPORTED_DOMAIN = "UNSUPPORTED_DOMAIN"
    INCOMPATIBLE = "INCOMPATIBLE"
    CONFLICT = "CONFLICT"
    UNPROMISING = "UNPROMISING"
    DIVERGED = "DIVERGED"
    NO_GAIN = "NO_GAIN"
    REGRESSION = "REGRESSION"
    UNDECIDED = "UNDECIDED"
    UNSAFE_DIRECTION = "UNSAFE_DIRECTION"
    INTERRUPTED = "INTERRUPTED"
    PEER_UNAVAILABLE = "PEER_UNAVAILABLE"
    DEADLINE = "DEADLINE"
    PROTOCOL = "PROTOCOL"
    NOT_FOUND = "NOT_FOUND"
    STORAGE = "STORAGE"
    TAMPERED = "TAMPERED"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    BUSY = "BUSY"
    INTERNAL = "INTERNAL"


SENTENCES: Final[dict[Reason, str]] = {
    Reason.UNKNOWN_KEY: "I do not know the key that signed this.",
    Reason.REVOKED_KEY: "I knew the key that signed this, and I no longer trust it.",
    Reason.WEAK_KEY: "This key would accept signatures that nobody made.",
    Reason.BAD_SIGNATURE: "The signature does not belong to these bytes.",
    Reason.EXPIRED: "This was valid once; it has expired.",
    Reason.NOT_YET_VALID: "This claims to come from the future.",
    Reason.REPLAYED: "I have been offered exactly this before.",
    Reason.WRONG_AUDIENCE: "This was signed for somebody else.",
    Reason.WRONG_NONCE: "This does not answer the question that I asked.",
    Reason.NOT_PERMITTED: "You may not ask this of me.",
    Reason.CHUNK_MISMATCH: "A chunk is not the one that the manifest promised.",
    Reason.INCOMPLETE: "The stream ended before all chunks had come.",
    Reason.MALFORMED: "I cannot read this.",
    Reason.OVERSIZE: "This is larger than I agreed to receive.",
    Reason.BAD_SHAPE: "A tensor's shape, type and bytes do not fit together.",
    Reason.NOT_FINITE: "A tensor holds a value that is not a finite number.",
    Reason.NORM_OUT_OF_RANGE: "A concept's length is out of all proportion.",
    Reason.MEAN_MISMATCH: "A concept is not the mean of its exemplars.",
    Reason.TOO_FEW_EXEMPLARS: "A concept comes with too few exemplars to be judged.",
    Reason.TRACE_REFUTED: "A trace says what my own checker finds wrong.",
    Reason.DENIED_CONCEPT: "I do not learn this concept.",
    Reason.DENIED_PHRASE: "This contains a phrase that I do not learn.",
    Reason.UNSUPPORTED_DOMAIN: "I do not know this domain.",
    Reason.INCOMPATIBLE: "I cannot be aligned with this.",
    Reason.CONFLICT: "Teachers contradict one another, and nothing tells me who is right.",
    Reason.UNPROMISING: "What I was shown of this promises too little; I did not fetch it.",
    Reason.DIVERGED: "Training did not stay finite.",
    Reason.NO_GAIN: "I studied it and answer no better than before.",
    Reason.REGRESSION: "I studied it and answer worse than before.",
    Reason.UNDECIDED: "My probes cannot tell whether this helps; so no.",
    Reason.UNSAFE_DIRECTION: "What I learnt points where I must not go.",
    Reason.INTERRUPTED: "I was stopped before I had all of it.",
    Reason.PEER_UNAVAILABLE: "I could not reach the other side.",
    Reason.DEADLINE: "There was no answer in time.",
    Reason.PROTOCOL: "The other side does not keep to the protocol.",
    Reason.NOT_FOUND: "I have nothing of that name.",
    Reason.STORAGE: "I could not read or write my own history.",
    Reason.TAMPERED: "Somebody has changed what I had written down.",
    Reason.INVALID_ARGUMENT: "I cannot act on this request.",
    Reason.BUSY: "I am at my limit; ask again later.",
    Reason.INTERNAL: "I failed, and the fault is mine.",
}
