"""A teacher that leaves at any moment of its offer holds no place for ever."""

from m2kt.progress import FINAL
from m2kt_agents.orders import LearnOrder
from tests.pupils import school, teacher_of
from tests.simulator import DOMAIN, Town, until


async def test_an_offer_that_is_left_before_its_first_chunk_ends_by_itself(tmp_path):
    async with Town(tmp_path) as town:
        its = await school(town, fetch_s=0.2)
        teacher, agent = teacher_of(town, "a", 1), its.agent.agent
        nonce, order = agent.offers.nonce(), LearnOrder(domain=DOMAIN, key="left", pushed=True)
        manifest = teacher.sealed(agent.card.agent, nonce)
        transfer, _ = agent.offers.admit(teacher.card, order, manifest, nonce)
        await until(lambda: agent.ledger.state(transfer) in FINAL)
        assert not list((tmp_path / "student" / "spool").iterdir())
