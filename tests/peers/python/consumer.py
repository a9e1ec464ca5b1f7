"""A client that carries out commands. Keys of `refer`: address, wire bolt|dubbo, version, group, timeout.

Over Bolt the content is octets in both directions (anthunder leaves protobuf to the application), over Dubbo it
is hessian2.
"""

import sys

from anthunder import AioClient
from dubbo_ssl.client import DubboClient

from lines import serve

INTERFACE = "peer.api.Echo"


class Direct(AioClient):
    """Knows one address instead of asking a mesh."""

    def __init__(self, host, port):
        super().__init__("peer-consumer")
        self._direct = (host, port)

    def _get_address(self, interface):
        return self._direct


class Bolt:
    def __init__(self, command):
        host, port = command["address"].split(":")
        self.client = Direct(host, int(port))
        self.service = f"{INTERFACE}:{command.get('version', '1.0')}"

    def call(self, method, args, attachments, timeout):
        content = str(args[0]).encode() if args else b"-"
        answer = self.client.invoke_sync(
            self.service, method, content, spanctx=_no_trace(), timeout_ms=timeout, **attachments
        )
        return answer.decode()


class Dubbo:
    def __init__(self, command):
        self.client = DubboClient(
            INTERFACE,
            command.get("group"),
            version=command.get("version", "0.0.0"),
            host=command["address"],
        )

    def call(self, method, args, attachments, timeout):
        return self.client.call(method, args, context=attachments, timeout=timeout / 1000)


class Caller:
    WIRES = {"bolt": Bolt, "dubbo": Dubbo}

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
        args = [_argument(arg) for arg in command.get("args", [])]
        timeout = command.get("timeout", self.timeouts[name])
        return self.ways[name].call(
            command.get("method", "echo"), args, command.get("attachments", {}), timeout
        )


def _argument(arg):
    if isinstance(arg, dict) and "text" in arg:
        return "x" * arg["text"]
    return arg


def _no_trace():
    from mytracer import SpanContext

    return SpanContext()


if __name__ == "__main__":
    serve(Caller())
    sys.exit(0)
