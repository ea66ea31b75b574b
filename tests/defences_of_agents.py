"""Defences of agents: their servers, clients and settings."""

from tests.defences import Mutation, attack

MUTATIONS = (
    Mutation(
        "a key that is revoked ends a running stream",
        "agents/intake.py",
        "            self._require_still_trusted()\n",
        "",
        attack("revoked_key"),
    ),
    Mutation(
        "another key under a known name is a hard stop",
        "agents/credentials.py",
        "            if key.agent == agent:\n                raise UnknownKeyError(\n",
        "            if False:\n                raise UnknownKeyError(\n",
        ("tests/agents/test_credentials.py",),
    ),
    Mutation(
        "the agent that is asked by name has to sign",
        "agents/intake.py",
        "        if self._teacher not in (None, admitted.manifest.teacher):\n",
        "        if False:\n",
        ("tests/agents/test_intake.py",),
    ),
    Mutation(
        "a caller that floods is refused",
        "agents/throttle.py",
        "        if caller.tokens < 1:\n",
        "        if False:\n",
        attack("flood"),
    ),
    Mutation(
        "a caller has only so many calls at a time",
        "agents/throttle.py",
        "        if caller.calls >= limits.calls_per_caller:\n",
        "        if False:\n",
        attack("flood"),
    ),
    Mutation(
        "a sender that drips is given up",
        "agents/pacing.py",
        "            async with asyncio.timeout_at(due):\n",
        "            async with asyncio.timeout_at(None):\n",
        attack("slow"),
    ),
    Mutation(
        "strangers are kept out",
        "agents/permissions.py",
        "        if caller is None or self._allows(deed, caller, domain):\n",
        "        if True:\n",
        ("tests/agents/test_permissions.py",),
    ),
    Mutation(
        "nobody speaks for another",
        "agents/permissions.py",
        "        if caller is not None and caller != agent:\n",
        "        if False:\n",
        ("tests/agents/test_permissions.py",),
    ),
    Mutation(
        "callers need a certificate",
        "agents/tls.py",
        "        require_client_authentication=True,\n",
        "        require_client_authentication=False,\n",
        ("tests/agents/test_tls.py",),
    ),
    Mutation(
        "a client asks for a certificate of the agent that it names",
        "agents/channel.py",
        "    if name := server_name(at.agent) if at.agent else files.peer_name:\n",
        "    if name := files.peer_name:\n",
        ("tests/agents/test_tls.py",),
    ),
    Mutation(
        "nothing is served to others without TLS",
        "agents/tls.py",
        "    if is_loopback(target):\n",
        "    if True:\n",
        ("tests/agents/test_tls.py",),
    ),
    Mutation(
        "two servers do not share a port",
        "agents/server.py",
        '        ("grpc.so_reuseport", 0),  # on, two servers share a port and nobody notices\n',
        "",
        ("tests/agents/test_server.py",),
    ),
    Mutation(
        "a deadline is required",
        "agents/server.py",
        "        if context.time_remaining() is None:\n",
        "        if False:\n",
        ("tests/agents/test_server.py",),
    ),
    Mutation(
        "who left before the first chunk holds no place",
        "agents/offers.py",
        "        self._lose_patience(transfer, order, self._open[transfer])",
        "        pass",
        ("tests/faults/test_left_offers.py",),
    ),
)
