"""Who an agent is to others: its name, its packet key, and whom it trusts.

Owns: reading key and trust store from where the settings say, making its card.
Does not own: keys and trust as such (m2kt.signing, m2kt.trust). Free of torch.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from m2kt import __version__
from m2kt.identity import AgentCard, AgentId, ModelCard, Role
from m2kt.signing import Ed25519Signer, Signer
from m2kt.trust import TrustStore, current_trust

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
        trust_file: Where its trust store lies. Every decision asks whether it has changed, so
            that a key that is revoked is revoked at once.
    """

    agent: AgentId
    role: Role
    domains: tuple[str, ...]
    signer: Signer
    trust_file: Path

    @property
    def trust(self) -> TrustStore:
        """Whom it trusts now."""
        return current_trust(self.trust_file)

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
        path.parent.mkdir(parents=True, exist_ok=True)
        Ed25519Signer.generate().save(path)
        logger.warning("made a new packet key agent=%s file=%s", settings.name, path)
    return Credentials(
        agent=settings.name,
        role=settings.role,
        domains=settings.domains or domains,
        signer=Ed25519Signer.load(path),
        trust_file=settings.trust_file,
    )
