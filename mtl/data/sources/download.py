"""Download one file: resumed where the server allows it, bounded in size, and complete or absent."""

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

TRIES = 3
TIMEOUT_S = 60.0
_CHUNK = 1 << 18

Say = Callable[[str], None]


def download(address: str, to: Path, max_bytes: int, say: Say = lambda _: None, pause_s: float = 2.0) -> None:
    """Fetch a file; a file that is there already stays.

    The bytes go to `<to>.part`, which becomes `to` when it is complete. A later call continues that part if the server
    still has the same version of the file (its ETag), and starts over otherwise.

    Args:
        address: http(s) address.
        to: the file to write.
        max_bytes: largest size that is accepted.
        say: receives one line for each download and each repeated try.
        pause_s: seconds to wait before the second try; the third waits twice as long.

    Raises:
        ValueError: if the server has no such file, or one that is too large.
        OSError: if it could not be fetched in three tries; what has arrived is kept.
    """
    if to.is_file():
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    say(f"download {address}")
    for attempt in range(1, TRIES + 1):
        try:
            _fetch(address, to, max_bytes)
            return
        except urllib.error.HTTPError as error:
            reason = f"the server answered {error.code} {error.reason}"
            if error.code < 500 and error.code != 429:
                raise ValueError(f"{address}: {reason}. The data set may have moved.") from error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
                raise  # of the disk
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        if attempt < TRIES:
            say(f"  {reason}; trying again")
            time.sleep(pause_s * attempt)
    raise OSError(
        f"{address} could not be fetched in {TRIES} tries: {reason}. Run the command again later, or on a machine that "
        "has a network, and copy the folder that it makes; --mirror ADDRESS reads from another server."
    )


def _fetch(address: str, to: Path, max_bytes: int) -> None:
    part, tag = to.with_name(to.name + ".part"), to.with_name(to.name + ".etag")
    request = urllib.request.Request(address, headers={"User-Agent": "mtl-data"})
    have = part.stat().st_size if part.is_file() and tag.is_file() else 0
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag.read_text("utf-8"))
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is not a beginning of the file
            part.unlink()
            tag.unlink()
            raise ConnectionError("the server has another version of the file") from error
        raise
    with answer:
        if answer.status != 206:
            have = 0
        length = answer.headers.get("Content-Length")
        expected = None if length is None else have + int(length)
        if (expected or 0) > max_bytes:
            raise ValueError(f"{address} has {expected} bytes, more than the {max_bytes} allowed for this data set.")
        etag = answer.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):  # a weak tag does not promise the same bytes
            tag.write_text(etag, "utf-8")
        else:
            tag.unlink(missing_ok=True)
        with part.open("ab" if have else "wb") as file:
            while chunk := answer.read(_CHUNK):
                have += len(chunk)
                if have > max_bytes:
                    break
                file.write(chunk)
    if have > max_bytes:
        part.unlink()
        raise ValueError(f"{address} has more than the {max_bytes} bytes allowed for this data set.")
    if expected is not None and have < expected:
        raise ConnectionError(f"the connection ended after {have} of {expected} bytes")
    os.replace(part, to)
    tag.unlink(missing_ok=True)
