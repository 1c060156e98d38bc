"""`PictureCopies`: annotated copies and maps of pictures, drawn and encoded by threads while the network works."""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from mtl.evaluation.predictions.prediction_files import Found

_ABOUT_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # no other picture can be written either
_MOST_THREADS = 8
_LARGE = 25_000_000  # pixels; larger ones are drawn one at a time, each takes gigabytes
_WAITING = 4  # pictures for each thread, which bounds the memory of a fast network before a slow disk


class PictureCopies:
    """Writes a copy of each picture it is given; an error costs that copy alone.

    Args:
        write: draws and writes one picture.
        failed: called with the name of a picture and the reason if it cannot be written; in the order of `add`, and by
            the thread that calls `add` and `close`.
    """

    def __init__(self, write: Callable[[Found], None], failed: Callable[[str, str], None]) -> None:
        self.write, self.failed = write, failed
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        self._most = _WAITING * threads
        self._alone = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="copies")
        self._waiting: deque[tuple[str, Future[None]]] = deque()

    def add(self, one: Found) -> None:
        """Queue one picture; waits while the queue is full.

        Args:
            one: the picture.

        Raises:
            OSError: if the disk of an earlier picture is full or broken.
        """
        while len(self._waiting) >= self._most:
            self._take()
        write = self._write_large if one.height * one.width > _LARGE else self.write
        self._waiting.append((one.name, self._pool.submit(write, one)))

    def close(self, drop: bool = False) -> None:
        """Wait for all pictures, and end the threads.

        Args:
            drop: leave out the pictures that no thread has begun.

        Raises:
            OSError: if the disk is full or broken.
        """
        try:
            while self._waiting and not drop:
                self._take()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _write_large(self, one: Found) -> None:
        with self._alone:
            self.write(one)

    def _take(self) -> None:
        name, future = self._waiting.popleft()
        try:
            future.result()
        except Exception as error:  # whatever is wrong with one picture, the others do not pay for it
            if about_disks(error):
                raise
            self.failed(name, f"its copy cannot be written: {error}")


def about_disks(error: Exception) -> bool:
    """Whether an error concerns every file that may be written after it.

    Args:
        error: of a file that was written.
    """
    return isinstance(error, OSError) and error.errno in _ABOUT_DISKS
