"""Links between README.md, docs/ and what lies beside them lead somewhere."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
_LINK = re.compile(r"\]\((?!https?://)([^)\s#]*)(?:#([^)\s]+))?\)")
_FENCE = re.compile(r"^```\w*\n.*?^```$", re.M | re.S)


def _anchors(file: Path) -> set[str]:
    """As code hosts make them of headings: small letters and hyphens, without punctuation."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", file.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "file", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (REPOSITORY / "docs").glob("*.md"))]
)
def test_links_lead_to_files_and_headings(file: str) -> None:
    here = REPOSITORY / file
    for target, anchor in _LINK.findall(_FENCE.sub("", here.read_text("utf-8"))):
        there = (here.parent / target).resolve() if target else here
        assert there.exists(), f"{file} links to {target}"
        assert not anchor or anchor in _anchors(there), f"{file} links to {target}#{anchor}"
