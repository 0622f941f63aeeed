"""Files as context for a question: asks StackSpot for a form, then posts the file to the storage.

The form holds security tokens of the storage. It is in no error, no log and no value that leaves
this module. The storage gets no authorization but the form.
"""

from __future__ import annotations

import json
import mimetypes
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import SEEK_END, BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, Literal, TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.fields import RequestField
from urllib3.filepost import choose_boundary

from . import options
from .auth import token_source
from .errors import AgentError
from .http import Vet
from .reading import request_error
from .refusals import BODY_BYTES, refusal_of_response
from .retry import RetryPolicy
from .sessions import read_body, session
from .values import AgentConfig

DEFAULT_BASE_URL: Final = "https://data-integration-api.stackspot.com"
UPLOAD_POLICY: Final = RetryPolicy(max_retries=3, harmless=True)
_Result = TypeVar("_Result")
_PIECE: Final = 64 * 1024
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Upload:
    """One file. `content` is its bytes or where they are; `expiration` seconds, the form's life.

    Raises ValueError for what cannot be uploaded: no file, an empty one, no name, a knowledge
    source without its slug.
    """

    name: str
    content: bytes | Path = field(repr=False)
    target_type: Literal["CONTEXT", "KNOWLEDGE_SOURCE"] = "CONTEXT"
    target_id: str | None = None
    expiration: int = 60
    content_type: str | None = None

    def __post_init__(self) -> None:
        # The last part of a path in either style, without what could break a header.
        name = _CONTROLS.sub("", PurePosixPath(self.name.replace("\\", "/")).name).strip()
        object.__setattr__(self, "name", name)
        if not name:
            raise ValueError("the file has no name")
        if self.target_type not in ("CONTEXT", "KNOWLEDGE_SOURCE"):
            raise ValueError("target_type must be CONTEXT or KNOWLEDGE_SOURCE")
        if self.target_type == "KNOWLEDGE_SOURCE" and not (self.target_id or "").strip():
            raise ValueError("a knowledge source needs its slug as target_id")
        if isinstance(self.expiration, bool) or self.expiration <= 0:
            raise ValueError("expiration must be above 0")
        if isinstance(self.content, Path) and not self.content.is_file():
            raise ValueError(f"not a file: {self.content.name}")
        size = self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)
        if size == 0:
            raise ValueError(f"the file is empty: {name}")

    @classmethod
    def of(cls, path: str | Path, **values: Any) -> Upload:
        """The file at `path`, under its own name."""
        return cls(Path(path).name, Path(path), **values)

    @property
    def media_type(self) -> str:
        return self.content_type or mimetypes.guess_type(self.name)[0] or "application/octet-stream"


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What became of one file: an id for `AgentRequest.upload_ids`, or why there is none."""

    upload: Upload
    upload_id: str | None = None
    error: AgentError | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    upload_id: str
    url: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class UploadClient:
    """Uploads files with the credential of an agent. Blocking; safe to share between threads.

    The agent's option `upload_base_url` names another host. `form_timeout` and `transfer_timeout`
    are seconds between two reads of each step.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        policy: RetryPolicy = UPLOAD_POLICY,
        form_timeout: float = 30.0,
        transfer_timeout: float = 120.0,
        connect_timeout: float = 5.0,
        vet: Vet | None = None,
    ) -> None:
        self._vet = vet
        self._config = config
        self._policy = policy
        self._form_timeout = (connect_timeout, form_timeout)
        self._transfer_timeout = (connect_timeout, transfer_timeout)
        self._tokens = token_source(config, vet)

    def upload(self, upload: Upload) -> str:
        """The upload id of the file. Raises AgentError.

        Each step is repeated by itself; a form that the storage no longer accepts is asked for
        again, once.
        """
        _opened(upload).close()  # before anything is asked for
        form = self._again(lambda: self._ask_form(upload))
        try:
            self._again(lambda: self._store(form, upload))
        except AgentError as error:
            if error.code != "forbidden":
                raise
            form = self._again(lambda: self._ask_form(upload))
            self._again(lambda: self._store(form, upload))
        return form.upload_id

    def upload_many(self, uploads: Sequence[Upload], *, workers: int = 8) -> list[UploadResult]:
        """One result for each, in their order; a failure touches no other."""
        if not uploads:
            return []
        with ThreadPoolExecutor(min(workers, len(uploads)), thread_name_prefix="agent-upload") as pool:
            return list(pool.map(self._result, uploads))

    def _result(self, upload: Upload) -> UploadResult:
        try:
            return UploadResult(upload, self.upload(upload))
        except AgentError as error:
            return UploadResult(upload, error=error)

    def _again(self, step: Callable[[], _Result]) -> _Result:
        attempt = 1
        while True:
            try:
                return step()
            except AgentError as error:
                wait = self._policy.delay(error, attempt)
                if wait is None:
                    raise
            attempt += 1
            time.sleep(wait)

    def _ask_form(self, upload: Upload) -> _Form:
        asked: dict[str, Any] = {
            "file_name": upload.name,
            "target_type": upload.target_type,
            "expiration": upload.expiration,
        }
        if upload.target_type == "KNOWLEDGE_SOURCE":
            asked["target_id"] = upload.target_id
        base_url = options.address(
            str(self._config.options.get("upload_base_url") or DEFAULT_BASE_URL), "upload URL"
        )
        url = f"{base_url}/v2/file-upload/form"
        token = self._tokens.get_blocking()
        answer = self._post(url, self._form_timeout, token, json=asked)
        if answer.status == 401:
            token = self._tokens.get_blocking(refused=token)
            answer = self._post(url, self._form_timeout, token, json=asked)
        if answer.status not in (200, 201):
            secrets = (token, self._config.client_secret)
            refusal = refusal_of_response(answer.status, answer.headers, answer.body, secrets=secrets)
            if refusal.code == "forbidden":
                # Uploads are for Enterprise accounts, and for credentials that may.
                raise AgentError("upload_forbidden", detail=refusal.detail, status=refusal.status)
            raise refusal
        return _read_form(answer)

    def _store(self, form: _Form, upload: Upload) -> None:
        with _opened(upload) as content:
            body = _Multipart(form.fields, upload, content)
            answer = self._post(form.url, self._transfer_timeout, type_=body.type, data=body)
        if not 200 <= answer.status < 300:
            raise refusal_of_response(
                answer.status, answer.headers, answer.body, secrets=tuple(form.fields.values())
            )

    def _post(
        self, url: str, timeout: tuple[float, float], token: str = "", type_: str = "", **given: Any
    ) -> _Answer:
        config = self._config
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if type_:
            headers["Content-Type"] = type_
        try:
            with session(self._vet).post(
                url,
                headers=headers,
                timeout=timeout,
                proxies={"http": config.proxy, "https": config.proxy} if config.proxy else None,
                verify=config.ca_bundle or True,
                allow_redirects=False,
                stream=True,
                **given,
            ) as response:
                body = read_body(response, 8 * BODY_BYTES)
                return _Answer(response.status_code, response.headers, body)
        except requests.ReadTimeout as error:
            raise AgentError("no_answer") from error
        except (requests.RequestException, OSError) as error:
            raise request_error(error) from error


