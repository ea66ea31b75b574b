"""Findings of an experiment with made-up figures: nothing is run."""

from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Table

CLAIMS = (
    Claim(what="share of <right> answers", found=0.93, bound=0.9),
    Claim(what="answers of the control", found=0.125, bound=0.2, at_least=False),
)
TABLE = Table(
    title="Rows & figures",
    head=("name", "found", "of"),
    rows=(("first", 0.5, 8), ("second", None, "as <named>")),
    note="Of 8 problems.",
)
SHARES = Plot(
    title="By steps",
    x="steps",
    y="share",
    series={
        "with C": [Point(x=1.0, y=0.5, low=0.4, high=0.6), Point(x=100.0, y=0.9)],
        "without $C$": [Point(x=1.0, y=0.1), Point(x=100.0, y=0.2)],
    },
    level=0.14,
    log_x=True,
)
NAMED = Plot(
    title="By domain",
    x="domain",
    y="share",
    series={"all": [Point(x=f"domain {n}", y=n / 8) for n in range(7)]},
    joined=False,
    note="Dots.",
)


def findings(*claims: Claim) -> Findings:
    return Findings(
        about="Something & something else was measured.",
        claims=claims or CLAIMS,
        figures={"shares": {"first": 0.5}},
        tables=(TABLE,),
        plots=(SHARES, NAMED),
        limits=("One student.",),
        student="a-student",
        seeds=(0, 1),
    )
