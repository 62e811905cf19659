"""A Hugging Face hub of one token, on loopback: it makes data sets, and takes commits of files.

It speaks what `huggingface_hub` asks for an upload: `repos/create`, the data set's facts and tree,
`validate-yaml`, `preupload` (every file goes in the commit itself) and `commit`."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

TOKEN = "hf_double"


@dataclass
class HubDataset:
    """What the hub holds of one data set."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


class Hub:
    """The server. `datasets` by name; `readers` are owners whose data sets the token only reads."""

    def __init__(self) -> None:
        self.datasets: dict[str, HubDataset] = {}
        self.readers: set[str] = set()
        self.cards: list[str] = []
        """Cards that were sent to be validated."""
        self.refuses_cards = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def _answer(self, body: bytes) -> None:
                right = self.headers.get("Authorization") == f"Bearer {TOKEN}"
                path = urlsplit(self.path).path
                status, said = hub.answer(path, body) if right else (401, {"error": "bad token"})
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON."""
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            self.cards.append(json.loads(body)["content"])
            errors = [{"message": '"license" is wrong'}] if self.refuses_cards else []
            return (400 if errors else 200), {"errors": errors, "warnings": []}
        _, _, _, owner, name, *what = path.split("/")
        one = self.datasets.get(f"{owner}/{name}")
        if one is None:
            return 404, {"error": "Repository not found"}
        match what:
            case []:
                return 200, {"id": f"{owner}/{name}", "private": one.private, "siblings": []}
            case ["tree", *_]:
                listed = [{"path": p, "size": len(c), "oid": "0"} for p, c in one.files.items()]
                return 200, [{"type": "file", **about} for about in listed]
            case ["preupload", *_]:
                files = [file["path"] for file in json.loads(body)["files"]]
                told = {"uploadMode": "regular", "shouldIgnore": False}
                return 200, {"files": [{"path": path, **told} for path in files]}
            case ["commit", *_]:
                return self._commit(f"{owner}/{name}", one, body)
        return 404, {"error": path}

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name = f"{asked['organization']}/{asked['name']}"
        address = {"url": f"{self.endpoint}/datasets/{name}"}
        if asked["organization"] in self.readers:
            return 403, {"error": "You don't have the rights"}
        if name in self.datasets:
            return 409, {"error": "You already created this dataset repo", **address}
        self.datasets[name] = HubDataset(private=asked.get("visibility") == "private")
        return 200, address

    def _commit(self, name: str, one: HubDataset, body: bytes) -> tuple[int, Any]:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "header":
                    one.commits.append(value["summary"])
                case "file":
                    one.files[value["path"]] = base64.b64decode(value["content"])
                case "deletedFile":
                    del one.files[value["path"]]
        commit = "1" * 40
        address = f"{self.endpoint}/datasets/{name}/commit/{commit}"
        return 200, {"commitUrl": address, "commitOid": commit}
