"""nEMO: Polish sentences that actors say with six emotions; a subset."""

import csv
import wave
from pathlib import Path
from typing import ClassVar

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import count_splits, split_of, write_rows, write_splits

_COMMIT = ("amu-cai/nEMO", "66de9999a8f2f605eb5f64841790aa5cb0877782")
_SPEAKERS = ("EB0", "IC0", "KD0", "KS0", "SM0", "TP0")
_EMOTIONS = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
_SENTENCES = (1, 2, 3, 4, 5, 7, 9, 15, 54)  # the shortest that these six recorded with each emotion


class NEMO(Source):
    """324 recordings of Polish sentences (24 kHz): six actors say nine sentences with six emotions each.

    Each pair of speaker and emotion has one sentence in test and another in val: a Latin square, so that each split
    has each speaker, emotion and sentence. Fetched one by one: the archive of all recordings has half a gigabyte.
    """

    name = "nemo_mini"
    licence = "CC BY-NC-SA 4.0"
    cite = "Christop, nEMO: Dataset of Emotional Speech in Polish, LREC-COLING 2024"
    max_bytes = 2_000_000
    files = (
        Files(
            *_COMMIT,
            "samples",
            "recordings",
            "ed190daa97943e36b87197d13de900c0541e249d95886dc43348fd3bb537873a",
            (".wav",),
            324,
            tuple(f"{s}_{e}_{n}.wav" for s in _SPEAKERS for e in _EMOTIONS for n in _SENTENCES),
        ),
        Files(*_COMMIT, "data.tsv", "data.tsv", "c4919594a62fee0dcd70066ace7bddfb92dc567321fe6ba37ea53f6008f3d828"),
        Files(*_COMMIT, "LICENSE", "LICENSE", "1349a4b6148492b44f629e64eed676612e234fe9a839e4f3b277c1482c8849f1"),
    )
    counts: ClassVar[dict[str, int]] = {"recordings": 324, "train": 252, "val": 36, "test": 36}

    def write(self, raw: Path, to: Path) -> None:
        for name in ("recordings", "LICENSE"):
            (raw / name).rename(to / name)
        splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for s, speaker in enumerate(_SPEAKERS):
            for e, emotion in enumerate(_EMOTIONS):
                for n, sentence in enumerate(_SENTENCES):
                    split = {0: "test", 4: "val"}.get((n - s - 3 * e) % len(_SENTENCES), "train")
                    splits[split].append(f"{speaker}_{emotion}_{sentence}")
        write_splits(to, {split: sorted(names) for split, names in splits.items()})
        with (raw / "data.tsv").open(encoding="utf-8", newline="") as file:
            said = {row["file_id"]: row for row in csv.DictReader(file, delimiter="\t")}
        rows = []
        for name, split in sorted(split_of(splits).items()):
            source = said[f"{name}.wav"]
            speaker, emotion, sentence_id = name.split("_")
            with wave.open(str(to / f"recordings/{name}.wav")) as recording:
                n_samples = recording.getnframes()
            row: dict[str, object] = {"recording": name, "split": split, "emotion": emotion, "speaker": speaker}
            row |= {"gender": source["gender"], "age": source["age"], "sentence_id": sentence_id}
            row |= {"text": source["raw_text"], "normalized_text": source["normalized_text"], "n_samples": n_samples}
            rows.append(row)
        write_rows(to / "recordings.csv", rows)

    def count(self, folder: Path) -> dict[str, int]:
        return {"recordings": sum(1 for _ in (folder / "recordings").iterdir()), **count_splits(folder)}
