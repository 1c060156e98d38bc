"""A server that answers W&B's client as far as a run needs it, to be taken away in the middle of one.

Run: python tests/benchmarks/wandb_server.py PORT_FILE [--refuse]
Its port is written to the file. What is uploaded is read and forgotten. With `--refuse` nobody may open a run.
"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Answers(BaseHTTPRequestHandler):
    """Answers of the server."""

    refuses = False

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self._read()
        self._answer({})

    def do_POST(self) -> None:
        content = self._read()
        if self.path.endswith("/graphql"):
            asked = json.loads(content)
            if self.refuses and "upsertBucket" in asked["query"]:
                return self._answer({"errors": [{"message": "permission denied"}]}, 403)
            self._answer({"data": self._data(asked["query"], asked.get("variables") or {})})
        else:  # numbers of a run
            self._answer({"exitcode": None, "limits": {}})

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def _read(self) -> bytes:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _data(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in query:
            project = {"id": "p", "name": variables.get("project") or "project", "entity": {"id": "e", "name": "me"}}
            run = {"id": "r", "name": variables.get("name"), "displayName": "run", "config": "{}", "project": project}
            run |= {"sweepName": None, "historyLineCount": 0, "eventsLineCount": 0, "logLineCount": 0}
            return {"upsertBucket": {"inserted": True, "bucket": run}}
        if "createRunFiles" in query:
            host = self.headers["Host"]
            files = [{"name": name, "uploadUrl": f"http://{host}/upload/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        if "viewer" in query:
            return {"viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
        return {}


def main() -> None:
    Answers.refuses = "--refuse" in sys.argv
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Path(sys.argv[1]).write_text(str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    main()
