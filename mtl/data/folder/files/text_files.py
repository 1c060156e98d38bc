"""Read text files from any editor or spreadsheet: UTF-8 with or without a BOM, UTF-16 and UTF-32."""

import codecs
from pathlib import Path

from mtl.config.foreign_files import read_small

_MOST_BYTES = 4_000_000_000  # the annotations of LVIS have 1.2e9
_BOMS = (
    # UTF-32 first: its BOM begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = {
    b"PK\x03\x04": "a ZIP archive, as spreadsheets (.xlsx, .ods) are",
    b"\xd0\xcf\x11\xe0": "an old Office document (.xls)",
    b"\x1f\x8b": "compressed by gzip",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "a database",
    b"PAR1": "a Parquet table",
}


def read_text(path: Path) -> str:
    """The text of a file.

    Args:
        path: the file: UTF-8, or UTF-16 or UTF-32 with a BOM, as Windows tools write; UTF-16 of Latin letters
            without one.

    Raises:
        ValueError: if the file has another encoding, is no regular file, or is far larger than annotations are.
    """
    content = read_small(path, _MOST_BYTES, follow=True)
    for magic, kind in _OTHER_FILES.items():
        if content.startswith(magic):
            raise ValueError(f"{str(path)!r} is {kind}, not a text file. Save its content as text in UTF-8.")
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "") or _without_bom(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{str(path)!r} is not valid {encoding.removesuffix('-sig').upper()} (byte "
            f"{content[error.start]:#04x} in line {line}). Save it again as UTF-8; in a shell: "
            f"iconv -f cp1252 -t utf-8, with its encoding in place of cp1252."
        ) from error
    if "\0" in text:
        before = text[: text.index("\0")].split("\n")
        where = f"{str(path)!r}, line {len(before)}: character {len(before[-1]) + 1}"
        raise ValueError(f"{where} is the control character '\\x00', so this is no text. Write the file again.")
    return text


def check_annotation(path: Path) -> None:
    """Refuse the annotations of one picture that are no file.

    Args:
        path: the file.

    Raises:
        ValueError: for a folder, or a link that leads nowhere.
    """
    if not path.is_file():
        raise ValueError(
            f"annotation {str(path)!r} is no file that can be read, such as a link that leads nowhere. Put the file "
            "there, or remove it: then its picture is not annotated."
        )


def _without_bom(content: bytes) -> str:
    """UTF-16 if every second byte of the beginning is 0, as of Latin letters in UTF-16, and UTF-8 otherwise."""
    start = content[:1000]
    half = len(start) // 2
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = start[offset::2].count(0), start[1 - offset :: 2].count(0)
        if half > 1 and zeros > 0.9 * half and others < 0.1 * half:
            return name
    return "utf-8-sig"
