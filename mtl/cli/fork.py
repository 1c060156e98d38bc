"""`make fork NAME=...`: a copy of this checkout in which the package has another name, as a git repository of its own.

    python -m mtl.cli.fork NAME [--to FOLDER]

It needs nothing but Python and git. The copy holds the files of the working tree that git would commit, changed and
new ones too. What is renamed: the folder of the package and its name wherever it stands as a word of its own (imports,
class paths, commands, settings, prose), and environment variables that begin with it. Longer words that contain it are
others' names, of methods and of packages, and stay.
"""

import argparse
import importlib.util
import keyword
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(__file__).resolve().parents[1].name
KEPT = ("LICENSE", "CITATION.cff")  # they say whose work this is
PROSE = ("README.md",)  # may use the name of a fork as an example
PICTURE = '"image/'  # in the outputs of a notebook: base64, in which no word is one


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the fork and say how to go on.

    Args:
        arguments: name and target; `sys.argv` by default.

    Returns:
        0, or 2 when the name or the target is wrong.
    """
    parser = argparse.ArgumentParser(f"{PACKAGE} fork", description="A copy under another name.", allow_abbrev=False)
    parser.add_argument("name", nargs="?", default="", help="name of the package in the copy")
    parser.add_argument("--to", type=Path, help="folder of the copy [beside this one, by its name]")
    options = parser.parse_args(arguments)
    target = options.to or ROOT.parent / options.name
    try:
        check_name(options.name)
        copied = fork(options.name, target)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(
        f"{copied} files in {target}, one commit; the package is {options.name}.\n"
        f"{' and '.join(KEPT)} still name their authors: keep the licence, and cite your paper in the other.\n"
        f"Go on with: cd {target} && make test-fast\n"
    )
    return 0


def fork(name: str, target: Path) -> int:
    """Copy the checkout, rename the package, commit.

    Args:
        name: of the package in the copy; see `check_name`.
        target: folder of the copy, which must be missing or empty.

    Returns:
        Number of files.

    Raises:
        ValueError: if the target is in use or inside this checkout, or this is no git checkout.
    """
    target = target.resolve()
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ValueError(f"{target} is there and not empty; a fork needs a new folder. Name one with TO=../folder.")
    if target.is_relative_to(ROOT):
        raise ValueError(f"{target} is inside of this checkout; a fork stands beside it. Name it with TO=../folder.")
    files = list(_tracked())
    for file in files:
        copy = target / renamed(file.as_posix(), name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, copy)
        text = _text(copy)
        if text is not None and file.name not in KEPT:
            new = renamed_file(text, name)
            if new != text:
                copy.write_bytes(new.encode())
    _tidy(name, target)
    _commit(name, target)
    return len(files)


def check_name(name: str) -> None:
    """Refuse a name that cannot be a package, or could not be told from other words of the code.

    Args:
        name: of the package in the copy.

    Raises:
        ValueError: with what to take instead.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) or keyword.iskeyword(name):
        near = re.sub(r"\W+", "_", name.lower()).strip("_0123456789")
        hint = f" For example NAME={near}." if near and near != name and not keyword.iskeyword(near) else ""
        raise ValueError(
            f"the name {name!r} cannot be a package: write lower-case letters, digits and '_', a letter first, no word "
            f"of Python, as in make fork NAME=name_of_your_paper.{hint}"
        )
    if name == PACKAGE:
        raise ValueError(f"this package is called {name!r} already; a fork needs another name.")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise ValueError(f"{name!r} is the name of a module already, which the fork would hide. Take another name.")
    words = re.compile(rf"{_word(name)}|{_variable(name)}")
    for file in _tracked():
        text = _text(ROOT / file) if file.name not in PROSE else None
        for number, line in enumerate((text or "").splitlines(), 1):
            if words.search(line) and PICTURE not in line:
                raise ValueError(
                    f"{name!r} is a word of this code already ({file.as_posix()}:{number}), so the fork could not be "
                    f"forked again. Take another name, for example {name}_{PACKAGE}."
                )


def renamed(text: str, name: str) -> str:
    """A text in which the package has another name.

    Args:
        text: of a file, or a path.
        name: the new name.
    """
    text = re.sub(_word(PACKAGE), name, text)
    return re.sub(_variable(PACKAGE), f"{name.upper()}_", text)


def renamed_file(text: str, name: str) -> str:
    """The same for a whole file; the pictures in a notebook stay.

    Args:
        text: of the file.
        name: the new name.
    """
    lines = text.splitlines(keepends=True)
    return "".join(line if PICTURE in line else renamed(line, name) for line in lines)


def _word(name: str) -> str:
    # `nash_mtl`, `LibMTL`, `nash-mtl` and `mtl_backward` are no references; `.mtl-` and `\nmtl` in a string are
    return rf"(?:(?<![A-Za-z0-9_-])|(?<=\\[a-z])){name}(?![A-Za-z0-9_])"


def _variable(name: str) -> str:
    return rf"(?<![A-Za-z0-9_-]){name.upper()}_"


def _tracked() -> Iterator[Path]:
    """Files that git would commit, relative to the root."""
    listed = _git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if listed.returncode:
        raise ValueError(f"{ROOT} is no git checkout ({listed.stderr.strip()}); clone it, or run git init there first.")
    names = sorted(set(listed.stdout.split("\0")))
    yield from (Path(name) for name in names if name and (ROOT / name).is_file())


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:  # a picture
        return None


def _tidy(name: str, target: Path) -> None:
    """Sort imports and wrap lines for the new name; without ruff, `make format` does it later."""
    if importlib.util.find_spec("ruff") is not None:
        ruff = [sys.executable, "-m", "ruff"]
        subprocess.run([*ruff, "check", "--quiet", "--fix-only", "--select", "I", "."], cwd=target, check=True)
        subprocess.run([*ruff, "format", "--quiet", "."], cwd=target, check=True)
    # no formatter wraps comments and messages: a longer name makes some of them longer than the limit
    settings = target / "pyproject.toml"
    text = settings.read_text("utf-8")
    if len(name) > len(PACKAGE) and '"E501"' not in text:
        settings.write_text(re.sub(r"^ignore = \[", 'ignore = ["E501", ', text, count=1, flags=re.M), "utf-8")


def _commit(name: str, target: Path) -> None:
    origin = _git(ROOT, "rev-parse", "HEAD").stdout.strip()
    changed = len(_git(ROOT, "status", "--porcelain").stdout.splitlines())
    source = f"commit {origin or '(none)'}" + (f" and {changed} uncommitted changes" if changed else "")
    known = _git(target, "config", "user.email").stdout.strip()
    who = [] if known else ["-c", f"user.name={name} authors", "-c", f"user.email={name}@localhost"]
    message = f"{name}: a fork of {PACKAGE}\n\nMade by `make fork NAME={name}` of {PACKAGE}, {source}."
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        [*who, "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", message],
    ):
        done = _git(target, *words)
        if done.returncode:
            raise ValueError(f"the files are in {target}, but git {words[0]} failed: {done.stderr.strip()}")


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # a hook of git sets variables that would lead every git back to its repository
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
