"""Calls by dubbo-ssl-python, and the two kinds of calls that it has no word for."""

from dubbo_ssl.client import DubboClient
from dubbo_ssl.codec.encoder import Request
from dubbo_ssl.connection import connections

INTERFACE = "peer.api.Echo"
# The bit of the header's third octet that asks for an answer.
TWO_WAY = 0x40
# A longer text than this the library writes with a wrong length.
LONGEST_TEXT = 0x8000
# The parameters of `$invoke`; the library would take the array's class from its first element.
INVOKE = "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;"
CLASSES = {str: "java.lang.String", int: "int"}


class AnyRequest(Request):
    """The library's request, which knows the signature of `$invoke` as well."""

    def __init__(self, request):
        super().__init__(request)
        self._generic = request["method"] == "$invoke"

    def _get_parameter_types(self, arguments):
        return INVOKE if self._generic else super()._get_parameter_types(arguments)


connections.Request = AnyRequest


class Way:
    def __init__(self, command):
        self.host = command["address"]
        self.group = command.get("group")
        self.version = command.get("version", "0.0.0")
        self.client = DubboClient(INTERFACE, self.group, version=self.version, host=self.host)

    def call(self, method, args, attachments, timeout):
        args = [_in_pieces(arg) for arg in args]
        return self.client.call(method, args, context=attachments, timeout=timeout / 1000)

    def generic(self, method, args, attachments, timeout):
        types = [CLASSES[type(arg)] for arg in args]
        return self.call("$invoke", [method, types, args], {"generic": "true", **attachments}, timeout)

    def oneway(self, method, args, attachments):
        request = AnyRequest(
            {
                "dubbo_version": "2.4.10",
                "version": self.version,
                "method": method,
                "path": INTERFACE,
                "arguments": args,
                "group": self.group,
                "context": attachments,
            }
        ).encode()
        request[2] &= ~TWO_WAY
        connections.connection_pool._get_connection(self.host, None).write(request)


def _in_pieces(arg):
    """A list of texts for one that is too long: no method takes it, but it is as many octets."""
    if isinstance(arg, str) and len(arg) > LONGEST_TEXT:
        return ["x" * LONGEST_TEXT] * (len(arg) // LONGEST_TEXT)
    return arg
