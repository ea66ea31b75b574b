"""M2KT: one language model learns from another over the network, and may say no.

The steps of a transfer, each a module of this package and each fed by the one before:

    extract       a teacher's model -> KnowledgePacket
    wire          KnowledgePacket -> signed manifest and chunks -> AuthenticPacket
    screen        AuthenticPacket -> ScreenedPacket, or reasons
    combine       ScreenedPackets -> Lesson
    align         Lesson -> Candidate (trains a small Concept Alignment Layer, nothing else)
    verify        Candidate -> Verdict, on held-out probes
    store         HEAD moves, or it does not

`transfer.py` shows the student's side on one page; read it first.
"""

__version__ = "0.1.0"
