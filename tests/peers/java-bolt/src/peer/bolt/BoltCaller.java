package peer.bolt;

import com.alipay.remoting.InvokeCallback;
import com.alipay.remoting.InvokeContext;
import com.alipay.remoting.rpc.RpcClient;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import peer.line.Arguments;
import peer.line.Call;
import peer.line.Caller;

/**
 * Calls through a raw Bolt client. Keys of {@code refer}: {@code address}, {@code protocol} 1 or 2, {@code version}
 * (ver1 of v2: 1, or 2 which may carry a CRC), {@code crc} false to leave it out, {@code service}, {@code timeout},
 * {@code connections}. Attachments are entries of the frame's header.
 */
final class BoltCaller implements Caller {
    private record Way(RpcClient client, String address, Map<String, String> header, boolean crc, int timeout) {
    }

    private final Map<String, Way> ways = new ConcurrentHashMap<>();
    private final ThreadLocal<Map<String, String>> replied = ThreadLocal.withInitial(Map::of);

    @Override
    public void refer(String name, Map<String, Object> command) throws Exception {
        String address = command.get("address") + "?_PROTOCOL=" + Call.number(command, "protocol", 2)
                + "&_VERSION=" + Call.number(command, "version", 2)
                + "&_CONNECTIONNUM=" + Call.number(command, "connections", 1);
        String service = Call.text(command, "service", "peer.api.Echo:1.0");
        Map<String, String> header = Map.of("service", service, "sofa_head_target_service", service);
        RpcClient client = new RpcClient();
        client.startup();
        boolean crc = !Boolean.FALSE.equals(command.get("crc"));
        ways.put(name, new Way(client, address, header, crc, Call.number(command, "timeout", 5000)));
    }

    @Override
    public void close(String name) {
        ways.remove(name).client.shutdown();
    }

    @Override
    public Object call(Call call) throws Throwable {
        replied.set(Map.of());
        Way way = way(call);
        if (call.mode.equals("oneway") || call.method.equals("fire")) {
            way.client.oneway(way.address, message(way, call), context(way));
            return null;
        }
        Message answer = (Message) way.client.invokeSync(way.address, message(way, call), context(way),
                timeout(way, call));
        replied.set(answer.getHeader());
        return answer.getValue();
    }

    @Override
    public CompletableFuture<Object> begin(Call call) throws Throwable {
        replied.set(Map.of());
        Way way = way(call);
        CompletableFuture<Object> answer = new CompletableFuture<>();
        way.client.invokeWithCallback(way.address, message(way, call), context(way), new Completion(answer),
                timeout(way, call));
        return answer;
    }

    @Override
    public Map<String, String> replied() {
        return replied.get();
    }

    @Override
    public int code(Throwable failure) {
        return -1;
    }

    private Way way(Call call) {
        Way way = ways.get(call.ref);
        if (way == null) {
            throw new IllegalArgumentException("no refer named " + call.ref);
        }
        return way;
    }

    private static int timeout(Way way, Call call) {
        return call.timeout != null ? call.timeout : way.timeout;
    }

    private static Message message(Way way, Call call) {
        Map<String, String> header = new HashMap<>(way.header);
        header.put("sofa_head_method_name", call.method);
        header.putAll(call.attachments);
        Object[] args = Arguments.typed(call.args);
        return new Message(call.method, args.length == 0 ? null : args[0], header);
    }

    private static InvokeContext context(Way way) {
        InvokeContext context = new InvokeContext();
        context.put(InvokeContext.BOLT_CRC_SWITCH, way.crc);
        return context;
    }

    /** Hands an answer that arrives later to whoever waits for it. */
    private record Completion(CompletableFuture<Object> answer) implements InvokeCallback {
        @Override
        public void onResponse(Object result) {
            answer.complete(((Message) result).getValue());
        }

        @Override
        public void onException(Throwable failure) {
            answer.completeExceptionally(failure);
        }

        @Override
        public Executor getExecutor() {
            return null;
        }
    }
}
