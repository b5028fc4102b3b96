"""Answer requests in the form of OpenAI's chat completions on this machine, to try a finished adapter with other programs.

It is no server for many users: one request is answered at a time, and nothing of a request is logged or kept.
"""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from server.network.loopback import LOOPBACK, LoopbackServer
from shared.errors import HushtuneError
from shared.tasks.base import Learner

LARGEST = 1_000_000  # bytes of a request
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Assistant:
    """A tuned model under a name; ``longest`` is the number of tokens of an answer if a request does not say."""

    name: str
    learner: Learner = field(repr=False)
    longest: int
    busy: Lock = field(repr=False, default_factory=Lock)

    def answer(self, messages: Sequence[dict[str, str]], max_tokens: int) -> str:
        """Return the model's answer: a response to a conversation, or the label of the last message.

        Parameters
        ----------
        messages
            The conversation, each with ``role`` and ``content``.
        max_tokens
            The longest answer, in tokens.
        """
        writer = self.learner.task.writer
        with self.busy:
            if writer is None:
                return self.learner.task.answer(self.learner, messages[-1]["content"], max_tokens)
            return writer.converse(self.learner.model, messages, max_tokens)


class Endpoint(LoopbackServer):
    """Serve an assistant on a loopback port; port 0 chooses a free one.

    Raises
    ------
    RunError
        The port cannot be opened.
    """

    def __init__(self, assistant: Assistant, port: int) -> None:
        self._assistant = assistant
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
        ]
        super().__init__(self.only_ours(Router(routes, redirect_slashes=False)), LOOPBACK, port, f"--port {port}")

    @property
    def address(self) -> str:
        """The base address for clients."""
        return f"http://{LOOPBACK}:{self.port}/v1"

    def _models(self, request: Request) -> Response:
        entry = {"id": self._assistant.name, "object": "model", "created": 0, "owned_by": "hushtune"}
        return JSONResponse({"object": "list", "data": [entry]})

    async def _complete(self, request: Request) -> Response:
        # Only JSON: a foreign web page in the browser cannot send it here without asking first, and the answer is no.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refused("the content type must be application/json")
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            return _refused(f"the request must say its length, at most {LARGEST} bytes")
        try:
            messages, longest, stream = _read(await request.body(), self._assistant.longest)
            text = await run_in_threadpool(self._assistant.answer, messages, longest)
        except (ValueError, HushtuneError) as error:
            return _refused(" ".join(str(error).split()))
        return _streamed(self._assistant.name, text) if stream else JSONResponse(_completion(self._assistant.name, text))


def _read(body: bytes, longest: int) -> tuple[list[dict[str, str]], int, bool]:
    """Return messages, longest answer and whether the answer is streamed; a ValueError says what is wrong."""
    try:
        asked = json.loads(body)
        given = [{"role": each["role"], "content": each["content"]} for each in asked["messages"]]
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens") or longest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("the request must be a JSON object with messages, each with a role and a content") from None
    if (
        not given
        or not all(m["role"] in ROLES and isinstance(m["content"], str) for m in given)
        or given[-1]["role"] != "user"
    ):
        raise ValueError(f"messages: roles are {', '.join(ROLES)}, contents are texts, and the last message is the user's")
    if not isinstance(limit, int) or not 1 <= limit <= 4096:
        raise ValueError("max_tokens: must be 1 to 4096")
    return given, limit, bool(asked.get("stream"))


def _completion(name: str, text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {**_head(name, "chat.completion"), "choices": [choice]}


def _streamed(name: str, text: str) -> Response:
    """Return the whole answer as one event, as clients that stream expect."""
    head = _head(name, "chat.completion.chunk")
    said = {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]}
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    lines = "".join(f"data: {json.dumps(each)}\n\n" for each in (said, end)) + "data: [DONE]\n\n"
    return Response(lines, media_type="text/event-stream")


def _head(name: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{secrets.token_hex(8)}", "object": kind, "created": int(time.time()), "model": name}


def _refused(reason: str) -> Response:
    return JSONResponse({"error": {"message": reason, "type": "invalid_request_error"}}, status_code=400)
