"""The endpoint answers in OpenAI's form, only to programs of this machine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest
from fixture_types import LearnerOf, Shake

from server.endpoint import Assistant, Endpoint
from shared.config.run import RunConfig
from shared.tasks.base import Learner

QUESTION = {"role": "user", "content": "aia bib"}


@pytest.fixture(scope="module", params=["classify", "instruct"])
def learner(request: pytest.FixtureRequest, learner_of: LearnerOf, shake: Shake) -> Learner:
    made = learner_of(request.getfixturevalue(request.param))
    shake(made)
    return made


@pytest.fixture(scope="module")
def endpoint(learner: Learner) -> Iterator[Endpoint]:
    with Endpoint(Assistant("tuned", learner, 3), 0) as running:
        yield running


def asked(endpoint: Endpoint, messages: Sequence[Mapping[str, Any]], **more: Any) -> httpx.Response:
    return httpx.post(f"{endpoint.address}/chat/completions", json={"model": "tuned", "messages": list(messages), **more})


def test_a_question_gets_the_models_own_answer(endpoint: Endpoint, learner: Learner) -> None:
    whole = asked(endpoint, [QUESTION]).json()
    assert whole["object"] == "chat.completion"
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": learner.task.answer(learner, "aia bib", 3)}
    streamed = asked(endpoint, [QUESTION], stream=True)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert [each["id"] for each in httpx.get(f"{endpoint.address}/models").json()["data"]] == ["tuned"]


def test_a_request_that_cannot_be_answered_gets_one_sentence(endpoint: Endpoint) -> None:
    requests: list[tuple[list[Any], dict[str, Any], str]] = [
        ([], {}, "messages"),
        ([{"role": "robot", "content": "aia"}], {}, "roles are"),
        ([{"role": "user", "content": ["aia"]}], {}, "contents are texts"),
        ([QUESTION, {"role": "assistant", "content": "bib"}], {}, "the last message is the user's"),
        ([QUESTION], {"max_tokens": 10**9}, "max_tokens"),
        ([{"role": "user"}], {}, "a role and a content"),
    ]
    for messages, more, said in requests:
        reply = asked(endpoint, messages, **more)
        assert reply.status_code == 400
        assert said in reply.json()["error"]["message"]


def test_a_web_page_of_another_host_or_form_is_refused(endpoint: Endpoint) -> None:
    url = f"{endpoint.address}/chat/completions"
    assert httpx.post(url, json={"messages": [QUESTION]}, headers={"Host": "evil.example"}).status_code == 403
    assert httpx.post(url, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400
    assert "access-control-allow-origin" not in httpx.get(f"{endpoint.address}/models").headers


def test_a_conversation_is_rendered_by_the_models_template(
    instruct: RunConfig, learner_of: LearnerOf, shake: Shake, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = learner_of(instruct)
    seen: list[list[int]] = []
    monkeypatch.setattr(made.task, "_continued", lambda _, prompts, __: seen.extend(map(list, prompts)) or ["gkg"])
    talk = [QUESTION, {"role": "assistant", "content": "eoe"}, {"role": "user", "content": "cjc"}]
    with Endpoint(Assistant("tuned", made, 3), 0) as running:
        assert asked(running, talk).json()["choices"][0]["message"]["content"] == "gkg"
    tokenizer: Any = made.base.tokenizer
    system = {"role": "system", "content": instruct.task.system}
    shown = tokenizer.apply_chat_template([system, *talk], tokenize=False, add_generation_prompt=True)
    assert seen == [tokenizer(shown, add_special_tokens=False)["input_ids"]]
