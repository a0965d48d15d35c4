"""Papers: what each prints of its networks, one file each, and which paper a model is of."""

from lic.papers import applsci2020, cai2019, cheng2019, deshmukh_pollett, ledig2017
from lic.papers.paper import Paper

PAPERS = (cheng2019.PAPER, cai2019.PAPER, applsci2020.PAPER, deshmukh_pollett.PAPER, ledig2017.PAPER)


def paper_of(model: str) -> Paper | None:
    """The paper whose networks include one of this family; None for a model of no paper here."""
    return next((paper for paper in PAPERS if model in paper.models), None)


__all__ = ["PAPERS", "Paper", "paper_of"]
