"""The addresses of docs/files.md behind the stage, with a line that can be cut.

desk.files[id]      {state, offset, bytes, ...} of what was announced
desk.put            offsets of the slices that came, in order
desk.cut            so many PUTs find no connection, from the offset `desk.cut_at` on
desk.busy           while true a whole file stays `checking`
desk.refusal        (status, error) for the next announcement
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.browser.stage import Stage

SLICE = 1000


class Desk:
    """See the module's docstring."""

    def __init__(self, stage: Stage) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self.put: list[int] = []
        self.removed: list[str] = []
        self.announced: list[dict[str, Any]] = []
        self.cut, self.cut_at = 0, 0
        self.busy = False
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.listed: list[dict[str, Any]] = []
        self.renewed: list[str] = []
        stage.context.route(f"{stage.origin}/files/**", self._answer)
        stage.context.route(
            f"{stage.origin}/c/*/files/", lambda r: self._json(r, 200, {"files": self.listed})
        )

    def _list(self, route: Any) -> None:
        self._json(route, 200, {"files": self.listed})

    def _json(self, route: Any, status: int, body: Any) -> None:
        route.fulfill(status=status, body=json.dumps(body), content_type="application/json")

    def _answer(self, route: Any) -> None:
        request = route.request
        parts = request.url.partition("/files/")[2].strip("/").split("/")
        if parts == [""]:
            return self._announce(route, request.post_data_json)
        one = self.files.get(parts[0])
        if one is None:
            return self._json(route, 404, {"error": {"code": "not_found", "message": "Nothing."}})
        if parts[1:] == ["remove"]:
            self.removed.append(parts[0])
            return self._json(route, 200, {})
        if parts[1:] == ["renew"]:
            self.renewed.append(parts[0])
            self.listed = [{**file, "handed": []} for file in self.listed]
            return self._json(route, 202, {})
        if request.method == "PUT":
            return self._slice(route, one)
        if one["state"] == "checking" and not self.busy:
            one["state"] = "ready"
        return self._json(route, 200, self._shown(one))

    def _announce(self, route: Any, fields: dict[str, Any]) -> None:
        self.announced.append(fields)
        if self.refusal:
            (status, error), self.refusal = self.refusal, None
            return self._json(route, status, {"error": error})
        one = {**fields, "id": f"01F{len(self.files)}", "state": "uploading", "offset": 0, "bytes": b""}
        self.files[one["id"]] = one
        return self._json(route, 201, self._shown(one))

    def _slice(self, route: Any, one: dict[str, Any]) -> None:
        body, offset = route.request.post_data_buffer or b"", int(route.request.headers["upload-offset"])
        if self.cut and offset >= self.cut_at:
            self.cut -= 1
            return route.abort()
        digest = route.request.headers.get("content-digest")
        sums = base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert digest in (None, f"sha-256=:{sums}:")
        if offset != one["offset"]:
            error = {"code": "wrong_offset", "message": "Elsewhere.", "offset": one["offset"]}
            return self._json(route, 409, {"error": error})
        self.put.append(offset)
        one["bytes"] += body
        one["offset"] += len(body)
        if one["offset"] == one["size"]:
            one["state"] = "checking"
        return self._json(route, 200, {"offset": one["offset"], "state": one["state"]})

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        facts = {key: one[key] for key in ("id", "name", "size", "type", "state", "offset")}
        url = f"/files/{one['id']}/download/" if one["state"] == "ready" else None
        more = {"kind": "text", "code": None, "message": None, "next": None, "messages": [], "handed": []}
        return {**facts, "slice": SLICE, "preview_url": None, "download_url": url, **more}
