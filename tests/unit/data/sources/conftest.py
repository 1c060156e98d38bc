"""A mirror on this machine: a server that knows ranges and versions, and can break off."""

import io
import tarfile
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class Mirror:
    """Files by path, and how the server behaves.

    Args:
        address: where it listens.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.cut_at: int | None = None  # each answer ends after so many bytes of the file
        self.answers: list[int] = []  # answered instead of a file, in order
        self.tags = True
        self.length = True
        self.asked: list[tuple[str, str]] = []  # path and range

    def put_repository(self, repository: str, commit: str, files: dict[str, bytes]) -> None:
        self.files[f"/{repository}/tar.gz/{commit}"] = tar({f"repo-{commit}/{name}": b for name, b in files.items()})


def tar(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """A `.tar.gz` of these files, and members without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in others:
            archive.addfile(member)
    return buffer.getvalue()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            mine.asked.append((self.path, self.headers.get("Range", "")))
            if mine.answers:
                self.send_error(mine.answers.pop(0))
                return
            content = mine.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            tag, start = f'"{sha256(content).hexdigest()}"', 0
            if self.headers.get("Range") and self.headers.get("If-Range") == tag:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            if mine.tags:
                self.send_header("ETag", tag)
            if mine.length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : mine.cut_at])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mine = Mirror(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield mine
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def shared_data() -> Path:
    """The data sets beside the checkout."""
    folder = Path(__file__).resolve().parents[4].parent / "shared/data"
    if not folder.is_dir():
        pytest.skip("no data beside the checkout")
    return folder
