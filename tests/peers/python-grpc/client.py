"""The client of gRPC's interoperability cases, with the options of its kin in Go and Java:
`client.py --server_host=H --server_port=P --test_case=C [--additional_metadata=NAME:VALUE]
[--ca_file=FILE --server_host_override=NAME]`.

Ends with 0 when the case holds.
"""

import argparse
import queue
import sys

import grpc

import interop_pb2 as pb
import interop_pb2_grpc as service

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"
PATIENCE_SECONDS = 20
# Sizes of requests and of the answers to them, as the description of the cases has them.
SENT = [27182, 8, 1828, 45904]
ANSWERED = [31415, 9, 2653, 58979]


def empty_unary(stub, _):
    equal(stub.EmptyCall(pb.Empty(), timeout=PATIENCE_SECONDS), pb.Empty())


def large_unary(stub, _):
    request = pb.SimpleRequest(response_size=314159, payload=zeros(271828))
    equal(stub.UnaryCall(request, timeout=PATIENCE_SECONDS).payload, zeros(314159))


def client_streaming(stub, _):
    requests = (pb.StreamingInputCallRequest(payload=zeros(size)) for size in SENT)
    answer = stub.StreamingInputCall(requests, timeout=PATIENCE_SECONDS)
    equal(answer.aggregated_payload_size, sum(SENT))


def server_streaming(stub, _):
    request = pb.StreamingOutputCallRequest(response_parameters=[parameters(size) for size in ANSWERED])
    answers = stub.StreamingOutputCall(request, timeout=PATIENCE_SECONDS)
    equal([answer.payload for answer in answers], [zeros(size) for size in ANSWERED])


def ping_pong(stub, _):
    with Duplex(stub, timeout=PATIENCE_SECONDS) as duplex:
        for sent, answered in zip(SENT, ANSWERED):
            duplex.send(output(answered, sent))
            equal(duplex.receive().payload, zeros(answered))
    equal(list(duplex.call), [])
    equal(duplex.call.code(), grpc.StatusCode.OK)


def empty_stream(stub, _):
    with Duplex(stub, timeout=PATIENCE_SECONDS) as duplex:
        pass
    equal(list(duplex.call), [])
    equal(duplex.call.code(), grpc.StatusCode.OK)


def timeout_on_sleeping_server(stub, _):
    with Duplex(stub, timeout=0.001) as duplex:
        duplex.send(pb.StreamingOutputCallRequest(payload=zeros(27182)))
        ends(duplex.receive, grpc.StatusCode.DEADLINE_EXCEEDED)


def cancel_after_begin(stub, _):
    requests = Requests()
    call = stub.StreamingInputCall.future(iter(requests), timeout=PATIENCE_SECONDS)
    call.cancel()
    equal(call.code(), grpc.StatusCode.CANCELLED)
    requests.end()


def cancel_after_first_response(stub, _):
    with Duplex(stub, timeout=PATIENCE_SECONDS) as duplex:
        duplex.send(output(31415, 27182))
        equal(duplex.receive().payload, zeros(31415))
        duplex.call.cancel()
        ends(duplex.receive, grpc.StatusCode.CANCELLED)


def status_code_and_message(stub, _):
    told = pb.EchoStatus(code=2, message="test status message")
    unary = pb.SimpleRequest(response_status=told)
    ends(lambda: stub.UnaryCall(unary, timeout=PATIENCE_SECONDS), grpc.StatusCode.UNKNOWN, told.message)
    with Duplex(stub, timeout=PATIENCE_SECONDS) as duplex:
        duplex.send(pb.StreamingOutputCallRequest(response_status=told))
        ends(duplex.receive, grpc.StatusCode.UNKNOWN, told.message)


def special_status_message(stub, _):
    told = pb.EchoStatus(code=2, message="\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n")
    request = pb.SimpleRequest(response_status=told)
    ends(lambda: stub.UnaryCall(request, timeout=PATIENCE_SECONDS), grpc.StatusCode.UNKNOWN, told.message)


def custom_metadata(stub, _):
    metadata = [(INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab")]
    request = pb.SimpleRequest(response_size=314159, payload=zeros(271828))
    answer, call = stub.UnaryCall.with_call(request, metadata=metadata, timeout=PATIENCE_SECONDS)
    equal(answer.payload, zeros(314159))
    came_back(call, metadata)
    with Duplex(stub, metadata=metadata, timeout=PATIENCE_SECONDS) as duplex:
        duplex.send(output(314159, 271828))
        equal(duplex.receive().payload, zeros(314159))
    equal(list(duplex.call), [])
    came_back(duplex.call, metadata)


def unimplemented_method(stub, _):
    ends(lambda: stub.UnimplementedCall(pb.Empty(), timeout=PATIENCE_SECONDS), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(_, channel):
    stub = service.UnimplementedServiceStub(channel)
    ends(lambda: stub.UnimplementedCall(pb.Empty(), timeout=PATIENCE_SECONDS), grpc.StatusCode.UNIMPLEMENTED)


CASES = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_streaming,
        server_streaming,
        ping_pong,
        empty_stream,
        timeout_on_sleeping_server,
        cancel_after_begin,
        cancel_after_first_response,
        status_code_and_message,
        special_status_message,
        custom_metadata,
        unimplemented_method,
        unimplemented_service,
    )
}


class Requests:
    """Messages that are sent as they are given, until the end."""

    def __init__(self):
        self.queue = queue.SimpleQueue()

    def __iter__(self):
        return iter(self.queue.get, None)

    def end(self):
        self.queue.put(None)


class Adding(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds one pair to the metadata of every call."""

    def __init__(self, pair):
        self.pair = pair

    def intercept_unary_unary(self, continuation, details, request):
        metadata = [*(details.metadata or []), self.pair]
        return continuation(Details(details.method, details.timeout, metadata), request)

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


class Details(grpc.ClientCallDetails):
    def __init__(self, method, timeout, metadata):
        self.method = method
        self.timeout = timeout
        self.metadata = metadata
        self.credentials = None
        self.wait_for_ready = None
        self.compression = None


class Duplex:
    """A call with streams both ways, whose requests end with the block."""

    def __init__(self, stub, **options):
        self.requests = Requests()
        self.call = stub.FullDuplexCall(iter(self.requests), **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.requests.end()

    def send(self, request):
        self.requests.queue.put(request)

    def receive(self):
        return next(self.call)


def zeros(size):
    return pb.Payload(body=bytes(size))


def parameters(size):
    return pb.ResponseParameters(size=size)


def output(answered, sent):
    return pb.StreamingOutputCallRequest(response_parameters=[parameters(answered)], payload=zeros(sent))


def equal(seen, wanted):
    if seen != wanted:
        raise AssertionError(f"{str(seen)[:200]!r} is not {str(wanted)[:200]!r}")


def ends(call, code, message=None):
    try:
        call()
    except grpc.RpcError as error:
        equal(error.code(), code)
        if message is not None:
            equal(error.details(), message)
        return
    raise AssertionError(f"no {code}")


def came_back(call, metadata):
    initial, trailing = metadata
    equal([pair[1] for pair in call.initial_metadata() if pair[0] == initial[0]], [initial[1]])
    equal([pair[1] for pair in call.trailing_metadata() if pair[0] == trailing[0]], [trailing[1]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server_host", required=True)
    parser.add_argument("--server_port", required=True)
    parser.add_argument("--test_case", required=True, choices=CASES)
    parser.add_argument("--additional_metadata")
    parser.add_argument("--ca_file")
    parser.add_argument("--server_host_override")
    given = parser.parse_args()

    target = f"{given.server_host}:{given.server_port}"
    if given.ca_file:
        options = []
        if given.server_host_override:
            options.append(("grpc.ssl_target_name_override", given.server_host_override))
        credentials = grpc.ssl_channel_credentials(open(given.ca_file, "rb").read())
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target)
    with channel:
        if given.additional_metadata:
            added = tuple(given.additional_metadata.split(":", 1))
            channel = grpc.intercept_channel(channel, Adding(added))
        CASES[given.test_case](service.TestServiceStub(channel), channel)


if __name__ == "__main__":
    sys.exit(main())
