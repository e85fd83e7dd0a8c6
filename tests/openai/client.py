"""Ask a host of the lab for what it offers, through OpenAI's client, and check what comes back. See check.sh."""

import base64
import datetime
import os
import struct
import sys
import uuid
import zlib
from typing import Literal, Optional

import openai
from pydantic import BaseModel, Field

MODEL = "lab"
STORY = [{"role": "user", "content": "Tell me a story about a fox."}]
PERSON = [{"role": "user", "content": "Make JSON: Anna is 34 years old and lives in Rome."}]
WEATHER = [{"role": "user", "content": "What is the weather in Rome?"}]


class Person(BaseModel):
    name: str
    age: int
    city: str


class Ticket(BaseModel):
    """Of all that a schema may ask for, something."""

    id: uuid.UUID
    opened: datetime.date
    kind: Literal["bug", "wish"]
    share: float = Field(ge=0, le=1)
    code: str = Field(pattern=r"^[A-Z]{3}-\d{2}$")
    tags: list[str] = Field(max_length=2)
    parent: Optional["Ticket"]


class get_weather(BaseModel):
    city: str


def refused(kind, ask):
    try:
        ask()
    except kind as error:
        assert error.body["message"], error
        return
    raise AssertionError(f"no {kind.__name__}")


def picture(colour):
    """A PNG of one colour, as a data URL."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    size = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    lines = zlib.compress((b"\0" + bytes(colour) * 32) * 32)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def models(client):
    assert [model.id for model in client.models.list()] == [MODEL] and client.models.retrieve(MODEL).id == MODEL
    stranger = client.with_options(api_key="another")
    refused(openai.AuthenticationError, lambda: stranger.models.list())
    refused(openai.NotFoundError, lambda: client.models.retrieve("other"))
    refused(openai.NotFoundError, lambda: client.chat.completions.create(model="other", messages=STORY))
    refused(openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=[]))
    refused(openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=STORY, temperature=3))


def text(client):
    asked = dict(model=MODEL, messages=STORY, n=2, seed=3, logprobs=True, top_logprobs=3, max_completion_tokens=20)
    answer, again = client.chat.completions.create(**asked), client.chat.completions.create(**asked)
    for choice, other in zip(answer.choices, again.choices):
        assert choice.message.content == other.message.content != ""
        assert choice.finish_reason == "length" or len(choice.logprobs.content) < 20
        assert "".join(token.token for token in choice.logprobs.content).startswith(choice.message.content)
        assert all(len(token.top_logprobs) == 3 for token in choice.logprobs.content)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    stopped = client.chat.completions.create(model=MODEL, messages=STORY, seed=3, stop=["."])
    assert stopped.choices[0].finish_reason == "stop" and "." not in stopped.choices[0].message.content


def streams(client):
    asked = dict(model=MODEL, messages=STORY, seed=5, max_tokens=200)
    whole = client.chat.completions.create(**asked)
    *chunks, last = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert (last.choices, last.usage) == ([], whole.usage)
    with client.chat.completions.stream(**asked) as events:
        for _ in events:
            pass
        assert events.get_final_completion().choices[0].message.content == whole.choices[0].message.content


def schemas(client):
    person = client.chat.completions.parse(model=MODEL, messages=PERSON, response_format=Person, temperature=0)
    assert person.choices[0].message.parsed == Person(name="Anna", age=34, city="Rome")
    for seed in range(5):
        asked = dict(model=MODEL, messages=PERSON, seed=seed, max_tokens=1200)
        ticket = client.chat.completions.parse(**asked, response_format=Ticket)
        assert isinstance(ticket.choices[0].message.parsed, Ticket)


def calls(client):
    asked = dict(model=MODEL, tools=[openai.pydantic_function_tool(get_weather)], temperature=0)
    first = client.chat.completions.parse(**asked, messages=WEATHER, tool_choice="required").choices[0]
    (call,) = first.message.tool_calls
    assert first.finish_reason == "tool_calls" and call.function.parsed_arguments == get_weather(city="Rome")
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"weather": "sunny"}'}
    told = client.chat.completions.create(**asked, messages=[*WEATHER, first.message, result])
    assert told.choices[0].message.content
    chunks = client.chat.completions.create(**asked, messages=WEATHER, tool_choice="required", stream=True)
    parts = [part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or []]
    assert "".join(part.function.arguments or "" for part in parts) == call.function.arguments


def pictures_and_thoughts(client):
    shown = {"type": "image_url", "image_url": {"url": picture((210, 40, 40))}}
    seen = [shown, {"type": "text", "text": "What colour is the shape?"}]
    plain = [{"role": "user", "content": seen[1:]}]
    asked = dict(model=MODEL, temperature=0)
    with_picture = client.chat.completions.create(**asked, messages=[{"role": "user", "content": seen}])
    without = client.chat.completions.create(**asked, messages=plain)
    # A token for each square of 8 by 8.
    assert with_picture.usage.prompt_tokens >= without.usage.prompt_tokens + 16
    thought = client.chat.completions.create(**asked, messages=PERSON, reasoning_effort="low")
    assert thought.choices[0].message.reasoning_content and thought.choices[0].message.content
    assert 0 < thought.usage.completion_tokens_details.reasoning_tokens < thought.usage.completion_tokens


def main():
    client = openai.OpenAI(base_url=sys.argv[1], api_key=os.environ["LAB_KEY"], max_retries=0)
    for topic in (models, text, streams, schemas, calls, pictures_and_thoughts):
        topic(client)
        print(f"{topic.__name__}: ok")


if __name__ == "__main__":
    main()
