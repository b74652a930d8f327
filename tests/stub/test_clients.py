"""The clients that applications use, against the served stub: what it says is what they understand.

Which client is tested in what is a table in docs/stub.md, which is compared with the tests below.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest
from clients import CLIENTS, Client, Said

from gonogo.model import Reply, ToolCall
from gonogo.stub import LlmFault, Script
from gonogo.stub.remote import RemoteStub

# what a client warns of while it is imported or used is not the stub's doing
pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).parents[2]
TEXT = "Straight and paved."
LOOK_UP = ToolCall("look_up", {"road": "A 1"})
TEXTS = {"sync": "whole", "streaming": "streamed", "async": "whole_async", "async streaming": "streamed_async"}
COLUMNS = (*TEXTS, "tool calls", "JSON mode", "list of models", "miss", "rate limit")


def over(*columns: str, without: Callable[[Client], bool] = lambda client: False) -> pytest.MarkDecorator:
    """A test for each client; its id names client and column as the table does."""
    return pytest.mark.parametrize(
        ("client", "column"),
        [
            pytest.param(client, column, id=f"{client.name}: {column}")
            for client in CLIENTS
            for column in columns
            if not without(client)
        ],
    )


@pytest.fixture(scope="module", autouse=True)
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all: litellm keeps its connections from one request to the next."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import asks a server elsewhere for prices
        yield runner
        if "litellm" in sys.modules:
            litellm = sys.modules["litellm"]
            runner.run(litellm.close_litellm_async_clients())
    gc.collect()  # what it leaves open is told here, not in some test that comes later


def said_by(client: Client, way: str, url: str, runner: asyncio.Runner, **more: Any) -> Said:
    """What a client reads in one of its ways."""
    found: Said | Coroutine[Any, Any, Said] = getattr(client, TEXTS[way])(url, **more)
    return found if isinstance(found, Said) else runner.run(found)


@over(*TEXTS)
def test_a_client_reads_the_reply(
    url: str, remote: RemoteStub, runner: asyncio.Runner, client: Client, column: str
) -> None:
    remote.expect(script=Script(Reply(TEXT), None))
    assert said_by(client, column, url, runner) == Said(TEXT)
    [exchange] = remote.journal
    assert exchange.served == "scripted"
    assert bool(exchange.request.body.get("stream")) == ("streaming" in column)


@over("tool calls", without=lambda client: client.tools is None)
@pytest.mark.parametrize("way", TEXTS)
def test_a_client_reads_which_tools_are_to_be_called(
    url: str, remote: RemoteStub, runner: asyncio.Runner, client: Client, column: str, way: str
) -> None:
    remote.expect(script=Script(Reply("", tool_calls=(LOOK_UP,)), None))
    said = said_by(client, way, url, runner, **(client.tools or {}))
    [(name, arguments)] = said.calls
    assert (name, arguments if isinstance(arguments, dict) else json.loads(arguments)) == ("look_up", {"road": "A 1"})
    assert "look_up" in json.dumps(remote.journal[0].request.body["tools"])


@over("JSON mode", without=lambda client: client.json is None)
@pytest.mark.parametrize("way", TEXTS)
def test_a_client_that_asks_for_json_reads_it(
    url: str, remote: RemoteStub, runner: asyncio.Runner, client: Client, column: str, way: str
) -> None:
    remote.expect(script=Script(Reply('{"road": "A 1"}'), None))
    said = said_by(client, way, url, runner, **(client.json or {}))
    assert json.loads(said.text) == {"road": "A 1"}
    assert {"format", "response_format", "output_config"} & remote.journal[0].request.body.keys()


@over("list of models")
def test_a_client_lists_the_models_that_recordings_name(url: str, client: Client, column: str) -> None:
    assert client.models(url) == ["llama3.1:8b"]


@over("miss")
def test_a_client_tells_a_miss_and_its_retries_cannot_hide_it(
    url: str, remote: RemoteStub, client: Client, column: str
) -> None:
    with pytest.raises(client.not_found, match="gonogo has no recording for this request; nearest is facts/") as raised:
        client.whole(url)
    assert getattr(raised.value, "status_code", None) == 404
    assert [one.served for one in remote.journal] == [None] * client.attempts


@over("rate limit")
def test_a_client_tells_that_there_were_too_many_requests(
    url: str, remote: RemoteStub, client: Client, column: str
) -> None:
    remote.expect(fault=LlmFault.RATE_LIMITED)
    with pytest.raises(client.rate_limited, match="too many requests") as raised:
        client.impatient(url)
    assert getattr(raised.value, "status_code", None) == 429
    assert [one.served for one in remote.journal] == ["429"]


def test_what_ollamas_client_asks_beside_is_answered(url: str, remote: RemoteStub) -> None:
    remote.expect(script=Script(Reply(TEXT), None))
    with ollama.Client(host=url) as client:
        assert client.ps().models == []
        assert client.show("llama3.1:8b").capabilities == ["completion", "tools"]
        assert client.generate("m", "Go.").response == TEXT


def tested() -> set[str]:
    """The ids that the tests above are made for."""
    marks = [mark for one in globals().values() for mark in getattr(one, "pytestmark", ())]
    made = (mark.args for mark in marks if mark.name == "parametrize")
    return {str(one.id) for names, values in made if names == ("client", "column") for one in values}


def test_the_table_says_what_is_tested_and_with_which_versions() -> None:
    section = (
        (ROOT / "docs" / "stub.md").read_text(encoding="utf-8").partition("\n## Clients\n")[2].partition("\n## ")[0]
    )
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    pinned = dict(
        re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert head == ["client", "version", *COLUMNS]
    assert rows == [
        [
            client.name,
            pinned[client.package],
            *("yes" if f"{client.name}: {column}" in tested() else "no" for column in COLUMNS),
        ]
        for client in CLIENTS
    ]
    assert len(tested()) == sum(row.count("yes") for row in rows)
