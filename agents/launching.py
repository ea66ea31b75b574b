"""From settings to an agent that answers: what is made, in which order, and how it ends.

Owns: `start_agent`, `RunningAgent`.
Does not own: what agents do (teacher, student, broker), Ray (actors).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import final

from m2kt import domains
from m2kt.audit import AuditLog
from m2kt.disk import LocalDisk, make_folder
from m2kt.identity import AgentCard, Role
from m2kt.journal import Journal
from m2kt.registry import RegistryLimits
from m2kt.reputation import ReputationRules
from m2kt.signing import Envelope
from m2kt.track_records import TrackRecords
from m2kt.trust import current_trust
from m2kt.wire import cards

from .broker import BrokerAgent, BrokerResources
from .broker_service import broker_service
from .credentials import Credentials, load_credentials
from .hosting import Host, ThreadHost
from .membership import Membership
from .metrics import Metrics, MetricsServer, serve_metrics
from .neighbours import Neighbours
from .orders import collection_of
from .permissions import PermissionRules, Permissions
from .resources import Clock, StudentResources, TeacherResources
from .server import RunningServer, Service, serve
from .settings import Settings, add_domains
from .spool import Spool

logger = logging.getLogger(__name__)

MakeHost = Callable[[Settings], Host]


@final
class RunningAgent:
    """An agent that answers.

    Attributes:
        address: What others dial, `host:port`.
        agent: The agent itself: a `TeacherAgent`, `StudentAgent` or `BrokerAgent`.
        membership: Its place in a broker's registry, if it has one.
        metrics: Where its figures are served, if they are.
    """

    def __init__(
        self,
        settings: Settings,
        server: RunningServer,
        agent: object,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self.address = settings.advertise or server.address
        self.agent = agent
        self.membership: Membership | None = None
        self.metrics: MetricsServer | None = None
        self._settings = settings
        self._server = server
        self._close = close

    def join(self, credentials: Credentials, card: Callable[[], AgentCard], clock: Clock) -> None:
        """Registers at the broker that the settings name, if they name one."""

        def signed() -> Envelope:
            return cards.sign_card(replace(card(), issued_at_s=clock()), credentials.signer)

        if self._settings.broker:
            self.membership = Membership(
                self._settings.broker,
                signed,
                lease_s=self._settings.limits.lease_s,
                tls=self._settings.tls,
            )

    async def drain(self, grace_s: float | None = None) -> None:
        """Ends it: no new call, calls in flight get `grace_s`, then all is closed."""
        if self.membership is not None:
            await self.membership.close()
        await self._server.drain(self._settings.limits.drain_s if grace_s is None else grace_s)
        await self._close()
        if self.metrics is not None:
            await asyncio.to_thread(self.metrics.close)
        logger.info("agent stopped agent=%s", self._settings.name)

    async def ended(self) -> None:
        """Returns when its server has stopped."""
        await self._server.ended()


async def start_agent(
    settings: Settings,
    *,
    make_host: MakeHost | None = None,
    neighbours: Neighbours | None = None,
    clock: Clock = time.time,
) -> RunningAgent:
    """Starts an agent and returns once it answers. Its life is on the running event loop.

    Args:
        settings: What it is told.
        make_host: Where its model works; by default a thread of this process.
        neighbours: Agents of the same node, if it is on Ray.
        clock: Unix time, seconds.

    Raises:
        M2KTError: a file, a model or the address is not as it should be.
    """
    make_folder(LocalDisk(), settings.data_dir)
    add_domains(settings)
    metrics, at = Metrics(), settings.metrics_listen
    metrics.introduce(settings.name, settings.role)
    served = serve_metrics(metrics, at, tls=settings.tls) if at else None
    start = {
        Role.BROKER: _start_broker,
        Role.TEACHER: _start_teacher,
        Role.STUDENT: _start_student,
    }[settings.role]
    try:
        running = await start(
            settings, _Given(make_host or thread_host, neighbours, metrics, clock)
        )
    except BaseException:
        if served is not None:
            served.close()
        raise
    running.metrics = served
    return running


def thread_host(settings: Settings) -> Host:
    """A host in this process for the worker of a teacher or student."""
    # Imported here: a broker's process has no use for torch.
    if settings.role is Role.TEACHER:
        from .lecturer import Lecturer

        return ThreadHost(lambda: Lecturer(settings))
    from .learner import Learner

    return ThreadHost(lambda: Learner(settings))


@dataclass(frozen=True, slots=True)
class _Given:
    """What an agent is given beside its settings; see `start_agent`."""

    make_host: MakeHost
    neighbours: Neighbours | None
    metrics: Metrics
    clock: Clock


async def _served(settings: Settings, service: Service, metrics: Metrics) -> RunningServer:
    limits, tls = settings.limits, settings.tls
    return await serve([service], settings.listen, limits=limits, tls=tls, metrics=metrics)


def _permissions(settings: Settings) -> Permissions:
    rules = settings.rules_for("permissions", PermissionRules)
    trust_file = settings.trust_file
    return Permissions(rules, settings.name, settings.role, lambda: current_trust(trust_file))


async def _start_broker(settings: Settings, given: _Given) -> RunningAgent:
    resources = BrokerResources(
        permissions=_permissions(settings),
        limits=settings.rules_for("registry", RegistryLimits),
        pace=settings.limits,
        folder=settings.data_dir / "packets",
        journal=(journal := Journal(settings.data_dir / "journal.sqlite")),
        audit=AuditLog(journal.database, load_credentials(settings, ()).signer, given.metrics.done),
        clock=given.clock,
    )
    agent = BrokerAgent(resources)

    async def close() -> None:
        agent.close()

    return RunningAgent(
        settings, await _served(settings, broker_service(agent), given.metrics), agent, close
    )


async def _start_teacher(settings: Settings, given: _Given) -> RunningAgent:
    from .teacher import TeacherAgent, teacher_service

    resources = TeacherResources(
        permissions=_permissions(settings),
        credentials=(credentials := load_credentials(settings, domains.names())),
        journal=(journal := Journal(settings.data_dir / "journal.sqlite")),
        audit=AuditLog(journal.database, credentials.signer, given.metrics.done),
        host=given.make_host(settings),
        sequence_file=settings.data_dir / "sequence",
        limits=settings.limits,
        tls=settings.tls,
        neighbours=given.neighbours,
        clock=given.clock,
    )
    agent = TeacherAgent(resources, await resources.host.call("card"))
    server = await _served(settings, teacher_service(agent), given.metrics)
    running = RunningAgent(settings, server, agent, agent.close)
    agent.address = running.address
    running.join(resources.credentials, lambda: agent.card, given.clock)
    return running


async def _start_student(settings: Settings, given: _Given) -> RunningAgent:
    from m2kt.store import Store

    from .student import StudentAgent
    from .student_service import student_service

    folder = settings.data_dir
    resources = StudentResources(
        permissions=_permissions(settings),
        credentials=(credentials := load_credentials(settings, domains.names())),
        store=Store(folder / "store"),
        journal=(journal := Journal(folder / "journal.sqlite")),
        audit=AuditLog(journal.database, credentials.signer, given.metrics.done),
        track_records=TrackRecords(
            journal.database, settings.rules_for("reputation", ReputationRules)
        ),
        host=given.make_host(settings),
        spool=Spool(folder / "spool"),
        limits=settings.limits,
        tls=settings.tls,
        neighbours=given.neighbours,
        metrics=given.metrics,
        clock=given.clock,
    )
    kept = {collection_of(record) for record in resources.journal.unfinished()}
    await asyncio.to_thread(resources.spool.sweep, kept)
    model = await resources.host.call("card")
    agent = StudentAgent(resources, model, broker=settings.broker)
    server = await _served(settings, student_service(agent), given.metrics)
    running = RunningAgent(settings, server, agent, agent.close)
    agent.address = running.address
    agent.recover()
    running.join(resources.credentials, lambda: agent.card, given.clock)
    return running
