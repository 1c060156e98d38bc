"""Tiny folders of pictures as strangers lay them out, in every format that `new` knows."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 48, 64
CLASSES = ("cat", "dog")
BOXES = {0: (4, 6, 24, 26), 1: (20, 10, 60, 40)}  # of the class, xyxy in pixels
Layout = Callable[[Path], None]


def picture(path: Path, seed: int) -> None:
    """Noise with a bright box in the place of its class, so that no two look alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    pixels = np.kron(coarse, np.ones((4, 4, 1), np.uint8))
    x0, y0, x1, y1 = BOXES[seed % 2]
    pixels[y0:y1, x0:x1] //= 2
    Image.fromarray(pixels).save(path)


def seed_of(name: str) -> int:
    """The seed from which the picture of a name was made."""
    (digits,) = re.findall(r"(\d+)(?:_jpg)?$", name.split(".rf")[0])
    return int(digits)


def xml(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    x0, y0, x1, y1 = BOXES[seed % 2]
    box = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
    item = f"<object><name>{CLASSES[seed % 2]}</name><bndbox>{box}</bndbox></object>"
    path.write_text(f"<annotation><filename>{path.stem}.jpg</filename>{item}</annotation>")


def text(path: Path, seed: int, polygon: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    x0, y0, x1, y1 = (v / s for v, s in zip(BOXES[seed % 2], (WIDTH, HEIGHT) * 2, strict=True))
    box = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
    numbers = (x0, y0, x1, y0, x1, y1, x0, y1) if polygon else box
    path.write_text(" ".join(map(str, (seed % 2, *numbers))) + "\n")


def coco(path: Path, names: Iterable[tuple[str, int]], roboflow: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, (name, seed) in enumerate(names, 1):
        x0, y0, x1, y1 = BOXES[seed % 2]
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        box = [x0, y0, x1 - x0, y1 - y0]
        annotations.append({"id": number, "image_id": number, "category_id": 1 + seed % 2, "bbox": box, "iscrowd": 0})
    parent = "animals" if roboflow else "none"
    categories = [{"id": 1 + index, "name": name, "supercategory": parent} for index, name in enumerate(CLASSES)]
    if roboflow:
        categories.insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
    document = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(document))


def voc_in_one_folder(root: Path) -> None:
    for seed in range(12):
        picture(root / f"IMG_{seed}.jpg", seed)
        xml(root / f"IMG_{seed}.xml", seed)


def voc_devkit(root: Path) -> None:
    sets = root / "ImageSets/Main"
    sets.mkdir(parents=True)
    for seed in range(12):
        picture(root / f"JPEGImages/2007_{seed:06d}.jpg", seed)
        xml(root / f"Annotations/2007_{seed:06d}.xml", seed)
    for split, seeds in (("train", range(8)), ("val", range(8, 12))):
        (sets / f"{split}.txt").write_text("\n".join(f"2007_{seed:06d}" for seed in seeds) + "\n")
        (sets / f"cat_{split}.txt").write_text("\n".join(f"2007_{seed:06d} -1" for seed in seeds) + "\n")


def voc_in_train_and_test(root: Path) -> None:
    for seed in range(12):
        folder = root / "images" / ("train" if seed < 8 else "test")
        picture(folder / f"cam{seed}.jpg", seed)
        xml(folder / f"cam{seed}.xml", seed)


def voc_of_two_years(root: Path) -> None:
    """Folders with pictures of the same names, each with its own splits."""
    for year in ("VOC2007", "VOC2012"):
        folder, seeds = root / "VOCdevkit" / year, range(6 if year == "VOC2007" else 8)
        for seed in seeds:
            picture(folder / f"JPEGImages/{seed:06d}.jpg", seed)
            xml(folder / f"Annotations/{seed:06d}.xml", seed)
        (folder / "ImageSets/Main").mkdir(parents=True)
        for split, chosen in (("train", seeds[:-2]), ("val", seeds[-2:-1]), ("test", seeds[-1:])):
            (folder / f"ImageSets/Main/{split}.txt").write_text("\n".join(f"{seed:06d}" for seed in chosen) + "\n")


def coco_in_one_file(root: Path) -> None:
    for seed in range(12):
        picture(root / f"images/{seed:012d}.jpg", seed)
    coco(root / "annotations.json", [(f"{seed:012d}.jpg", seed) for seed in range(12)])


def coco_of_another_machine(root: Path) -> None:
    for seed in range(12):
        picture(root / f"files/{seed:012d}.jpg", seed)
    coco(root / "result.json", [(f"C:\\Users\\me\\data\\{seed:012d}.jpg", seed) for seed in range(12)])


def coco_of_polygons(root: Path) -> None:
    coco_in_one_file(root)
    document = json.loads((root / "annotations.json").read_text())
    for one in document["annotations"]:
        x0, y0, width, height = one.pop("bbox")
        one["segmentation"] = [[x0, y0, x0 + width, y0, x0 + width, y0 + height, x0, y0 + height]]
    (root / "annotations.json").write_text(json.dumps(document))


def coco_as_roboflow(root: Path) -> None:
    for split, seeds in (("train", range(8)), ("valid", range(8, 10)), ("test", range(10, 12))):
        for seed in seeds:
            picture(root / split / f"a{seed}_jpg.rf.{seed:032x}.jpg", seed)
        names = [(f"a{seed}_jpg.rf.{seed:032x}.jpg", seed) for seed in seeds]
        coco(root / split / "_annotations.coco.json", names, roboflow=True)


def coco_as_2017(root: Path) -> None:
    for split, seeds in (("train2017", range(8)), ("val2017", range(8, 12))):
        for seed in seeds:
            picture(root / split / f"{seed:012d}.jpg", seed)
        coco(root / f"annotations/instances_{split}.json", [(f"{seed:012d}.jpg", seed) for seed in seeds])
        captions = {"images": [], "annotations": [{"image_id": 1, "caption": "a cat"}], "categories": []}
        (root / f"annotations/captions_{split}.json").write_text(json.dumps(captions))


def yolo_as_ultralytics(root: Path) -> None:
    for split, seeds in (("train", range(8)), ("val", range(8, 12))):
        for seed in seeds:
            picture(root / f"images/{split}/p{seed}.jpg", seed)
            text(root / f"labels/{split}/p{seed}.txt", seed, polygon=seed % 4 > 1)
    lines = ["path: ../datasets/somebody/elsewhere", "train: images/train", "val: images/val", "names:"]
    (root / "data.yaml").write_text("\n".join([*lines, "  0: cat", "  1: dog"]) + "\n")


def yolo_as_roboflow(root: Path) -> None:
    for split, seeds in (("train", range(8)), ("valid", range(8, 10)), ("test", range(10, 12))):
        for seed in seeds:
            picture(root / f"{split}/images/p{seed}.jpg", seed)
            text(root / f"{split}/labels/p{seed}.txt", seed)
    lines = [f"{key}: ../{folder}/images" for key, folder in (("train", "train"), ("val", "valid"), ("test", "test"))]
    (root / "data.yaml").write_text("\n".join([*lines, "nc: 2", "names: ['cat', 'dog']"]) + "\n")


def yolo_as_darknet(root: Path) -> None:
    for seed in range(12):
        picture(root / f"obj_train_data/p{seed}.jpg", seed)
        text(root / f"obj_train_data/p{seed}.txt", seed)
    (root / "obj.names").write_text("cat\ndog\n")


def folders_of_classes(root: Path) -> None:
    for seed in range(12):
        picture(root / CLASSES[seed % 2] / f"p{seed}.jpg", seed)


def folders_of_splits_and_classes(root: Path) -> None:
    for seed in range(12):
        picture(root / ("train" if seed < 8 else "val") / CLASSES[seed % 2] / f"p{seed}.jpg", seed)


def values_of(seed: int) -> NDArray[np.uint8]:
    """The mask of a picture: 1 in its box, 0 elsewhere."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    x0, y0, x1, y1 = BOXES[seed % 2]
    values[y0:y1, x0:x1] = 1
    return values


def mask(path: Path, values: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def masks(root: Path) -> None:
    for seed in range(12):
        picture(root / f"images/p{seed}.jpg", seed)
        values = values_of(seed)
        values[:2] = 255
        mask(root / f"masks/p{seed}.png", values)
    (root / "classes.txt").write_text("floor\nthing\n")


def masks_of_0_and_255(root: Path) -> None:
    for seed in range(12):
        picture(root / f"imgs/p{seed}.jpg", seed)
        mask(root / f"gt/p{seed}_mask.png", values_of(seed) * np.uint8(255))


def masks_of_colors(root: Path) -> None:
    for seed in range(12):
        picture(root / f"JPEGImages/p{seed}.jpg", seed)
        mask(root / f"SegmentationClass/p{seed}.png", np.array([(0, 0, 0), (128, 64, 9)], np.uint8)[values_of(seed)])
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nfloor:0,0,0::\nthing:128,64,9::\n")


def masks_in_each_split(root: Path) -> None:
    for seed in range(12):
        split = "train" if seed < 8 else "val"
        picture(root / split / f"images/p{seed}.png", seed)
        mask(root / split / f"masks/p{seed}.png", values_of(seed))


def masks_as_camvid(root: Path) -> None:
    for seed in range(12):
        split = "train" if seed < 8 else "val"
        picture(root / f"{split}/p{seed}.png", seed)
        mask(root / f"{split}annot/p{seed}.png", values_of(seed))


def masks_as_cityscapes(root: Path) -> None:
    for seed in range(12):
        place = f"{'train' if seed < 8 else 'val'}/town"
        picture(root / f"leftImg8bit/{place}/town_leftImg8bit_{seed}.png", seed)
        mask(root / f"gtFine/{place}/town_gtFine_labelIds_{seed}.png", values_of(seed))


def masks_beside_pictures(root: Path) -> None:
    for seed in range(12):
        picture(root / f"case {seed}.png", seed)
        mask(root / f"case {seed}_mask.png", values_of(seed).astype(bool))


def table_of_labels(root: Path) -> None:
    rows = ["file,species,patient,weight"]
    for seed in range(12):
        picture(root / f"photos/p{seed}.jpg", seed)
        rows.append(f"p{seed}.jpg,{CLASSES[seed % 2]},s{seed // 2},{1.5 + seed}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")


def table_of_semicolons(root: Path) -> None:
    rows = ["Datei;Art;Gewicht"]
    for seed in range(12):
        picture(root / f"photos/p{seed}.jpg", seed)
        rows.append(f"p{seed}.jpg;{CLASSES[seed % 2]};{seed},5")
    (root / "tabelle.csv").write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")


def tables_as_roboflow(root: Path) -> None:
    """A column of 0 and 1 for each class, and a table beside the pictures of each split."""
    for split, seeds in (("train", range(8)), ("valid", range(8, 10)), ("test", range(10, 12))):
        rows = ["filename, cat, dog, any"]
        for seed in seeds:
            picture(root / split / f"a{seed}.jpg", seed)
            rows.append(f"a{seed}.jpg, {1 - seed % 2}, {seed % 2}, {int(seed % 3 == 0)}")
        (root / split / "_classes.csv").write_text("\n".join(rows) + "\n")


def boxes_as_tensorflow(root: Path) -> None:
    """A table beside the pictures of each split; a picture in no row was not annotated."""
    head = "filename,width,height,class,xmin,ymin,xmax,ymax"
    for split, seeds in (("train", range(8)), ("valid", range(8, 10)), ("test", range(10, 12))):
        rows = [head]
        for seed in seeds:
            picture(root / split / f"a{seed}.jpg", seed)
            rows.append(f"a{seed}.jpg,{WIDTH},{HEIGHT},{CLASSES[seed % 2]},{','.join(map(str, BOXES[seed % 2]))}")
        (root / split / "_annotations.csv").write_text("\n".join(rows) + "\n")


def boxes_as_open_images(root: Path) -> None:
    """Shares, and names without extension."""
    rows = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"]
    for seed in range(12):
        picture(root / f"validation/{seed:08x}p{seed}.jpg", seed)
        x0, y0, x1, y1 = (v / s for v, s in zip(BOXES[seed % 2], (WIDTH, HEIGHT) * 2, strict=True))
        rows.append(f"{seed:08x}p{seed},xclick,{CLASSES[seed % 2]},1,{x0},{x1},{y0},{y1},0")
    (root / "validation-annotations-bbox.csv").write_text("\n".join(rows) + "\n")


def boxes_without_a_header(root: Path) -> None:
    """As RetinaNet takes them."""
    rows = []
    for seed in range(12):
        picture(root / f"pictures/p{seed}.JPG", seed)
        rows.append(f"pictures/p{seed}.JPG,{','.join(map(str, BOXES[seed % 2]))},{CLASSES[seed % 2]}")
    (root / "annotations.csv").write_text("\n".join(rows) + "\n")


def boxes_in_one_column(root: Path) -> None:
    """Corner and sides in brackets, as competitions have them, in a table of semicolons with a BOM."""
    rows = ["Bild;bbox;Klasse;Wetter"]
    for seed in range(12):
        picture(root / f"Bilder/p {seed}.jpg", seed)
        x0, y0, x1, y1 = BOXES[seed % 2]
        box = f"[{x0}.0, {y0}.0, {x1 - x0}.0, {y1 - y0}.0]"
        rows.append(f"p {seed};{box};{CLASSES[seed % 2]};{('Sonne', 'Regen')[seed // 6]}")
    (root / "Rahmen.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())


def labelme_beside_pictures(root: Path) -> None:
    """Polygons and rectangles."""
    for seed in range(12):
        picture(root / f"photos {seed % 2}/p{seed}.jpeg", seed)
        x0, y0, x1, y1 = BOXES[seed % 2]
        points = [[x0, y0], [x1, y1]] if seed % 4 > 1 else [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
        shapes = [{"label": CLASSES[seed % 2], "points": points, "shape_type": "rectangle" if seed % 4 > 1 else None}]
        document = {"shapes": shapes, "imagePath": f"p{seed}.jpeg", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        (root / f"photos {seed % 2}/p{seed}.json").write_text(json.dumps(document))


def create_ml_as_roboflow(root: Path) -> None:
    for split, seeds in (("train", range(8)), ("valid", range(8, 10)), ("test", range(10, 12))):
        entries = []
        for seed in seeds:
            picture(root / split / f"a{seed}.jpg", seed)
            x0, y0, x1, y1 = BOXES[seed % 2]
            box = {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}
            boxes = [{"label": CLASSES[seed % 2], "coordinates": box}]
            entries.append({"image": f"a{seed}.jpg", "annotations": boxes})
        (root / split / "_annotations.createml.json").write_text(json.dumps(entries))


def create_ml_of_corners(root: Path) -> None:
    """As some tools write it: x and y are the corner at the top left."""
    entries = []
    for seed in range(12):
        picture(root / f"images/a{seed}.jpg", seed)
        x0, y0, x1, y1 = BOXES[seed % 2]
        boxes = [{"label": CLASSES[seed % 2], "coordinates": {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}}]
        entries.append({"imagefilename": f"a{seed}.jpg", "annotation": boxes})
    (root / "boxes.json").write_text(json.dumps(entries))


def cvat_for_images(root: Path) -> None:
    """Boxes and polygons, and a form of answers that is no table of labels."""
    lines = ["<annotations>", "<version>1.1</version>"]
    for seed in range(12):
        picture(root / f"images/frame {seed}.PNG", seed)
        x0, y0, x1, y1 = BOXES[seed % 2]
        label = f'label="{CLASSES[seed % 2]}" occluded="0"'
        box = f'<box {label} xtl="{x0}.0" ytl="{y0}.0" xbr="{x1}.0" ybr="{y1}.0" z_order="0"></box>'
        polygon = f'<polygon {label} points="{x0},{y0};{x1},{y0};{x1},{y1}" />'
        line = f'<image id="{seed}" name="frame {seed}.PNG" width="{WIDTH}" height="{HEIGHT}">'
        lines += [line, box if seed % 4 > 1 else polygon, "</image>"]
    (root / "annotations.xml").write_text("\n".join([*lines, "</annotations>"]))
    (root / "sample_submission.csv").write_text("id,label\n" + "\n".join(f"frame {seed},cat" for seed in range(12)))


def voc_with_a_table(root: Path) -> None:
    """The main job: boxes and a class for each picture."""
    voc_in_one_folder(root)
    rows = [f"IMG_{seed},{('day', 'night', '')[seed % 3]}" for seed in range(12)]
    (root / "labels.csv").write_text("\n".join(["image,light", *rows]) + "\n")


LAYOUTS: dict[Layout, str] = {
    voc_in_one_folder: "VOCFolder",
    voc_devkit: "VOCFolder",
    voc_in_train_and_test: "VOCFolder",
    voc_of_two_years: "VOCFolder",
    voc_with_a_table: "VOCFolder",
    coco_in_one_file: "COCOFolder",
    coco_of_another_machine: "COCOFolder",
    coco_of_polygons: "COCOFolder",
    coco_as_roboflow: "COCOFolder",
    coco_as_2017: "COCOFolder",
    yolo_as_ultralytics: "YOLOFolder",
    yolo_as_roboflow: "YOLOFolder",
    yolo_as_darknet: "YOLOFolder",
    folders_of_classes: "ClassFolders",
    folders_of_splits_and_classes: "ClassFolders",
    masks: "PictureFolder",
    masks_of_0_and_255: "PictureFolder",
    masks_of_colors: "PictureFolder",
    masks_in_each_split: "PictureFolder",
    masks_as_camvid: "PictureFolder",
    masks_as_cityscapes: "PictureFolder",
    masks_beside_pictures: "PictureFolder",
    boxes_as_tensorflow: "BoxTable",
    boxes_as_open_images: "BoxTable",
    boxes_without_a_header: "BoxTable",
    boxes_in_one_column: "BoxTable",
    labelme_beside_pictures: "LabelMeFolder",
    cvat_for_images: "CVATFolder",
    create_ml_as_roboflow: "CreateMLFolder",
    create_ml_of_corners: "CreateMLFolder",
    table_of_labels: "PictureFolder",
    table_of_semicolons: "PictureFolder",
    tables_as_roboflow: "PictureFolder",
}
