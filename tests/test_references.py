"""Citations: what a page cites is in a list of references, and what is listed is cited."""

import re

import pytest
from support.pages import PAGES, text_of

LISTS = ("docs/theory.md", "docs/odd.md", "docs/capital.md")
"""Pages with a section of references, for all pages."""

NO_AUTHORS = {"US", "UK", "October", "December", "November", "BEA", "Table", "SNA"}
"""Words before a year that are no names."""

YEAR = r"(?:18|19|20)\d\d"
CITED = re.compile(rf"([A-Z][\w’-]+)(?: et al\.)?,? \(?({YEAR}(?:, {YEAR})*)\b(?!:)")


def parts(page):
    """The text of a page without code, and the entries of its list of references."""
    text = re.sub(r"```.*?```|<https[^>]*>|\]\([^)]*\)", "", text_of(page), flags=re.DOTALL)
    body, _, references = text.partition("\n## References\n")
    return body, re.findall(r"^\* (.*)$", references, flags=re.MULTILINE)


def citations(text):
    """(name, year): of several authors the last, of "et al." the first."""
    return {
        (match[1], year)
        for match in CITED.finditer(text)
        for year in match[2].split(", ")
        if match[1] not in NO_AUTHORS
    }


def authors(entry):
    """The surnames of an entry's authors, and its year: the last number that can be one."""
    names = re.split(r"[\"*]", entry)[0]
    return re.findall(r"[A-Z][\w’-]+(?![\w.])", names), re.findall(rf"\b{YEAR}\b", entry)


ENTRIES = [entry for page in LISTS for entry in parts(page)[1]]


@pytest.mark.parametrize("page", PAGES)
def test_what_is_cited_is_listed(page):
    listed = {
        (name, year)
        for each in ENTRIES
        for names, years in [authors(each)]
        for name in names
        for year in years
    }
    assert citations(parts(page)[0]) <= listed


def test_what_is_listed_is_cited():
    cited = set().union(*(citations(parts(page)[0]) for page in PAGES))
    for entry in ENTRIES:
        names, years = authors(entry)
        several = "et al." in entry or len(names) > 3
        told = {names[0], names[-1]} if several else {names[-1]}
        assert {(name, year) for name in told for year in years} & cited, entry


def test_the_essay_has_an_author_a_title_a_year_and_a_place():
    (essay,) = (each for each in ENTRIES if "Competitive Markets as Distributed Backprop" in each)
    assert re.search(r"Wentworth.*LessWrong.*2018", essay)
