"""Threat: a good teacher of something that this student must not learn."""
# ruff: noqa: RUF001  # look-alikes are the point

from dataclasses import replace

import pytest

from m2kt.errors import RequestError
from m2kt.reasons import Reason
from tests.screening import passed, refused, tiny_packet


@pytest.mark.parametrize("pattern", ["arith.mod7/*", "ARITH.*/?[+*-]?", "*"])
def test_a_denied_concept_is_refused(pattern):
    found = refused(tiny_packet(), denied_concepts=(pattern,))
    assert found.reasons == (Reason.DENIED_CONCEPT,)
    assert pattern in found.details[0]


def test_a_concept_that_is_only_recalled_by_a_trace_is_refused_too():
    packet = tiny_packet(concepts=8)
    recalled = {step.concept for trace in packet.traces for step in trace.steps}
    name = min(recalled).replace("*", "[*]")
    assert Reason.DENIED_CONCEPT in refused(packet, denied_concepts=(name,)).reasons


def test_other_concepts_pass():
    passed(tiny_packet(), denied_concepts=("chemistry/*",), denied_phrases=("nerve agent",))


@pytest.mark.parametrize(
    "text",
    [
        "Nerve agent",
        "NERVE  AGENT",
        "how to make a nerve\u00a0agent at home",
        "\uff4e\uff45\uff52\uff56\uff45 agent",  # full-width letters
        "ner\u200bve ag\u00adent",  # zero-width space, soft hyphen
        "nerve\tagent\n",
        "nеrvе аgеnt",  # Cyrillic e and a
        "NЕRVЕ АGЕΝТ",  # capitals that are Cyrillic and Greek
        "n\u00e9rve ag\u00ebnt",  # accents
        "n\u0337e\u0338r\u0336v\u0335e\u0334 agent",  # struck through
        "ner\u3164ve ag\u2800ent",  # letters that show as nothing
        "ner\x00ve agent",
    ],
)
def test_a_denied_phrase_is_found_in_any_dress(text):
    packet = tiny_packet()
    places = [
        replace(packet, provenance=replace(packet.provenance, genre=text)),
        replace(packet, concepts=(replace(packet.concepts[0], gloss=text), *packet.concepts[1:])),
        replace(packet, concepts=(replace(packet.concepts[0], prompt=text), *packet.concepts[1:])),
        replace(packet, traces=(replace(packet.traces[0], question=text), *packet.traces[1:])),
        replace(packet, symbols=(*packet.symbols, text)),
    ]
    for place in places:
        assert Reason.DENIED_PHRASE in refused(place, denied_phrases=("nerve agent",)).reasons


@pytest.mark.parametrize("phrase", ["", "  ", "\u200b"])
def test_a_phrase_that_would_match_everything_is_an_error(phrase):
    with pytest.raises(RequestError, match="visible"):
        passed(tiny_packet(), denied_phrases=(phrase,))
