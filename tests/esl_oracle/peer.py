"""One session of python-ESL's, played from standard input: runs in a process of its own.

    {"connect": [HOST, PORT, PASSWORD]}  it is the client of an inbound socket
    {"accept": true}                     it is the server of an outbound one, and prints its port
    "steps": [[METHOD, ARGUMENT, …], …]  what is called on the connection, in order

What each call returned is printed as JSON at the end, an event as its headers in order and its
body. Rule: nothing of the gateway's is imported here, or it would be no second opinion.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import ESL  # type: ignore[import-not-found]


def told(result: Any) -> Any:
    """A result as JSON can hold it."""
    if not isinstance(result, ESL.ESLevent):
        return result
    headers = []
    name = result.firstHeader()
    while name is not None:
        headers.append([name, result.getHeader(name)])
        name = result.nextHeader()
    return {"headers": headers, "body": result.getBody()}


def given(argument: Any) -> Any:
    """An argument; an object stands for an event."""
    if not isinstance(argument, dict):
        return argument
    event = ESL.ESLevent(*argument["type"])
    for name, value in argument["headers"]:
        event.addHeader(name, value)
    if "body" in argument:
        event.addBody(argument["body"])
    return event


def connection(script: dict[str, Any]) -> Any:
    if "connect" in script:
        return ESL.ESLconnection(*script["connect"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        accepted, _ = listener.accept()
    return ESL.ESLconnection(accepted.detach())


def main() -> None:
    script = json.loads(sys.stdin.readline())
    session = connection(script)
    results = [told(getattr(session, name)(*map(given, rest))) for name, *rest in script["steps"]]
    print(json.dumps(results), flush=True)


main()
