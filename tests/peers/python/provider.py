"""A Bolt provider of peer.api.Echo whose content is JSON. Options: --label, --port, --version."""

import json
import os
import signal
import socket
import sys
import time

from anthunder import AioListener, BaseService

from lines import options, say

given = options(sys.argv)
LABEL = given.get("label", "v1")
FIRED = []


class Listener(AioListener):
    """The framework gives a method no sight of the header of its call."""

    arrived = {}

    async def _dispatch(self, call_type, request_id, sofa_header, body, **more):
        # The service object is made before anything is waited for.
        Listener.arrived = dict(sofa_header)
        return await super()._dispatch(call_type, request_id, sofa_header, body, **more)


class Echo(BaseService):
    def __init__(self, ctx):
        super().__init__(ctx)
        self.arrived = Listener.arrived

    def echo(self, content):
        return content

    def who(self, content):
        return answer(LABEL)

    def headers(self, content):
        return answer(self.arrived)

    def fail(self, content):
        raise RuntimeError(json.loads(content))

    def sleep(self, content):
        time.sleep(json.loads(content) / 1000)
        return answer(LABEL)

    def blob(self, content):
        return answer("x" * json.loads(content))

    def fire(self, content):
        FIRED.append(content)

    def fired(self, content):
        return answer(len(FIRED))


def answer(value):
    return json.dumps(value).encode()


def free_port():
    """The framework tells no port that the kernel chose, so it is chosen here."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def main():
    port = int(given.get("port", 0)) or free_port()
    listener = Listener(("127.0.0.1", port), "peer-provider")
    service = f"peer.api.Echo:{given.get('version', '1.0')}"
    listener.handler.register_interface(service, Echo)
    listener.run_threading()
    wait_until_open(port)
    signal.signal(signal.SIGTERM, lambda *_: stop(listener))
    say(f"READY {port}")
    sys.stdin.read()
    stop(listener)


def wait_until_open(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")


def stop(listener):
    listener.shutdown()
    # Its threads would keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
