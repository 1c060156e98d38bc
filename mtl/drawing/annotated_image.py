"""An annotated picture in its own size: predicted boxes, masks and points; sentence and answers in a strip on top."""

from collections.abc import Mapping
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mtl.drawing.maps import blend, dots
from mtl.drawing.sample import TEXT_COLOUR, Picture, class_colour
from mtl.targets.overlay import Boxes, ClassMap, Points
from mtl.task import Task

_SMALLEST_PX = 480  # a smaller picture is enlarged, or its labels would cover it


def annotate(picture: Picture, tasks: Mapping[str, Task]) -> Image.Image:
    """Draw everything that was predicted for a picture.

    Args:
        picture: the sample.
        tasks: the tasks, by name.

    Returns:
        An RGB picture, enlarged by a whole factor if it is small, with a strip on top for its sentence and answers.
    """
    pixels = picture.image
    for overlay in picture.overlays.values():
        if isinstance(overlay.predicted, ClassMap):
            pixels = blend(pixels, overlay.predicted)
    for overlay in picture.overlays.values():
        if isinstance(overlay.predicted, Points):
            pixels = dots(pixels, overlay.predicted)
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    zoom = max(1, -(-_SMALLEST_PX // max(image.size)))
    image = image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
    text_px = max(11, round(max(image.size) / 45))
    font = ImageFont.load_default(text_px)
    _boxes(image, picture, tasks, zoom, font, line_px=max(2, round(max(image.size) / 320)))
    lines = [(words, TEXT_COLOUR) for words in wrap(picture.text, max(10, round(1.8 * image.width / text_px)))]
    if picture.answers:
        lines.append(("    ".join(f"{name}: {_with_score(name, picture)}" for name in picture.answers), "black"))
    line_px = round(1.6 * text_px)
    canvas = Image.new("RGB", (image.width, image.height + len(lines) * line_px), "white")
    canvas.paste(image, (0, canvas.height - image.height))
    for number, (words, colour) in enumerate(lines):
        place = text_px // 2, number * line_px + round(0.25 * text_px)
        ImageDraw.Draw(canvas).text(place, words, fill=colour, font=font)
    return canvas


def _boxes(
    image: Image.Image,
    picture: Picture,
    tasks: Mapping[str, Task],
    zoom: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    line_px: int,
) -> None:
    draw = ImageDraw.Draw(image)
    limit = np.array([image.width - 1, image.height - 1] * 2)
    for name, overlay in picture.overlays.items():
        found = overlay.predicted
        if not isinstance(found, Boxes):
            continue
        scores = found.scores.tolist() if found.scores is not None else [None] * len(found.labels)
        # best last, so it lies on top
        rows = list(zip(found.boxes.tolist(), found.labels.tolist(), scores, strict=True))[::-1]
        for box, label, score in rows:
            x0, y0, x1, y1 = np.minimum(np.maximum(np.array(box) * zoom, 0), limit).tolist()
            if x1 < x0 or y1 < y0:
                continue
            colour = class_colour(label)
            draw.rectangle((x0, y0, x1, y1), outline=colour, width=line_px)
            words = tasks[name].class_name(label) + ("" if score is None else f" {score:.2f}")
            left, top, right, bottom = draw.textbbox((0, 0), words, font=font)
            width, height = right - left + 4, bottom - top + 4
            x = min(x0, max(0, image.width - width))
            y = y0 - height if y0 >= height else y0
            draw.rectangle((x, y, x + width, y + height), fill=colour)
            draw.text((x + 2 - left, y + 2 - top), words, fill="white", font=font)


def _with_score(name: str, picture: Picture) -> str:
    answer = picture.answers[name]
    return str(answer) + ("" if answer.score is None else f" ({answer.score:.2f})")
