"""Snips: sentences with an intent and slots."""

from pathlib import Path
from typing import ClassVar

from mtl.data.sources.sentences import count_sentences, move_sentences, sentence_files
from mtl.data.sources.source import Source

_DIGESTS = (
    "bfd7df6cf9dd76c5da5d8b61bc85f90386197bdd3d7510c1d324c051537b962f",
    "04ad1e3f2121d83c6478f9a4b17d2dbdc21d06d6127f73cb7af835ed733f9855",
    "fd5f2121d8055827e5d6b3d3bac30f3d7e94e82a5d437751960cbdd9e1b4f6d3",
    "9c1dd041216f647bcfca838aaf1a48eb5781e4404256d31ff07cd38a5436c52f",
    "64e0f6d8ad8aab3a3828164d7d53731a0993d3ca1aed437ceaca6d3d568d410e",
    "712e6d34feb8d52d208b820a5f8bae6e6ff990f08374507dfde22de389088319",
    "37a26da3ad079bb41c42c85a3a8f827eb47efec4c5917ce5d08f4b2736e4f830",
    "c1e341173fcea2951a8ca371956a6f81c76de87b9583c62eb87edd6158fa3a7c",
    "58c07c9097d5e1f78889765c2a535a160f6455b90b3142055c8051847afcca47",
)


class Snips(Source):
    """14484 queries to a voice assistant: the intent of a sentence (7), and a slot tag for each word."""

    name = "snips"
    licence = "none stated"
    cite = "Coucke et al., Snips Voice Platform, arXiv:1805.10190, 2018; Goo et al., NAACL 2018"
    max_bytes = 10_000_000
    files = sentence_files(name, _DIGESTS)
    counts: ClassVar[dict[str, int]] = {"train": 13084, "valid": 700, "test": 700}

    def write(self, raw: Path, to: Path) -> None:
        move_sentences(raw, to)

    def count(self, folder: Path) -> dict[str, int]:
        return count_sentences(folder)
