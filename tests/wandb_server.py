"""As much of a W&B server as a run asks for, which can go wrong."""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "0123456789" * 4
_ENTITY = {"id": "1", "name": "me"}
_USER = {"id": "1", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}


class Server:
    """On a free port, from when it is entered.

    Attributes:
        answers: "well", "never", or the code of an error; GET /from-now-on/… sets it, too.
    """

    def __init__(self) -> None:
        self.answers = "well"
        self._closed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                _, order, answers = self.path.partition("/from-now-on/")
                if order:
                    outer.answers = answers
                elif outer.answers == "never":
                    outer._closed.wait()
                    return
                code = 200 if order or outer.answers == "well" else int(outer.answers)
                asked: dict[str, Any] = json.loads(body) if self.path == "/graphql" else {"query": ""}
                url = f"http://{self.headers['Host']}/upload"
                content = {"data": _data(asked["query"], asked.get("variables") or {}, url)}
                text = json.dumps(content if code == 200 else {"errors": [{"message": "no"}]}).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self) -> None:
                self.do_POST()

            def do_PUT(self) -> None:
                self.do_POST()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def account(self) -> dict[str, str]:
        """The environment of somebody who has an account there."""
        return {"WANDB_BASE_URL": f"http://127.0.0.1:{self._server.server_port}", "WANDB_API_KEY": KEY}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()


def _data(query: str, given: Mapping[str, Any], url: str) -> dict[str, Any]:
    if "upsertBucket" in query:
        run = {"id": "1", "name": given["name"], "displayName": "x", "config": "{}", "historyLineCount": 0}
        project = {"id": "1", "name": given["project"], "entity": _ENTITY}
        return {"upsertBucket": {"bucket": run | {"project": project}, "inserted": True}}
    if "RunResumeStatus" in query:
        return {"model": {"id": "1", "name": "lic", "entity": _ENTITY, "bucket": None}}
    if "CreateRunFiles" in query:
        files = [{"name": name, "uploadUrl": url} for name in given["files"]]
        return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}
    return {"viewer": _USER} if "viewer" in query else {}
