"""Agents on Ray: the only file that imports it.

An agent is an actor that has its own gRPC server; its model works in a child actor that
takes a GPU where there is one. Ray places and starts them; what agents say to each other
goes over gRPC. A payload alone may be lent through the object store of a node.

Owns: `AgentActor`, `RayHost`, `RayNeighbours`, starting a local Ray, launching and stopping agents.
Does not own: what an agent is (launching).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, final

from m2kt.digest import Digest
from m2kt.errors import M2KTError, PeerUnavailableError, RequestError
from m2kt.identity import AgentId, Role

from .allocator import keep_freed_memory
from .hosting import Host, reported
from .launching import RunningAgent, start_agent, thread_host
from .settings import Executor, ModelSettings, Settings, ray_environment

ray_environment()  # before Ray is imported: it reads its variables then

import numpy as np  # noqa: E402
import ray  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

logger = logging.getLogger(__name__)

OBJECT_STORE_BYTES: Final = 80 << 20
KILL_AFTER_S: Final = 5.0
GPU_SHARE: Final = 0.25
"""Of a GPU, for each model that may use one: teachers and student of one machine share it."""


def start_local_ray(*, cpus: int | None = None, store_bytes: int = OBJECT_STORE_BYTES) -> None:
    """Starts Ray in this machine, on 127.0.0.1, if it does not run yet."""
    if not ray.is_initialized():
        ray.init(
            address="local",  # never another's cluster that happens to run on this machine
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=store_bytes,
            _node_ip_address="127.0.0.1",
        )


def stop_local_ray() -> None:
    """Stops what `start_local_ray` has started."""
    ray.shutdown()


def remote(kind: type, name: str, *arguments: object) -> Any:  # noqa: ANN401
    """An actor of class `kind`, known by `name`: for what is no agent, such as a benchmark."""
    return ray.remote(num_cpus=0, max_concurrency=100)(kind).options(name=name).remote(*arguments)


def result(reference: Any) -> Any:  # noqa: ANN401
    """What a call of such an actor gives."""
    return ray.get(reference)


@final
class Worker:
    """A worker in a process of its own: a Lecturer or a Learner."""

    def __init__(self, settings: Settings) -> None:
        from .learner import Learner
        from .lecturer import Lecturer

        self._worker = (Lecturer if settings.role is Role.TEACHER else Learner)(settings)

    def call(self, method: str, args: tuple[object, ...]) -> object:
        """The result of a method."""
        return getattr(self._worker, method)(*args)

    def stream(self, method: str, args: tuple[object, ...]) -> Iterator[object]:
        """What a method reports, and then its result."""
        yield from reported(getattr(self._worker, method), *args)


@final
class RayNeighbours:
    """Agents on Ray, of one node; see `Neighbours`."""

    def __init__(self) -> None:
        self._lent: dict[Digest, ray.ObjectRef[Any]] = {}

    @property
    def node(self) -> str:
        """See `Neighbours`."""
        return str(ray.get_runtime_context().get_node_id())

    async def lend(self, digest: Digest, payload: bytes | memoryview) -> bool:
        """See `Neighbours`."""
        if digest not in self._lent:
            shared = np.frombuffer(payload, dtype=np.uint8)
            try:
                self._lent[digest] = await asyncio.to_thread(ray.put, shared)
            except ray.exceptions.ObjectStoreFullError:
                logger.warning("not lent, the object store is full bytes=%d", shared.nbytes)
                return False
        return True

    async def borrow(self, teacher: AgentId, digest: Digest) -> memoryview:
        """See `Neighbours`."""
        try:
            actor = await asyncio.to_thread(ray.get_actor, actor_name(teacher))
            [reference] = await actor.lent.remote(digest)
            shared = await reference
        except (ValueError, ray.exceptions.RayError) as error:
            raise PeerUnavailableError(
                f"expected {teacher} to lend {digest} on this node, found {error}; ask for chunks"
            ) from error
        return memoryview(shared).cast("B")

    def lent(self, digest: Digest) -> "list[ray.ObjectRef[Any]]":
        """A reference to what was lent under that digest, if anything was."""
        return [self._lent[digest]] if digest in self._lent else []


def actor_name(agent: AgentId) -> str:
    """By which Ray knows the actor of an agent."""
    return f"m2kt-{agent}"


@final
class Agent:
    """An agent in a process of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: RunningAgent | None = None
        self._neighbours: RayNeighbours | None = None

    async def start(self) -> str:
        """Starts it; its address."""
        if self._settings.keep_freed_memory:
            keep_freed_memory()
        self._neighbours = RayNeighbours()
        self._running = await start_agent(
            self._settings, make_host=host_for, neighbours=self._neighbours
        )
        return self._running.address

    async def call(self, method: str, args: tuple[object, ...], named: dict[str, object]) -> Any:  # noqa: ANN401
        """Calls a coroutine method of the agent, such as a teacher's `offer` or `publish`."""
        if self._running is None:
            raise PeerUnavailableError("expected an agent that runs, found none; start it first")
        return await getattr(self._running.agent, method)(*args, **named)

    async def lent(self, digest: Digest) -> "list[ray.ObjectRef[Any]]":
        """What it has lent under that digest: one reference, or none."""
        return [] if self._neighbours is None else self._neighbours.lent(digest)

    async def drain(self, grace_s: float | None) -> None:
        """Ends it."""
        if self._running is not None:
            await self._running.drain(grace_s)
            self._running = None


