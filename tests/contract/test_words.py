"""Words that this repository does not use: phrases that a reader from outside has to read twice.

Docstrings, comments, messages, configs and READMEs are searched; each entry says what to write instead.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BANNED = {
    r"\b(that|those) of\b": "repeat the noun: the weights of the last step",
    r"\btold\b": "say who says what: the message names, the method receives, a warning is logged",
    r"\bin vain\b": "times out, fails",
    r"\bwhat (comes|came) of\b": "the result of",
    r"\blaid over\b|\blay(s|ing)?\b[\w ]{1,30}\bover\b": "merge into, override",
    r"\b(go|goes|going|went|gone) on\b": "continue, resume",
    r"\bmend(s|ed|ing)?\b": "fix, repair",
    r"\bmelt(s|ed|ing)?\b": "flatten, merge",
    r"(?<!\bthere )\bis (?-i:none)\b": "is not one, there is no ...",
    r"\bas if nothing\b": "say what is equal",
    r"\btaken apart\b": "parsed, split",
    r"\bcannot be told\b": "is unknown",
    r" [\u2013\u2014] ": "two sentences, or a colon",
    r"\b(seamless|effortless|elegant)(ly)?\b|\b(powerful|comprehensive|blazing)\b": "what it does, with a number",
    r"\b(state-of-the-art|cutting-edge|out of the box|under the hood)\b": "what it does, with a number",
    r"\bleverag(e|es|ing)\b": "use",
    r"\b(simply|easily)\b": "nothing: what is simple shows",
    r"\b(note|keep in mind) that\b|\bit (is|should be) (worth|noted)\b": "the sentence without it",
}


def texts_of(source: str) -> list[str]:
    """Strings of a Python file, f-strings without their values, and its blocks of comments."""
    tree = ast.parse(source)
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            texts.append(node.value)
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1 and block:
                texts.append(" ".join(block))
                block = []
            block.append(token.string.lstrip("# "))
            last = token.start[0]
    return [*texts, " ".join(block)]


def banned_in(texts: list[str]) -> list[str]:
    """Each banned phrase with its sentence and what to write instead."""
    flat = [" ".join(text.split()) for text in texts]
    return [
        f"...{text[max(match.start() - 50, 0) : match.end() + 30]}...: write {instead}"
        for text in flat
        for pattern, instead in BANNED.items()
        for match in re.finditer(pattern, text, re.I)
    ]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "mtl").rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_docstrings_comments_and_messages_are_plain(file: Path) -> None:
    assert banned_in(texts_of(file.read_text("utf-8"))) == []


def pages() -> list[Path]:
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "mtl").rglob("*.md")]
    found += [*(ROOT / "configs").rglob("*.md"), *(ROOT / "configs").rglob("*.yaml"), ROOT / "Makefile"]
    return sorted([*found, ROOT / "tests/benchmarks/README.md"])


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_and_configs_are_plain(page: Path) -> None:
    text = page.read_text("utf-8")
    comments = re.sub(r"^\s*# ?", "", text, flags=re.M) if page.suffix == ".yaml" else text
    assert banned_in([comments]) == []


@pytest.mark.parametrize(
    "source",
    [
        '"""The weights are those\nof the last step."""\n',
        'raise ValueError(f"rank {rank} waited in " "vain")\n',
        "x = 1  # it goes\n# on\n",
        "# a\n\n\n# the size is that of one GPU\n",
        'message = "this head is none"\n',
    ],
)
def test_a_banned_phrase_is_found_over_lines_and_parts(source: str) -> None:
    assert len(banned_in(texts_of(source))) == 1


def test_plain_words_pass() -> None:
    source = '"""None where there is none."""\n# those\n\nvalue = f"that {x} of"\n# of us\n'
    assert banned_in(texts_of(source)) == []
