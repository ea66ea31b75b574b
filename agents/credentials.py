"""Who an agent is to others: its name, its packet key, and whom it trusts.

Owns: reading key and trust store from where the settings say, making its card.
Does not own: keys and trust as such (m2kt.signing, m2kt.trust). Free of torch.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from m2kt import __version__
from m2kt.errors import UnknownKeyError
from m2kt.identity import AgentCard, AgentId, ModelCard, Role
from m2kt.signing import Ed25519Signer, Envelope, Signer
from m2kt.trust import TrustStore, current_trust, save_trust

from .settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An agent's name, role, key and trust.

    Attributes:
        agent: Its name.
        role: What it does.
        domains: What it teaches, or can be taught.
        signer: Its packet key.
        co_signers: Further keys of its own, which sign its manifests too.
        tofu: Whether keys of teachers that were never met are trusted on first use.
        trust_file: Where its trust store lies. Every decision asks whether it has changed, so
            that a key that is revoked is revoked at once.
    """

    agent: AgentId
    role: Role
    domains: tuple[str, ...]
    signer: Signer
    trust_file: Path
    co_signers: tuple[Signer, ...] = ()
    tofu: bool = False

    @property
    def trust(self) -> TrustStore:
        """Whom it trusts now."""
        return current_trust(self.trust_file)

    def on_first_use(self, envelope: Envelope, agent: AgentId) -> TrustStore:
        """The trust store, and in it the key that signed: what `remember` would keep.

        Args:
            envelope: Signed by a key that is not enrolled.
            agent: Who was asked, by name.

        Raises:
            UnknownKeyError: first use is not trusted, or `agent` is known by another key.
            WeakKeyError: signatures of the key can be made up.
        """
        trust, signers = self.trust, [signature.key_id for signature in envelope.signatures]
        for key_id, key in trust.enrolled.items():
            if key.agent == agent:
                raise UnknownKeyError(
                    f"expected a signature by {key_id}, by which {agent} is known, found"
                    f" {', '.join(signers)[:200]}: this may be somebody else; ask its owner by"
                    " another way, and take a new key by m2kt keys accept alone"
                )
        if not self.tofu or len(signers) != 1:
            raise UnknownKeyError(
                f"expected a signature by an enrolled key, found {len(signers)} by others; if you"
                " know the owner, enrol the key (m2kt keys trust)"
            )
        return trust.enrol(signers[0], agent)

    def remember(self, trust: TrustStore) -> None:
        """Keeps a store that `on_first_use` gave.

        Raises:
            StoreError: it cannot be written, or was changed meanwhile.
        """
        save_trust(self.trust_file, trust)
        logger.warning("trusted on first use file=%s version=%d", self.trust_file, trust.version)

    def card(self, address: str, model: ModelCard | None) -> AgentCard:
        """How it introduces itself."""
        return AgentCard(
            agent=self.agent,
            role=self.role,
            address=address,
            key_id=self.signer.key_id,
            public_key=self.signer.public_key,
            domains=self.domains,
            model=model,
            software=f"m2kt {__version__}",
        )


def load_credentials(settings: Settings, domains: tuple[str, ...]) -> Credentials:
    """Reads the key, and makes one if there is none.

    Raises:
        StoreError: the key file is no key, or others may read it.
    """
    path = settings.key_file
    if not path.exists():
        Ed25519Signer.generate().save(path)
        logger.warning("made a new packet key agent=%s file=%s", settings.name, path)
    return Credentials(
        agent=settings.name,
        role=settings.role,
        domains=settings.domains or domains,
        signer=Ed25519Signer.load(path),
        co_signers=tuple(map(Ed25519Signer.load, settings.co_key_files)),
        tofu=settings.tofu,
        trust_file=settings.trust_file,
    )
