"""`Frames`: annotated copies of a sequence as numbered PNG files, and as MP4 where ffmpeg is installed."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from mtl.data.deep_pixels import PixelRange
from mtl.errors import printable
from mtl.evaluation.predictions.prediction_files import Found, save_annotated
from mtl.task import Task

FOLDER, VIDEO = "frames", "frames.mp4"
_FASTEST = 1000.0


class Frames:
    """Writes `frames/000001.png` and so on; a number is the place of the picture in the sequence.

    Args:
        output: the folder of all results; frames of an earlier call are removed from it.
        tasks: the tasks, by name.
        names: of the pictures, in their order.
        fps: pictures a second.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white.

    Raises:
        ValueError: for a rate that is no rate.
    """

    def __init__(
        self,
        output: Path,
        tasks: Mapping[str, Task],
        names: Iterable[str],
        fps: float,
        pixel_range: PixelRange | None = None,
    ) -> None:
        if not 0 < fps <= _FASTEST:
            raise ValueError(f"--video {fps:g}: give pictures a second, above 0 and at most {_FASTEST:g}.")
        self.folder, self.video, self.tasks = output / FOLDER, output / VIDEO, tasks
        self.numbers = {name: number for number, name in enumerate(names, 1)}
        self.fps, self.pixel_range = fps, pixel_range
        for old in self._written():
            old.unlink()
        self.video.unlink(missing_ok=True)

    def write(self, one: Found) -> None:
        """Draw and write one picture.

        Args:
            one: the picture.
        """
        path = self.folder / f"{self.numbers[one.name]:06d}.png"
        save_annotated(one, self.tasks, path, self.pixel_range, compress_level=1)

    def join(self) -> str:
        """Make a video of what was written, and say what there is."""
        frames = self._written()
        if not frames:
            return "no frame was drawn"
        told = f"{len(frames)} frames in {self.folder}"
        if (ffmpeg := shutil.which("ffmpeg")) is None:
            return f"{told}; there is no ffmpeg here to make a video of them"
        return f"{told}; {_encoded(ffmpeg, frames, self.fps, self.video)}"

    def _written(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.png") if re.fullmatch(r"\d{6,}", path.stem))


def in_order(names: Iterable[str]) -> list[str]:
    """Names as a sequence has them: `frame_2` before `frame_10`.

    Args:
        names: paths of pictures.
    """

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.findall(r"\d+|\D+", name)
        return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]

    return sorted(names, key=key)


def _encoded(ffmpeg: str, frames: Sequence[Path], fps: float, path: Path) -> str:
    with Image.open(frames[0]) as first:
        width, height = first.size
    # through a pipe, since a picture that could not be read leaves a gap in the numbers
    words = [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    words += ["-r", f"{fps:g}", "-i", "-", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for frame in frames:
                process.stdin.write(_fitted(frame, width, height).tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended, and says why
        why = process.stderr.read().decode("utf-8", errors="replace").strip()
    if process.returncode:
        path.unlink(missing_ok=True)
        return f"ffmpeg made no video of them: {printable(why.splitlines()[-1] if why else 'no reason', 200)}"
    return f"video: {path}"


def _fitted(frame: Path, width: int, height: int) -> Image.Image:
    with Image.open(frame) as picture:
        image = picture.convert("RGB")
    if image.size == (width, height):
        return image
    image.thumbnail((width, height))
    canvas = Image.new("RGB", (width, height))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas
