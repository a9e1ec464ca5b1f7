"""A Bolt provider of peer.api.Echo whose content is octets. Options: --label, --port, --version."""

import os
import signal
import socket
import sys
import time

from anthunder import AioListener, BaseService

from lines import options, say

given = options(sys.argv)
LABEL = given.get("label", "v1").encode()


class Echo(BaseService):
    def echo(self, content):
        return content

    def who(self, content):
        return LABEL

    def fail(self, content):
        raise RuntimeError(content.decode())

    def sleep(self, content):
        time.sleep(int(content) / 1000)
        return LABEL


def free_port():
    """The framework tells no port that the kernel chose, so it is chosen here."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def main():
    port = int(given.get("port", 0)) or free_port()
    listener = AioListener(("127.0.0.1", port), "peer-provider")
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
