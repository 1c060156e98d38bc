"""GTSRB: German traffic signs with their class, shape and group; a subset."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from PIL import Image

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import count_splits, write_rows, write_splits

_COMMIT = ("Zascosium/XAI", "8c77a7e1d13d57fc713e13afe37b1227a5e29946")
# by class: the folder of its training pictures, name, group, number of files, digest
_SIGNS = (
    ("20_kmh", "speed_20", "prohibition", 157, "753e3d3614e43682019e84f6561e4c06d18e8836ae6882ea2e198e6498974e93"),
    ("30_kmh", "speed_30", "prohibition", 1666, "1421f3d6e8f1af061fe70ea4805ba6db3bf684da9de78660c1a1f647714432db"),
    ("50_kmh", "speed_50", "prohibition", 1424, "23488cc31df5375533452af7e1a98b961a9fe02dc8f4d870a45c924f10de5685"),
    ("60_kmh", "speed_60", "prohibition", 884, "10f0891d0076eb3e8a9fc105e8ea3ec002a69c8bc39c1f30f752075b2143f9d1"),
    ("70_kmh", "speed_70", "prohibition", 1337, "2c02f260bbf3585b3ac8279926e439bee1835858d766e55383b986c909755b7a"),
    ("80_kmh", "speed_80", "prohibition", 1111, "9dd4b5ceb31d029343f5ae1b79d28fe46db4514adda396e347893c1d877fc7d7"),
    ("80_aufgehoben", "end_speed_80", "end", 236, "66d063ef4c4cade284f82dd96dab0b534dd507820674e6e39b1232238eb6c70e"),
    ("100_kmh", "speed_100", "prohibition", 908, "7099b7865253d61966170d963162551acf2d56df89ae1fafff35ececed643081"),
    ("120_kmh", "speed_120", "prohibition", 919, "896bf08d41c5f5e51748c30253a53fac0f593d7cf192dda8d1c02f79cb5f8874"),
    (
        "ueberholverbot",
        "no_passing",
        "prohibition",
        1035,
        "c0e0e5c5bdf60ea796b8f701a6f4c0b0c8b0e81a6a3bdfe75ecfcfedbc45d556",
    ),
    (
        "lkw_ueberholverbot",
        "no_passing_trucks",
        "prohibition",
        1228,
        "b9bbb401b876fc4f46f665368250090a6ee217c03c8204eb54d9acad2f35e7c3",
    ),
    (
        "einmalige_vorfahrt",
        "right_of_way_crossing",
        "danger",
        799,
        "6676f12ece6fd25a9e1c81a487a428d4ede9d4f4e77d9b733955e355124a672b",
    ),
    (
        "vorfahrsstrasse",
        "priority_road",
        "priority",
        1589,
        "349219378df025c84ecc605d1d33af419a8dd1317765e6d32849c3aae25bfc78",
    ),
    (
        "vorfahrt_gewaehren",
        "yield",
        "priority",
        1206,
        "1820f94d6c988f3262f91cf2c31f19cbde27a88b5b898a9848673b32d9bf5332",
    ),
    ("stopp", "stop", "priority", 624, "90310726df091acde5c59ad29fd5ea4bd887aee1a3e50d266683b225fcd6a0bf"),
    (
        "durchfahrt_verboten",
        "no_vehicles",
        "prohibition",
        313,
        "d069b827fe02a3b7483d07a9bc0847b7c435bc69260465ba7e9fc2cd7d59e2dd",
    ),
    (
        "lkw_verboten",
        "no_trucks",
        "prohibition",
        305,
        "901e1ed48dad9ab76d9daf74dfe4df4b39463eae269b1c5de4051d39475c47cb",
    ),
    (
        "verbot_der_einfahrt",
        "no_entry",
        "prohibition",
        488,
        "90de5a5f2d294c6f4aeb18e1d6808d5614438313b75b672c07f73540b4bd1916",
    ),
    ("gefahrenstelle", "danger", "danger", 818, "cd60b036411705d35a7952883d0cc6d245ca41df6822132c6b8bccdbd8aaaaf2"),
    (
        "scharfe_kurve_links",
        "curve_left",
        "danger",
        103,
        "88fd3d58db28e5ae659b19abe5f3b44bfe6aef1ebc8e8495b437ef25ebfcfd96",
    ),
    (
        "scharfe_kurve_rechts",
        "curve_right",
        "danger",
        197,
        "cd68b774c0200e8cafca5de4b94f921ed2abbd8ba86745f58da3e34aaba73e29",
    ),
    (
        "s_kurve_links",
        "double_curve",
        "danger",
        187,
        "d6fb7395dc6a68a3b67addda84edbdf0a1f09c6f88936c942310895440df79f5",
    ),
    ("unebene_fahrbahn", "bumpy", "danger", 243, "4c84d968f158eaf7d1c6606e010ad265e7dac758bf34571ebcc6099469e786ef"),
    ("rutschgefahr", "slippery", "danger", 328, "2678098171ca211cdd6ec5e4b9532c1fa381ac92922e1a271cdc454718aa23b6"),
    ("verengte_fahrbahn", "narrows", "danger", 180, "56f23f4bc760b9ebb762b3961d625751d890e3785f98005e6895edd5482065bf"),
    ("baustelle", "road_work", "danger", 1030, "651f88fbfc079bb6d497f30b543c5f53f9e7338249ffdd9be553a5a45e831973"),
    ("ampel", "traffic_light", "danger", 295, "f98fcb838ef4e8191aac0a393f7260486d7b6679a2a408b40ff9ab82b9dba62a"),
    ("fussgaenger", "pedestrians", "danger", 181, "92c05d96bacca444289a466cb6cd42b4a7f41a9153ddc5306e22d544ad95cebf"),
    ("achtung_kinder", "children", "danger", 334, "d814be43f9bb13912c85bbb670c3c2490f44d180ce6f8c4906a16b75131f93f5"),
    ("achtung_fahrrad", "bicycles", "danger", 164, "9400cb9c6f9a41d6c7941e237c5b38ebe6470d64c5cbc228fab7a38f3195dd98"),
    ("achtung_eis", "snow", "danger", 227, "7848acec8eeb8c3f06d4dcc491c767a879f440a2c9e73161a29cfbbd4bc3332c"),
    (
        "achtung_wildwechsel",
        "animals",
        "danger",
        549,
        "d5317d36bd729170fe7a6c9e3ca37f528a373f32d0aa0d680b76d794cea66901",
    ),
    ("unbegrenzt", "end_all", "end", 123, "4de00850f74a77a41200940df791fcc6697984025b80fe2b0083a959ffc8ba4c"),
    (
        "vorgeschrieben_rechts",
        "turn_right",
        "mandatory",
        450,
        "3b531d8b93cabc564508e2836233ebf1deb7d524a74ebb62619c80a151a32e56",
    ),
    (
        "vorgeschrieben_links",
        "turn_left",
        "mandatory",
        241,
        "551433f7391e41cce845f3158335d5dfa7e83c358fd6a64e77c69c3bf20e1c9e",
    ),
    (
        "vorgeschrieben_geradeaus",
        "straight",
        "mandatory",
        812,
        "f9732fbe5baa7886626f3f2a25b5e9312c0f7aca4e26d362fd6442b63472ee2e",
    ),
    (
        "vorgeschrieben_geradeaus_rechts",
        "straight_or_right",
        "mandatory",
        260,
        "7c3c2943d581634397e3bba46c9279a2085407b2fd7c905418f73378096ae246",
    ),
    (
        "vorgeschrieben_geradeaus_links",
        "straight_or_left",
        "mandatory",
        165,
        "50d25b89836686ebc7127ba6926d3108fd3ead2eec534664cde1c9f4523e855d",
    ),
    (
        "vorbeifahren_rechts",
        "keep_right",
        "mandatory",
        1194,
        "a05eed7d6b1aef41f52950900b00936f9170d66770480399b168f582efc4ec58",
    ),
    (
        "vorbeifahren_links",
        "keep_left",
        "mandatory",
        216,
        "0796da4b53cf4b0daf479951a8aca9cb425df639d40e63882bf892252e13f809",
    ),
    (
        "kreisverkehr",
        "roundabout",
        "mandatory",
        306,
        "2388b783635bb04028aa36ec3c7dd28f9d622a6e264a55abd705b9c6579cba29",
    ),
    (
        "ueberholverbot_aufgehoben",
        "end_no_passing",
        "end",
        160,
        "a5a3525cad9a1f171f5cdd78ed229558895e269915175490c7f1d229824f5184",
    ),
    (
        "lkw_ueberholverbot_aufgehoben",
        "end_no_passing_trucks",
        "end",
        138,
        "127ee425ce3d5f5f3ada5b0ae7528ddc0e8434c6c5538b8b6aee54b9ad7a4928",
    ),
)
_SHAPES = {
    "right_of_way_crossing": "triangle",
    "priority_road": "diamond",
    "yield": "inverted_triangle",
    "stop": "octagon",
}
_NUM_TRAIN, _OF_TRACK = 40, 4  # pictures of a class, and of one physical sign
_NUM_VAL, _OF_VAL_TRACK = 8, 2
_NUM_TEST = 16
_SIZE_PX = 35
_Item = TypeVar("_Item")


class GTSRB(Source):
    """2519 pictures of German traffic signs, 35 x 35 pixels: class (43), shape, group, speed limit and the sign's box.

    Of each class: 4 pictures of each track (a physical sign) up to 40 for train, 2 of each fifth track up to 8 for val,
    and 16 of the benchmark's test pictures, all evenly spaced. The copy that is fetched has the pictures from 35
    pixels on, resized.
    """

    name = "gtsrb_mini"
    licence = "none stated"
    cite = "Stallkamp, Schlipsing, Salmen, Igel, Man vs. computer, Neural Networks 32, 2012"
    max_bytes = 1_000_000_000
    files = (
        *(
            Files(*_COMMIT, f"GTSRB/Final_Training/Images/{folder}", f"train/{of}", digest, (".ppm", ".csv"), number)
            for of, (folder, _, _, number, digest) in enumerate(_SIGNS)
        ),
        Files(
            *_COMMIT,
            "GTSRB/Final_Test/Images",
            "test",
            "8455590247681fc144cb8ff7bf88933621a35cd10fe74338aad6c68c9430661f",
            (".ppm", ".csv"),
            1,
        ),
    )
    counts: ClassVar[dict[str, int]] = {"pictures": 2519, "train": 1587, "val": 244, "test": 688}

    def write(self, raw: Path, to: Path) -> None:
        (to / "images").mkdir()
        test: dict[int, list[dict[str, str]]] = defaultdict(list)
        for row in _table(raw / "test/GT-final_test.csv"):
            if (raw / "test" / row["Filename"]).is_file():
                test[int(row["ClassId"])].append(row)
        rows: list[dict[str, object]] = []
        for of in range(len(_SIGNS)):
            tracks: dict[str, list[dict[str, str]]] = defaultdict(list)
            for row in _table(raw / f"train/{of}/GT-{of:05d}.csv"):
                if (raw / f"train/{of}" / row["Filename"]).is_file():
                    tracks[row["Filename"].split("_")[0]].append(row)
            names = sorted(tracks)
            train = [row for i, name in enumerate(names) if i % 5 != 4 for row in _spread(tracks[name], _OF_TRACK)]
            val = [row for name in names[4::5] for row in _spread(tracks[name], _OF_VAL_TRACK)]
            rows += [_write(row, raw / f"train/{of}", to, of, "train") for row in train[:_NUM_TRAIN]]
            rows += [_write(row, raw / f"train/{of}", to, of, "val") for row in val[:_NUM_VAL]]
            rows += [_write(row, raw / "test", to, of, "test") for row in _spread(test[of], _NUM_TEST)]
        rows.sort(key=lambda row: row["split"] == "test")
        write_rows(to / "image_labels.csv", rows)
        splits = {s: [str(row["image"]) for row in rows if row["split"] == s] for s in ("train", "val", "test")}
        write_splits(to, splits)
        lines = [f"{of} {sign} {group} {_shape(sign, group)}\n" for of, (_, sign, group, *_) in enumerate(_SIGNS)]
        (to / "classes.txt").write_text("".join(lines), "utf-8")

    def count(self, folder: Path) -> dict[str, int]:
        return {"pictures": sum(1 for _ in (folder / "images").iterdir()), **count_splits(folder)}


def _table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return sorted(csv.DictReader(opened, delimiter=";"), key=lambda row: row["Filename"])


def _spread(items: Sequence[_Item], number: int) -> list[_Item]:
    """Evenly spaced items, with the first and the last; all of them if they are fewer."""
    if len(items) <= number:
        return list(items)
    return [items[round(i * (len(items) - 1) / (number - 1))] for i in range(number)]


def _shape(sign: str, group: str) -> str:
    return _SHAPES.get(sign, "triangle" if group == "danger" else "circle")


def _write(row: dict[str, str], folder: Path, to: Path, of: int, split: str) -> dict[str, object]:
    stem = row["Filename"].removesuffix(".ppm")
    image = f"{'te' if split == 'test' else 'tr'}_{of:02d}_{stem}.png"
    with Image.open(folder / row["Filename"]) as picture:
        picture.save(to / "images" / image)
    _, sign, group, *_ = _SIGNS[of]
    width, height = int(row["Width"]), int(row["Height"])
    speed = sign.removeprefix("speed_")
    result: dict[str, object] = {"image": image, "split": split, "class_id": of, "sign": sign, "group": group}
    result |= {"shape": _shape(sign, group), "speed_limit": speed if speed != sign else ""}
    result |= {"track": "" if split == "test" else stem.split("_")[0]}
    result |= {"original_width": width, "original_height": height}
    corners = (("x1", "Roi.X1", width), ("y1", "Roi.Y1", height), ("x2", "Roi.X2", width), ("y2", "Roi.Y2", height))
    return result | {name: f"{int(row[column]) * _SIZE_PX / size:.1f}" for name, column, size in corners}
