"""Strategies for the small values that travel: cards, verdicts, receipts, events."""

from hypothesis import strategies as st
from packets import counts, meters, names, texts

from m2kt.consensus import Consensus, Decision, Fate, Opinion, Standing, Voice
from m2kt.identity import AgentCard, ModelCard, Role
from m2kt.progress import Event, TransferState
from m2kt.reasons import Reason
from m2kt.signing import Ed25519Signer
from m2kt.symptoms import Cause, Diagnosis, Symptom
from m2kt.verdict import Accepted, Evidence, Receipt, Rejected

numbers = st.floats(allow_nan=False, width=64)
shares = st.floats(0, 1)
figures = st.dictionaries(texts, numbers, max_size=3)
accuracies = st.dictionaries(st.integers(1, 9), shares, max_size=4)
lists = st.lists(texts, max_size=3).map(tuple)
items = st.integers(0, 2**31)
fates = st.sampled_from(Fate)

diagnoses = st.builds(Diagnosis, st.sampled_from(Symptom), st.sampled_from(Cause), texts, figures)
evidences = st.builds(
    Evidence,
    before=accuracies,
    after=accuracies,
    gain=numbers,
    p_gain=shares,
    p_loss=shares,
    items=items,
    figures=figures,
    diagnosis=st.lists(diagnoses, max_size=3).map(tuple),
)
voices = st.builds(Voice, voter=texts, says=texts, share=shares, fate=fates)
opinions = st.builds(
    Opinion,
    concept=texts,
    decision=st.sampled_from(Decision),
    dispersion=numbers,
    p=shares,
    voices=st.lists(voices, max_size=3).map(tuple),
)
standings = st.builds(
    Standing,
    voter=texts,
    teachers=st.lists(names, max_size=3).map(tuple),
    root=st.booleans(),
    concepts=items,
    fate=fates,
    why=texts,
    used=items,
    confirmed=items,
    outvoted=items,
    share=shares,
    fit=shares,
    affinity=numbers,
    reasons=st.lists(st.sampled_from(Reason), max_size=3).map(tuple),
)
consensuses = st.builds(
    Consensus,
    rule=texts,
    hostile=items,
    standings=st.lists(standings, max_size=3).map(tuple),
    decisions=st.fixed_dictionaries(dict.fromkeys(Decision, items)),
    opinions=st.lists(opinions, max_size=3).map(tuple),
)
rejections = st.builds(
    Rejected,
    st.lists(st.sampled_from(Reason), min_size=1, max_size=4).map(tuple),
    lists,
    st.none() | evidences,
    st.none() | consensuses,
)
verdicts = st.builds(Accepted, evidences, st.none() | consensuses) | rejections
events = st.builds(
    Event,
    transfer=texts,
    number=items,
    at_s=numbers,
    state=st.sampled_from(TransferState),
    message=texts,
    figures=figures,
)
receipts = st.builds(
    Receipt,
    transfer=texts,
    student=names,
    domain=texts,
    packets=lists,
    teachers=lists,
    verdict=verdicts,
    head_before=texts,
    head_after=texts,
    meter=meters,
    probe_items=items,
    issued_at_s=numbers,
)
models = st.builds(
    ModelCard,
    family=texts,
    hidden_size=st.integers(1, 2**31),
    layers=st.integers(1, 999),
    parameters=counts.map(lambda n: n + 1),
    weights_digest=texts,
    base_lineage=lists,
)


@st.composite
def signers(draw: st.DrawFn) -> Ed25519Signer:
    """Keys of any kind."""
    return Ed25519Signer(draw(st.binary(min_size=32, max_size=32)))


@st.composite
def cards(draw: st.DrawFn, keys: st.SearchStrategy[Ed25519Signer] | None = None) -> AgentCard:
    """Cards, each with a key of its own."""
    key = draw(keys or signers())
    return AgentCard(
        agent=draw(names),
        role=draw(st.sampled_from(Role)),
        address=draw(texts),
        key_id=key.key_id,
        public_key=key.public_key,
        domains=draw(lists),
        model=draw(st.none() | models),
        software=draw(texts),
        issued_at_s=draw(st.floats(0, 1e12)),
    )
