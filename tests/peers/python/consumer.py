"""A client that carries out commands. Keys of `refer`: address, wire bolt|dubbo, version, group, timeout,
heartbeat ms (Bolt). Modes of `call`: sync, oneway, and over Dubbo generic.

Over Bolt the content is JSON in both directions (anthunder leaves it to the application), over Dubbo it is hessian2.
"""

import asyncio
import json
import sys

from anthunder import AioClient

import dubbo
from lines import serve

INTERFACE = "peer.api.Echo"


class Direct(AioClient):
    """Knows one address instead of asking a mesh."""

    def __init__(self, host, port):
        super().__init__("peer-consumer")
        self._direct = (host, port)

    def _get_address(self, interface):
        return self._direct

    def beat(self, seconds):
        """The library sends heartbeats to a mesh alone, and takes none of their answers for one."""

        async def forever():
            while True:
                await asyncio.sleep(seconds)
                try:
                    await self.invoke_heartbeat(self._direct)
                except KeyError:
                    pass

        asyncio.run_coroutine_threadsafe(forever(), self._loop)


class NotAnAnswer(Exception):
    """The library gave back what the service cannot have said."""


class Bolt:
    def __init__(self, command):
        host, port = command["address"].split(":")
        self.client = Direct(host, int(port))
        self.service = f"{INTERFACE}:{command.get('version', '1.0')}"
        if "heartbeat" in command:
            self.client.beat(command["heartbeat"] / 1000)

    def call(self, method, args, attachments, timeout):
        answer = self.client.invoke_sync(
            self.service, method, _content(args), spanctx=_no_trace(), timeout_ms=timeout, **attachments
        )
        try:
            return json.loads(answer)
        except ValueError:
            # What failed is told in the header of an answer, which the library does not read.
            raise NotAnAnswer(answer.decode()) from None

    def oneway(self, method, args, attachments):
        self.client.invoke_oneway(self.service, method, _content(args), spanctx=_no_trace(), **attachments)


class Caller:
    WIRES = {"bolt": Bolt, "dubbo": dubbo.Way}

    def __init__(self):
        self.ways = {}
        self.timeouts = {}

    def refer(self, name, command):
        self.ways[name] = self.WIRES[command.get("wire", "bolt")](command)
        self.timeouts[name] = command.get("timeout", 5000)

    def close(self, name):
        del self.ways[name]

    def call(self, command):
        name = command.get("ref", "default")
        way = self.ways[name]
        method = command.get("method", "echo")
        args = [_argument(arg) for arg in command.get("args", [])]
        attachments = command.get("attachments", {})
        timeout = command.get("timeout", self.timeouts[name])
        mode = command.get("mode", "sync")
        if mode == "oneway":
            return way.oneway(method, args, attachments)
        if mode == "generic":
            return way.generic(method, args, attachments, timeout)
        return way.call(method, args, attachments, timeout)


def _argument(arg):
    if isinstance(arg, dict) and "text" in arg:
        return "x" * arg["text"]
    return arg


def _content(args):
    return json.dumps(args[0] if args else None, ensure_ascii=False).encode()


def _no_trace():
    from mytracer import SpanContext

    return SpanContext()


if __name__ == "__main__":
    serve(Caller())
    sys.exit(0)
