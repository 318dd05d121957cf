"""The pages of the documentation, and what must hold of their blocks of code.

* A block of ``python`` runs; what a ``print(...)  # text`` says that it prints, it prints.
* A block of ``console`` has commands, each on a line ``$ market-abm ...``, and under it what the
  command prints; ``...`` stands for lines, or a part of a line, that are left out. In the README
  a comment ``<!-- output of: market-abm ... -->`` before a block without a language says the same.
* A block of ``toml`` or ``python`` whose first line is ``# NAME.toml`` or ``# NAME.py`` is the
  file of that name; one of ``python`` runs, too.

All blocks of a page run in order in one folder, empty at first.
"""

import re
import runpy
import shlex
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from pathlib import Path

from click.testing import CliRunner

from market_abm.cli.commands import main

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "results/README.md",
    )
)
FENCE = re.compile(r"(?:^<!-- output of: (.*) -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
SAID = re.compile(r"^[ ]*print\(.*\)[ ]+# (\S.*)$", re.M)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")
ROUNDING = 1e-12


@dataclass(frozen=True)
class Block:
    """A block of code, the page that it is on, and the line of the page where it begins."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page, language=None):
    """The blocks of a page, or those in one language."""
    text, found = text_of(page), []
    for match in FENCE.finditer(text):
        command, kind, body = match.groups()
        if command:
            kind, body = "console", f"$ {command}\n{body}"
        found.append(Block(page, text.count("\n", 0, match.start(3)) + 1, kind, body))
    return [block for block in found if language in (None, block.language)]


def run_page(page):
    """Run the blocks of a page in order, in the working directory."""
    for block in blocks(page):
        name = block.text.partition("\n")[0].removeprefix("# ")
        if re.fullmatch(r"\w+\.(toml|py)", name):
            Path(name).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            run_python(block)
        elif block.language == "console":
            run_console(block)


def run_python(block):
    script = Path(f"{Path(block.page).stem}-{block.line}.py")
    script.write_text("\n" * (block.line - 1) + block.text, encoding="utf-8")
    with redirect_stdout(StringIO()) as printed:
        runpy.run_path(str(script), run_name="__main__")
    for said in SAID.findall(block.text):
        if not said.startswith("a pandas"):
            assert said in printed.getvalue(), f"{block}: {said}\n{printed.getvalue()}"


def commands(block):
    """The commands of a block of ``console``, and under each the lines that it is to print."""
    lines = block.text.splitlines()
    starts = [k for k, line in enumerate(lines) if line.startswith("$ ")]
    assert starts and starts[0] == 0, f"{block}: a console block begins with '$ command'"
    for k, after in pairwise([*starts, len(lines)]):
        yield lines[k].removeprefix("$ "), lines[k + 1 : after]


def run_console(block):
    for command, shown in commands(block):
        program, *arguments = shlex.split(command, comments=True)
        assert program == "market-abm", f"{block}: only market-abm is run: {command}"
        done = CliRunner().invoke(main, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), f"{block}"
        assert matches(shown, done.output.splitlines()), f"{block}: {command}\n{done.output}"


def matches(shown, printed):
    """Whether the lines are those, but for blank ones and those for which ``...`` stands."""
    shown, printed = ([tidy(line) for line in lines if line.strip()] for lines in (shown, printed))
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(matches(shown[1:], printed[k:]) for k in range(len(printed) + 1))
    return bool(printed) and same_line(shown[0], printed[0]) and matches(shown[1:], printed[1:])


def tidy(line):
    return re.sub("─+", "─", " ".join(line.split()))


def same_line(shown, printed):
    """Whether the lines are the same, to the last digit shown but for rounding near 0."""
    if "..." in shown:
        return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), printed) is not None
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(abs(float(a) - float(b)) <= ROUNDING for a, b in pairs)


# --- links --------------------------------------------------------------------------------------


def anchors(page):
    """What a link to a heading of the page may say, as GitHub makes it of the heading."""
    text = FENCE.sub("", text_of(page))
    found = []
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.append(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def broken_links(page):
    """The links of a page that lead nowhere in the repository, anchors included."""
    text = FENCE.sub("", text_of(page))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:")):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        inside = path.resolve().relative_to(ROOT).as_posix()
        if not path.exists() or (anchor and anchor not in anchors(inside)):
            yield link
