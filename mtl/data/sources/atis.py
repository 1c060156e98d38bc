"""ATIS: sentences with an intent and slots."""

from pathlib import Path
from typing import ClassVar

from mtl.data.sources.sentences import count_sentences, move_sentences, sentence_files
from mtl.data.sources.source import Source

_DIGESTS = (
    "d0a771547665eecbdf9f96ea015ef07d1f6ee9f063e861020dafabb3c2a04377",
    "3a670980841b21ab39088b2595efc17d487cdc45769c075a3e5f9458bba28c7f",
    "14c7131bd66562f797dbd7189bc7358f0cf354c6afb0785a9ab973c35b58f34c",
    "06957cfe6fdffac84f8280bc3a1f8ca85c85631b363817aa4543aac611f8addf",
    "c7435b96e7948393608c34819628e863c5338f11ca68e8f896d2cc041d8e17f8",
    "83ccff3e36f83a993f8e5b5b82adf3256076f234abda4d784051381d7ac76922",
    "ce4bfe6590d9498e1078f30b4137d3e8b3e94277b444b26360c0bf2e9e282761",
    "4b2119fc59c37f9398c6605db435d4f467505009e6ee3e5af04fed09f39dc397",
    "a4690d6bceadc06876d1ff99bc401744aa981cb321e598ae12a3859d7be53254",
)


class ATIS(Source):
    """5871 airline travel queries: the intent of a sentence (21 in train), and a slot tag for each word."""

    name = "atis"
    licence = "none stated; the original corpora are LDC publications, so use it for research only"
    cite = "Hemphill, Godfrey, Doddington, The ATIS spoken language systems pilot corpus, 1990; Goo et al., NAACL 2018"
    max_bytes = 10_000_000
    files = sentence_files(name, _DIGESTS)
    counts: ClassVar[dict[str, int]] = {"train": 4478, "valid": 500, "test": 893}

    def write(self, raw: Path, to: Path) -> None:
        move_sentences(raw, to)

    def count(self, folder: Path) -> dict[str, int]:
        return count_sentences(folder)