WorkerActor = ray.remote(num_cpus=0, max_restarts=3)(Worker)
AgentActor = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=1000)(Agent)


def gpu_share(model: ModelSettings) -> float:
    """What the settings ask for, or a part of a GPU if one is there and may be used."""
    if model.gpus or model.device == "cpu":
        return model.gpus
    return GPU_SHARE if ray.cluster_resources().get("GPU", 0.0) >= 1 else 0.0


def placement(model: ModelSettings) -> dict[str, Any]:
    """Where a worker may run: on the node of its agent, if that is on Ray and had to find one."""
    context = ray.get_runtime_context()
    if not model.resources or context.get_actor_id() is None:
        return {"resources": dict(model.resources)}
    beside = NodeAffinitySchedulingStrategy(node_id=context.get_node_id(), soft=False)
    return {"scheduling_strategy": beside}


@final
class RayHost:
    """A worker in a child actor of Ray; see `Host`."""

    def __init__(self, settings: Settings) -> None:
        self._actor = WorkerActor.options(
            num_gpus=gpu_share(settings.model), **placement(settings.model)
        ).remote(settings)

    async def call(self, method: str, *args: object) -> Any:  # noqa: ANN401
        """See `Host`."""
        with worker_errors():
            return await self._actor.call.remote(method, args)

    async def stream(self, method: str, *args: object) -> AsyncIterator[Any]:
        """See `Host`."""
        with worker_errors():
            news = self._actor.stream.options(num_returns="streaming").remote(method, args)
            async for reference in news:
                yield await reference

    async def close(self) -> None:
        """See `Host`; the process is ended."""
        ray.kill(self._actor)


@contextmanager
def worker_errors() -> Iterator[None]:
    """Raises what was raised in another process, without what Ray tells of its inside."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise cause_of(error) from error
    except ray.exceptions.RayActorError as error:
        raise M2KTError(f"expected a process of Ray, found it gone: {error}") from error


def host_for(settings: Settings) -> Host:
    """The host that the settings ask for."""
    return RayHost(settings) if settings.executor is Executor.RAY else thread_host(settings)


@final
@dataclass(frozen=True, slots=True)
class Launched:
    """An agent that runs on Ray.

    Attributes:
        settings: What it was told.
        address: What others dial, `host:port`.
        actor: Ray's handle.
    """

    settings: Settings
    address: str
    actor: Any

    async def call(self, method: str, *args: object, **named: object) -> Any:  # noqa: ANN401
        """Calls a coroutine method of the agent, such as a teacher's `offer` or `publish`."""
        with worker_errors():
            return await self.actor.call.remote(method, args, named)


def require_node(resources: Mapping[str, float]) -> None:
    """Refuses what Ray would wait for without end.

    Raises:
        RequestError: no node was given so much, whether or not it is taken now.
    """
    given = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for its in given:
        if all(its.get(name, 0.0) >= amount for name, amount in resources.items()):
            return
    names = sorted({name for its in given for name in its if ":" not in name})
    raise RequestError(
        f"expected a node of Ray with {dict(resources)}, found {len(given)} nodes with"
        f" {', '.join(names)}; start one with `ray start --resources`, or change [model] resources"
    )


async def launch(settings: Settings) -> Launched:
    """Starts an agent on Ray and returns once it answers.

    Raises:
        RequestError: no node of Ray has the resources that the settings name.
        M2KTError: what `start_agent` raises.
    """
    require_node(settings.model.resources)
    options = {"name": actor_name(settings.name), "resources": dict(settings.model.resources)}
    actor = AgentActor.options(**options).remote(settings)
    try:
        address: str = await actor.start.remote()
    except ray.exceptions.RayTaskError as error:
        ray.kill(actor)
        raise cause_of(error) from error
    except ray.exceptions.RayActorError as error:
        raise PeerUnavailableError(
            f"expected agent {settings.name} to start, found its process gone: {error}; see the"
            " logs of Ray"
        ) from error
    logger.info("agent launched agent=%s address=%s", settings.name, address)
    return Launched(settings, address, actor)


async def stop(launched: Launched, *, grace_s: float | None = None) -> None:
    """Drains an agent and ends its process."""
    limit_s = launched.settings.limits.drain_s if grace_s is None else grace_s
    try:
        await asyncio.wait_for(launched.actor.drain.remote(grace_s), limit_s + KILL_AFTER_S)
    except (TimeoutError, ray.exceptions.RayError) as error:
        logger.warning("agent did not drain agent=%s why=%r", launched.settings.name, error)
    ray.kill(launched.actor)


def cause_of(error: "ray.exceptions.RayTaskError") -> M2KTError:
    """What was raised in the other process, as the class that it was there."""
    cause = error.cause
    if isinstance(cause, M2KTError):
        return cause
    return M2KTError(f"expected no fault in a process of Ray, found {cause!r}; see its logs")
