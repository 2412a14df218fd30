"""Uses a gateway as a program does that is written with the official Python SDK, of either generation.

python.py http URL [MODE]      or      python.py stdio COMMAND...

It makes every call of calls.json and fails if the gateway has a tool that is not called there.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import sys
from importlib.metadata import version

CALLS = json.loads(pathlib.Path(__file__).with_name("calls.json").read_text())
OLD = version("mcp").startswith("1.")


@contextlib.asynccontextmanager
async def connect(how, target, mode):
    """Yields a connected client: both generations list and call alike."""
    if OLD:
        from mcp import ClientSession, StdioServerParameters
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamable_http_client

        transport = (
            streamable_http_client(target[0])
            if how == "http"
            else stdio_client(program(StdioServerParameters, target))
        )
        async with transport as streams, ClientSession(streams[0], streams[1]) as client:
            await client.initialize()
            yield client
    else:
        from mcp import Client, StdioServerParameters

        server = target[0] if how == "http" else program(StdioServerParameters, target)
        async with Client(server, mode=mode) as client:
            yield client


def program(parameters, target):
    """What to start, with our own environment: the SDK alone would pass next to nothing on."""
    return parameters(command=target[0], args=target[1:], env=dict(os.environ))


def plain(message):
    return message.model_dump(mode="json", by_alias=True, exclude_none=True)


def check(call, result):
    """Holds a result against what calls.json says of it."""
    text = "\n".join(part["text"] for part in result["content"] if part["type"] == "text")
    problems = []
    if bool(result.get("isError")) != call.get("error", False):
        problems.append("isError")
    if not re.search(call.get("text", ""), text):
        problems.append("text")
    if "image" in call and call["image"] not in [part.get("mimeType") for part in result["content"]]:
        problems.append("image")
    for name, want in call.get("structured", {}).items():
        if result.get("structuredContent", {}).get(name) != want:
            problems.append(name)
    if problems:
        raise SystemExit(f"{call}: wrong {', '.join(problems)}: {json.dumps(result)[:2000]}")


async def leave(client, extra):
    """Leaves a call: its code ends too, and the next finds what it had made."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await client.call_tool("python_run", {"code": "kept = 1\nimport time; time.sleep(600)", **extra})
            raise SystemExit("the call that was left ended")
    check({"text": "^1$"}, plain(await client.call_tool("python_run", {"code": "kept", **extra})))


async def main(how, *target):
    mode = "auto"
    if how == "http" and len(target) > 1:
        *target, mode = target
    async with connect(how, list(target), mode) as client:
        listed = plain(await client.list_tools())["tools"]
        names = {tool["name"] for tool in listed}
        extra = {}
        if "session_create" in names:  # the protocol has no sessions of its own
            made = plain(await client.call_tool("session_create", {"template": "data"}))
            extra = {"session_id": made["structuredContent"]["session_id"]}
        uncalled = names - {call["tool"] for call in CALLS} - {"session_create", "session_delete"}
        if uncalled:
            raise SystemExit(f"calls.json has no call of {sorted(uncalled)}")
        for call in CALLS:
            # The SDK itself holds structuredContent against the tool's output schema.
            result = await client.call_tool(call["tool"], {**call["arguments"], **extra})
            check(call, plain(result))

        told = []

        async def progress(number, _total, message):
            told.append((number, message))

        code = "import time\nfor i in range(5): print('step', i, flush=True); time.sleep(0.2)"
        await client.call_tool("python_run", {"code": code, **extra}, progress_callback=progress)
        if len(told) < 2 or told != sorted(told) or not all(message.startswith("step ") for _, message in told):
            raise SystemExit(f"progress: {told}")

        if not OLD:  # which tells nobody that it leaves a call
            await leave(client, extra)
        if extra:
            check({}, plain(await client.call_tool("session_delete", extra)))
    print(f"{len(names)} tools, {len(CALLS)} calls, mcp {version('mcp')}")


asyncio.run(main(*sys.argv[1:]))
