"""The teacher's model work: the worker behind a teacher's host.

Owns: the frozen model, extracting a packet, its encoded payload and a sample of its concepts,
made once for all students.
Does not own: signing for one student (teacher), the network.
"""

import logging
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import final

from m2kt import domains, zoo
from m2kt.checked_files import map_checked
from m2kt.digest import digest_of
from m2kt.disk import disk_errors
from m2kt.domain import Domain, Grammar
from m2kt.domains.chains import Chains
from m2kt.errors import CompatibilityError, PacketError, RequestError
from m2kt.extract import ExtractConfig, extract_packet
from m2kt.identity import ModelCard
from m2kt.packet import KnowledgePacket
from m2kt.transferability import ConceptSample, sample_of
from m2kt.wire.packets import EncodedPayload, encode_packet

from .models import load_model, use_threads
from .settings import Settings, add_domains

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True)
class Lecture:
    """An encoded payload whose bytes lie in a file: so it goes from process to process.

    Attributes:
        tables: All about it but its bytes.
        file: Where these are, on the machine of the model.
    """

    tables: EncodedPayload
    file: Path

    def encoded(self) -> EncodedPayload:
        """With the bytes, which are not held in memory.

        Raises:
            NotFoundError: the file is not on this machine.
            StoreError: it cannot be read, or holds something else.
        """
        return replace(self.tables, payload=map_checked(self.file, self.tables.content_digest))


@final
class Lecturer:
    """A frozen model and what is read out of it. Blocking: it lives behind a host."""

    def __init__(self, settings: Settings) -> None:
        """Loads the model.

        Raises:
            CompatibilityError: there is no such model.
            RequestError: the table `extract` holds a key that nobody knows.
        """
        add_domains(settings)
        use_threads(settings.model.threads)
        self._settings = settings
        self._config = settings.rules_for("extract", ExtractConfig)
        self._model = load_model(settings.model)
        self._lectures: dict[str, Lecture] = {}
        self._samples: dict[str, ConceptSample | str] = {}

    def card(self) -> ModelCard:
        """What others may know of the model."""
        return self._model.card

    def lecture(self, domain: str, now_s: float) -> Lecture:
        """The payload for `domain`: extracted, encoded and hashed when it is first asked for.

        Raises:
            StoreError: the file cannot be written.
        """
        if domain not in self._lectures:
            grammar = taught(self._settings, domain)
            packet = extract_packet(
                self._model, grammar, self._config, agent=self._settings.name, now_s=now_s
            )
            encoded = encode_packet(packet, into=(file := self._file_for(domain)))
            self._lectures[domain] = Lecture(replace(encoded, payload=b""), file)
            self._samples[domain] = self._sampled(packet)
            logger.info("packet extracted domain=%s concepts=%d", domain, len(packet.concepts))
        return self._lectures[domain]

    def payload(self, domain: str, now_s: float) -> bytes:
        """The bytes of the payload for `domain`, for an agent on another machine."""
        return self.lecture(domain, now_s).file.read_bytes()

    def sample(self, domain: str, now_s: float) -> ConceptSample:
        """A few concepts of the payload for `domain`, the same ones for all who ask.

        Raises:
            CompatibilityError: its concepts have one exemplar each.
        """
        self.lecture(domain, now_s)
        found = self._samples[domain]
        if isinstance(found, str):
            raise CompatibilityError(found)
        return found

    def _file_for(self, domain: str) -> Path:
        folder = self._settings.data_dir / "payloads"
        with disk_errors(f"use {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{digest_of(domain.encode()).removeprefix('b3:')}.payload"

    def _sampled(self, packet: KnowledgePacket) -> ConceptSample | str:
        """Why there is no sample is for who asks for one: it holds up no packet."""
        try:
            return sample_of(packet, depth=self._model.depth)
        except PacketError as error:
            return str(error)


def taught(settings: Settings, domain: str) -> Grammar:
    """The part of a domain's grammar that the teacher teaches.

    Its settings say which (`concepts`, patterns of concept ids), or the recipe of its
    model, if it is of the zoo; else it is all of it.

    Raises:
        DomainError: there is no such domain.
        RequestError: no concept of the domain matches.
    """
    grammar = domains.get(domain)
    if not settings.concepts:
        return trained_on(settings.model.name, grammar)
    chosen = frozenset(
        spec.id
        for spec in grammar.concepts
        if any(fnmatchcase(spec.id, pattern) for pattern in settings.concepts)
    )
    if not chosen:
        raise RequestError(
            f"expected concepts of {domain} that match {', '.join(settings.concepts)}, found none;"
            f" correct `concepts` (ids look like {grammar.concepts[0].id})"
        )
    return grammar.restrict(chosen)


def trained_on(model: str, domain: Domain) -> Grammar:
    """The part of `domain` that a model of the zoo was trained on; all of it for others."""
    recipe = zoo.recipe(model)["recipe"] if model in zoo.names() else {}
    signs = recipe.get("operations")
    if signs and recipe.get("domain") == domain.name and isinstance(domain, Chains):
        return domain.restrict(domain.concepts_of(signs))
    return domain
