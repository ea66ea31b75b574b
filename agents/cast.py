"""The demo's cast: who takes part, with which settings and keys, and whom each one trusts.

Every agent has a certificate of one authority: all that is said goes over mutual TLS.

Owns: `Cast`: settings, keys, certificates and trust of every agent, under one folder.
Does not own: starting them (actors), what they do (demo).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from m2kt import domains
from m2kt.identity import AgentCard, AgentId, Role
from m2kt.trust import TrustStore, save_trust

from .certificates import Authority
from .credentials import Credentials, load_credentials
from .settings import Settings, TlsFiles, settings_from

DOMAIN: Final = "arith.mod7"
TEACHERS: Final = {"adder": "mod7-addsub", "multiplier": "mod7-mul"}
LIAR: Final = ("liar", "mod7-flipped")
OBSERVER: Final = "observer"
"""The demo's own name: it reads packets along, to tell what is in them."""


@final
@dataclass(frozen=True, slots=True)
class Cast:
    """All agents of the demo.

    Attributes:
        settings: Of each agent, by name.
        credentials: Of each agent, by name.
        trust: The trust store that all of them share.
    """

    settings: Mapping[str, Settings]
    credentials: Mapping[str, Credentials]
    trust: TrustStore

    def tls(self, agent: str) -> TlsFiles | None:
        """What `agent` shows when it dials."""
        return self.settings[agent].tls

    @property
    def observer(self) -> AgentCard:
        """The card by which the demo itself asks for packets."""
        return self.credentials[OBSERVER].card("", None)


def cast(folder: Path, student: Mapping[str, Any]) -> Cast:
    """Writes keys, certificates and trust stores of all agents to `folder`.

    Args:
        folder: A new folder.
        student: Settings of the student, but for its name and role.
    """
    authority = Authority(folder.resolve() / "certs")
    settings = {
        name: _settings(folder, name, {**table, "tls": _certified(authority, name)})
        for name, table in _tables(student).items()
    }
    credentials = {
        name: load_credentials(found, domains.names()) for name, found in settings.items()
    }
    trust = TrustStore()
    for name, found in credentials.items():
        trust = trust.enrol(found.signer.key_id, AgentId(name))
    for told in settings.values():
        save_trust(told.trust_file, trust)
    return Cast(settings, credentials, trust)


def _tables(student: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    teachers = {
        name: {"role": Role.TEACHER.value, "model": {"name": model, "threads": 1}}
        for name, model in (*TEACHERS.items(), LIAR)
    }
    return {
        "broker": {"role": Role.BROKER.value},
        **teachers,
        "student": {**student, "role": Role.STUDENT.value},
        OBSERVER: {"role": Role.STUDENT.value},
    }


def _certified(authority: Authority, name: str) -> dict[str, str]:
    """The table [tls] of an agent."""
    files = authority.issue(AgentId(name), hosts=["127.0.0.1"])
    return {part: str(getattr(files, part)) for part in ("key", "certificate", "authority")}


def _settings(folder: Path, name: str, table: Mapping[str, Any]) -> Settings:
    full = {"name": name, "domains": [DOMAIN], "data_dir": name, **table}
    return settings_from(full, base=folder.resolve(), environ={})
