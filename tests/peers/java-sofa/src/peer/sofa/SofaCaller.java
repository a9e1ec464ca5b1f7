package peer.sofa;

import com.alipay.sofa.rpc.api.GenericService;
import com.alipay.sofa.rpc.config.ConsumerConfig;
import com.alipay.sofa.rpc.context.RpcInvokeContext;
import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import com.alipay.sofa.rpc.core.invoke.SofaResponseCallback;
import com.alipay.sofa.rpc.core.request.RequestBase;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import peer.api.Echo;
import peer.line.Arguments;
import peer.line.Call;
import peer.line.Caller;

/**
 * Calls through SOFARPC consumers with direct addresses. Keys of {@code refer}: {@code address}, {@code unique_id},
 * {@code version}, {@code interface}, {@code timeout}, {@code retries}, {@code connections}. Attachments travel as
 * baggage, and with {@code headers} of a call as plain entries of Bolt's header map. Modes: sync, oneway, future,
 * callback (async is callback), generic.
 */
final class SofaCaller implements Caller {
    private final Map<String, ConsumerConfig<?>> consumers = new ConcurrentHashMap<>();
    private final Map<String, Object> proxies = new ConcurrentHashMap<>();
    private final Props props = Props.ofResponses();
    private final Executor waiting = Executors.newCachedThreadPool();
    private final ThreadLocal<Map<String, String>> replied = ThreadLocal.withInitial(Map::of);

    @Override
    public void refer(String name, Map<String, Object> command) {
        for (String mode : List.of("sync", "oneway", "future", "callback")) {
            ConsumerConfig<Echo> typed = consumer(command);
            typed.setInterfaceId(Echo.class.getName());
            typed.setInvokeType(mode);
            keep(name + "/" + mode, typed);
        }
        ConsumerConfig<GenericService> generic = consumer(command);
        generic.setInterfaceId(Call.text(command, "interface", Echo.class.getName()));
        generic.setGeneric(true);
        keep(name + "/generic", generic);
    }

    @Override
    public void close(String name) {
        for (String mode : List.of("sync", "oneway", "future", "callback", "generic")) {
            proxies.remove(name + "/" + mode);
            consumers.remove(name + "/" + mode).unRefer();
        }
    }

    @Override
    public Object call(Call call) throws Throwable {
        props.forget();
        prepare(call);
        try {
            String mode = call.method.equals("fire") ? "oneway" : call.mode;
            return invoke(call, mode);
        } finally {
            Map<String, String> seen = new HashMap<>(props.last());
            seen.putAll(RpcInvokeContext.getContext().getAllResponseBaggage());
            replied.set(seen);
            RpcInvokeContext.removeContext();
        }
    }

    @Override
    public CompletableFuture<Object> begin(Call call) throws Throwable {
        replied.set(Map.of());
        CompletableFuture<Object> answer = new CompletableFuture<>();
        prepare(call);
        try {
            if (call.mode.equals("future")) {
                invoke(call, "future");
                java.util.concurrent.Future<Object> future = RpcInvokeContext.getContext().getFuture();
                waiting.execute(() -> await(future, answer));
            } else {
                RpcInvokeContext.getContext().setResponseCallback(new Completion(answer));
                invoke(call, "callback");
            }
        } finally {
            RpcInvokeContext.removeContext();
        }
        return answer;
    }

    @Override
    public Map<String, String> replied() {
        return replied.get();
    }

    @Override
    public int code(Throwable failure) {
        return failure instanceof SofaRpcException rpc ? rpc.getErrorType() : -1;
    }

    private Object invoke(Call call, String mode) throws Throwable {
        Object proxy = proxies.get(call.ref + "/" + mode);
        if (proxy == null) {
            throw new IllegalArgumentException("no refer named " + call.ref + " for mode " + mode);
        }
        if (proxy instanceof GenericService generic) {
            Object[] args = Arguments.typed(call.args);
            return generic.$invoke(call.method, Arguments.types(call.method, args), args);
        }
        Method method = Arguments.method(call.method);
        try {
            return method.invoke(proxy, Arguments.typed(call.args));
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private void keep(String name, ConsumerConfig<?> consumer) {
        proxies.put(name, consumer.refer());
        consumers.put(name, consumer);
    }

    private static void await(java.util.concurrent.Future<Object> future, CompletableFuture<Object> answer) {
        try {
            answer.complete(future.get());
        } catch (Throwable e) {
            answer.completeExceptionally(e);
        }
    }

    private static void prepare(Call call) {
        RpcInvokeContext context = RpcInvokeContext.getContext();
        call.attachments.forEach(context::putRequestBaggage);
        call.headers.forEach(context::addCustomHeader);
        if (call.timeout != null) {
            context.setTimeout(call.timeout);
        }
    }

    private <T> ConsumerConfig<T> consumer(Map<String, Object> command) {
        ConsumerConfig<T> consumer = new ConsumerConfig<T>()
                .setProtocol("bolt")
                .setDirectUrl("bolt://" + command.get("address"))
                .setRegister(false)
                .setFilterRef(List.of(props))
                .setTimeout(Call.number(command, "timeout", 5000))
                .setRetries(Call.number(command, "retries", 0))
                .setRepeatedReferLimit(-1);
        if (command.containsKey("connections")) {
            consumer.setConnectionNum(Call.number(command, "connections", 1));
        }
        if (command.containsKey("unique_id")) {
            consumer.setUniqueId((String) command.get("unique_id"));
        }
        if (command.containsKey("version")) {
            consumer.setVersion((String) command.get("version"));
        }
        return consumer;
    }

    /** Hands an answer that arrives later to whoever waits for it. */
    private record Completion(CompletableFuture<Object> answer) implements SofaResponseCallback<Object> {
        @Override
        public void onAppResponse(Object value, String method, RequestBase request) {
            answer.complete(value);
        }

        @Override
        public void onAppException(Throwable failure, String method, RequestBase request) {
            answer.completeExceptionally(failure);
        }

        @Override
        public void onSofaException(SofaRpcException failure, String method, RequestBase request) {
            answer.completeExceptionally(failure);
        }
    }
}
