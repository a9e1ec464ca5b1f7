"""The server of gRPC's interoperability cases: `server.py [--port=0] [--cert=FILE --key=FILE]`.

Prints `READY <port>` and serves until SIGTERM or the end of its input.
"""

import argparse
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

import interop_pb2 as pb
import interop_pb2_grpc as service

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"
CALLS = 32
GRACE_SECONDS = 5


class TestService(service.TestServiceServicer):
    def EmptyCall(self, request, context):
        echo_metadata(context)
        return pb.Empty()

    def UnaryCall(self, request, context):
        echo_metadata(context)
        end_as_told(request, context)
        return pb.SimpleResponse(payload=zeros(request.response_size))

    def StreamingOutputCall(self, request, context):
        echo_metadata(context)
        yield from outputs(request)
        end_as_told(request, context)

    def StreamingInputCall(self, requests, context):
        echo_metadata(context)
        total = sum(len(request.payload.body) for request in requests)
        return pb.StreamingInputCallResponse(aggregated_payload_size=total)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            end_as_told(request, context)
            yield from outputs(request)


def outputs(request):
    for parameters in request.response_parameters:
        time.sleep(parameters.interval_us / 1e6)
        yield pb.StreamingOutputCallResponse(payload=zeros(parameters.size))


def zeros(size):
    return pb.Payload(body=bytes(size))


def echo_metadata(context):
    """Two names come back: one in the headers, one, of octets, in the trailers."""
    sent = dict(context.invocation_metadata())
    if INITIAL in sent:
        context.send_initial_metadata([(INITIAL, sent[INITIAL])])
    if TRAILING in sent:
        context.set_trailing_metadata([(TRAILING, sent[TRAILING])])


def end_as_told(request, context):
    if request.HasField("response_status"):
        code = next(code for code in grpc.StatusCode if code.value[0] == request.response_status.code)
        if code is not grpc.StatusCode.OK:
            context.abort(code, request.response_status.message)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    given = parser.parse_args()

    server = grpc.server(ThreadPoolExecutor(max_workers=CALLS))
    service.add_TestServiceServicer_to_server(TestService(), server)
    address = f"127.0.0.1:{given.port}"
    if given.cert:
        pair = (open(given.key, "rb").read(), open(given.cert, "rb").read())
        port = server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port(address)
    server.start()
    print(f"READY {port}", flush=True)

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    ended.wait()
    server.stop(GRACE_SECONDS).wait()


if __name__ == "__main__":
    main()