def _opened(upload: Upload) -> BinaryIO:
    if isinstance(upload.content, bytes):
        return BytesIO(upload.content)
    try:
        return upload.content.open("rb")
    except OSError as error:
        raise AgentError("rejected", detail=f"the file cannot be read: {upload.name}") from error


class _Multipart:
    """A form whose file is read in pieces while it is sent: the file is never in memory whole.

    It has a length, for storages take no chunks; the file comes last, for they ignore what is behind it.
    """

    def __init__(self, fields: Mapping[str, str], upload: Upload, content: BinaryIO) -> None:
        boundary = choose_boundary()
        self.type = f"multipart/form-data; boundary={boundary}"
        parts = [RequestField(name, value) for name, value in fields.items()]
        file = RequestField("file", b"", filename=upload.name)
        for part in (*parts, file):
            part.make_multipart(content_type=upload.media_type if part is file else None)
        head = "".join(f"--{boundary}\r\n{part.render_headers()}{part.data!s}\r\n" for part in parts)
        head += f"--{boundary}\r\n{file.render_headers()}"
        tail = f"\r\n--{boundary}--\r\n"
        self._streams = [BytesIO(head.encode()), content, BytesIO(tail.encode())]
        self._length = sum(stream.seek(0, SEEK_END) for stream in self._streams)
        for stream in self._streams:
            stream.seek(0)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(_PIECE):
            yield piece

    def read(self, size: int) -> bytes:
        """At most `size` bytes more; nothing at the end."""
        for stream in self._streams:
            if piece := stream.read(size):
                return piece
        return b""


def _read_form(answer: _Answer) -> _Form:
    try:
        body = json.loads(answer.body)
        upload_id = body.get("id") or body.get("upload_id") or body.get("file_upload_id")
        url = body.get("url") or body.get("upload_url")
        fields = body.get("form") or body.get("fields") or body.get("form_fields")
        usable = urlsplit(url).scheme in ("http", "https") and isinstance(upload_id, str)
        values = {str(name): str(value) for name, value in fields.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        usable = False
    if not usable:
        raise AgentError("protocol", status=answer.status, detail="no upload form in the answer")
    return _Form(upload_id, url, values)
