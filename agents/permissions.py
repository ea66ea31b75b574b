"""Who may ask an agent for what: teach, learn, publish, read receipts, command; by domain.

A caller is known by its certificate (tls). Whoever no rule lets in is kept out. Without TLS
nobody is known by name, and all are let in: that is for one's own machine.

A rule is a pattern of agents, `student-*`, or of agents and domains, `student-*:arith.*`;
`@self` is the agent itself, `@enrolled` whoever has a key in its trust store, `@certified`
whoever the authority of its certificates has named.

Owns: `Permit`, `PermissionRules`, `Permissions`.
Does not own: whose packets are believed (m2kt.trust), asking for each call (the servicers).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final, final

from grpc import aio

from m2kt.errors import NotPermittedError, RequestError
from m2kt.identity import NAME_PATTERN, AgentId, Role
from m2kt.trust import TrustStore

from .tls import caller_of

SELF: Final = "@self"
ENROLLED: Final = "@enrolled"
CERTIFIED: Final = "@certified"
GROUPS: Final = (SELF, ENROLLED, CERTIFIED)


class Permit(StrEnum):
    """What can be asked of an agent; the fields of `PermissionRules` have these names."""

    MEET = "meet"
    LEARN = "learn"
    TEACH = "teach"
    PUBLISH = "publish"
    RECEIPTS = "receipts"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionRules:
    """The table `[permissions]`: for each deed, the rules of which one has to match.

    None stands for the role's default: a broker, who has to believe nobody, does everything
    but `receipts` for `@certified`; all else is for `@enrolled`, and `command` for `@self`.

    Attributes:
        meet: Asking who it is, and registering with it.
        learn: Getting packets, samples and the names of teachers.
        teach: Bringing packets, and being learnt from.
        publish: Leaving packets.
        receipts: Reading the receipts that others left.
        command: Telling a student to learn, to answer and to un-learn; reading its history.
    """

    meet: tuple[str, ...] | None = None
    learn: tuple[str, ...] | None = None
    teach: tuple[str, ...] | None = None
    publish: tuple[str, ...] | None = None
    receipts: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            for rule in getattr(self, item.name) or ():
                _require_rule(item.name, rule)


@final
class Permissions:
    """The rules of one agent."""

    def __init__(
        self, rules: PermissionRules, agent: AgentId, role: Role, trust: Callable[[], TrustStore]
    ) -> None:
        """Reads nothing yet.

        Args:
            rules: The table.
            agent: Whose rules they are.
            role: What that is.
            trust: Gives its trust store of the moment.
        """
        self._agent = agent
        self._trust = trust
        self._rules = {deed: getattr(rules, deed.value) for deed in Permit}
        for deed, its in self._rules.items():
            if its is None:
                self._rules[deed] = (_default(deed, role),)

    def admit(
        self, context: aio.ServicerContext[Any, Any], deed: Permit, domain: str = ""
    ) -> AgentId | None:
        """Who calls, if it may do `deed`; see `require`."""
        caller = caller_of(context)
        self.require(deed, caller, domain)
        return caller

    def require(self, deed: Permit, caller: AgentId | None, domain: str = "") -> None:
        """Returns if `caller` may do `deed`.

        Args:
            deed: What is asked.
            caller: By whom; None if nobody can know, as there is no TLS.
            domain: About what; empty if it is about none.

        Raises:
            NotPermittedError: no rule lets it.
        """
        if caller is None or self._allows(deed, caller, domain):
            return
        about = f" for {domain[:80]}" if domain else ""
        raise NotPermittedError(
            f"expected an agent that may {deed.value}{about}, found"
            f" {caller or 'a certificate that names no agent'}; who runs {self._agent} may enrol"
            f" its key or let it in ([permissions] {deed.value})"
        )

    def require_own(self, caller: AgentId | None, agent: AgentId) -> None:
        """Returns if `caller` is `agent`, in whose name it speaks.

        Raises:
            NotPermittedError: it is another.
        """
        if caller is not None and caller != agent:
            raise NotPermittedError(
                f"expected {agent[:80]!r} to speak for itself, found {caller[:80]!r}; dial with the"
                " certificate of the agent whose card you send"
            )

    def _allows(self, deed: Permit, caller: AgentId, domain: str) -> bool:
        return bool(caller) and any(
            self._is_meant(who, caller) and (not about or fnmatchcase(domain, about))
            for who, _, about in (rule.partition(":") for rule in self._rules[deed])
        )

    def _is_meant(self, who: str, caller: AgentId) -> bool:
        if who == SELF:
            return caller == self._agent
        if who == CERTIFIED:
            return True
        if who == ENROLLED:
            trusted = self._trust().enrolled.values()
            return caller == self._agent or any(key.agent == caller for key in trusted)
        return fnmatchcase(caller, who)


def _default(deed: Permit, role: Role) -> str:
    if deed is Permit.COMMAND:
        return SELF
    return CERTIFIED if role is Role.BROKER and deed is not Permit.RECEIPTS else ENROLLED


def _require_rule(deed: str, rule: str) -> None:
    who, colon, about = rule.partition(":")
    plain = who.replace("*", "a").replace("?", "a")
    if (who not in GROUPS and not NAME_PATTERN.fullmatch(plain)) or (colon and not about):
        raise RequestError(
            f"expected [permissions] {deed} of rules such as 'student-*', 'student-*:arith.*' or"
            f" one of {', '.join(GROUPS)}, found {rule[:80]!r}; correct the file"
        )
