package peer.grpc;

import com.google.protobuf.Empty;
import com.google.protobuf.Int32Value;
import com.google.protobuf.Message;
import com.google.protobuf.StringValue;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ServerCalls;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import peer.line.Call;
import peer.line.Commands;
import peer.line.Provider;

/**
 * A grpc-java provider of {@code who}, {@code echo} and {@code sleep} of {@code peer.api.Echo}, in the messages that
 * the peer in Go uses. At SIGTERM it stops as grpc-java documents it: {@code shutdown}, then the calls at work.
 * Options: {@code --label}, {@code --port}.
 */
public final class ProviderMain {
    private static final String SERVICE = "peer.api.Echo";
    private static final long PATIENCE_SECONDS = 10;

    private ProviderMain() {
    }

    public static void main(String[] args) throws Exception {
        java.io.PrintStream answers = Commands.answers();
        Map<String, Object> options = Provider.options(args);
        String label = Call.text(options, "label", "v1");
        Provider.run(answers, Call.number(options, "port", 0), port -> serve(label, port));
    }

    private static void serve(String label, int port) throws java.io.IOException {
        StringValue said = StringValue.of(label);
        StringValue text = StringValue.getDefaultInstance();
        ServerServiceDefinition service = ServerServiceDefinition.builder(SERVICE)
                .addMethod(method("who", Empty.getDefaultInstance(), text), handler(asked -> said))
                .addMethod(method("echo", text, text), handler(asked -> asked))
                .addMethod(method("sleep", Int32Value.getDefaultInstance(), text), handler(asked -> {
                    sleep(asked.getValue());
                    return said;
                }))
                .build();
        Server server = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port))
                .addService(service).build().start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> end(server)));
    }

    private static <A extends Message, B extends Message> MethodDescriptor<A, B> method(String name, A in, B out) {
        return MethodDescriptor.<A, B>newBuilder()
                .setType(MethodDescriptor.MethodType.UNARY)
                .setFullMethodName(MethodDescriptor.generateFullMethodName(SERVICE, name))
                .setRequestMarshaller(ProtoUtils.marshaller(in))
                .setResponseMarshaller(ProtoUtils.marshaller(out))
                .build();
    }

    private static <A, B> io.grpc.ServerCallHandler<A, B> handler(Function<A, B> carryOut) {
        return ServerCalls.asyncUnaryCall((asked, out) -> {
            out.onNext(carryOut.apply(asked));
            out.onCompleted();
        });
    }

    private static void sleep(int millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void end(Server server) {
        server.shutdown();
        try {
            server.awaitTermination(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
