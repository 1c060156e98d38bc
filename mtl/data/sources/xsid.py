"""xSID: requests to a voice assistant in 14 languages, with intent, slots and the English original."""

import re
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import count_splits
from mtl.data.text.conll import read_conll

_COMMIT = ("mainlp/xsid", "761d926c3f2e9f6bea13192d2f39cec1d04d9777")
_LANGUAGES = ("da", "de", "de-ba", "de-muc", "de-st", "en", "gsw", "id", "it", "lt", "nap", "nl", "sr", "tr")
_FILES = tuple(f"{language}.{part}.conll" for language in _LANGUAGES for part in ("test", "valid"))
_NUM_TEST, _NUM_VAL = 100, 60  # English originals
_DAMAGED = (("de-ba", "test", 279), ("de-ba", "test", 350), ("de-muc", "valid", 276))  # their `text-en`


class XSID(Source):
    """11200 requests to a voice assistant in 14 languages: the intent, a slot tag for each word, and the English.

    Translations of one English sentence are in one split: 100 of the 677 originals are test and 60 val, in the order
    of a hash of their letters. The source's training set, English only, is not among the files.
    """

    name = "xsid"
    licence = "CC BY-SA 4.0"
    cite = "van der Goot et al., From Masked Language Modeling to Translation, NAACL 2021"
    max_bytes = 100_000_000
    files = (
        Files(
            *_COMMIT,
            "data/xSID-0.7",
            "conll",
            "47e0572a51da7d0ef5bd90d5967ba9edc2342acc253d1ad3285e5c0281997138",
            (".conll",),
            len(_FILES),
            _FILES,
        ),
        Files(
            *_COMMIT,
            "LICENSE",
            "LICENSE",
            "3b2890eacd851373001c4a14623458e3adaf1b1967939aa9c38a318e28d61c00",
        ),
    )
    counts: ClassVar[dict[str, int]] = {"files": 28, "train": 8677, "val": 924, "test": 1596}

    def write(self, raw: Path, to: Path) -> None:
        (raw / "LICENSE").rename(to / "LICENSE")
        originals: dict[tuple[str, str, int], str] = {}
        for name in _FILES:
            (raw / "conll" / name).rename(to / name)
            language, part, _ = name.rsplit(".", 2)
            for number, sentence in enumerate(read_conll(to / name, 1000)):
                if (language, part, number) not in _DAMAGED:
                    english = sentence.comments["text" if language == "en" else "text-en"]
                    originals[language, part, number] = re.sub("[^a-z0-9]", "", english.lower())
        ordered = sorted(set(originals.values()), key=lambda letters: sha256(letters.encode()).digest())
        split_of = dict.fromkeys(ordered, "train")
        split_of |= dict.fromkeys(ordered[: _NUM_TEST + _NUM_VAL], "val") | dict.fromkeys(ordered[:_NUM_TEST], "test")
        (to / "splits").mkdir()
        for split in ("train", "val", "test"):
            lines = ["\t".join(map(str, key)) + "\n" for key, text in originals.items() if split_of[text] == split]
            (to / f"splits/{split}.txt").write_text("".join(lines), "utf-8")

    def count(self, folder: Path) -> dict[str, int]:
        counts = {name: number // 3 for name, number in count_splits(folder).items()}  # three words a line
        return {"files": sum(1 for _ in folder.glob("*.conll")), **counts}
