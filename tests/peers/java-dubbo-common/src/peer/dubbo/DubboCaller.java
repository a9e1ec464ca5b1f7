package peer.dubbo;

import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.rpc.RpcException;
import org.apache.dubbo.rpc.service.EchoService;
import org.apache.dubbo.rpc.service.GenericService;
import peer.api.Echo;
import peer.line.Arguments;
import peer.line.Call;
import peer.line.Caller;

/**
 * Calls through Dubbo references with direct URLs. Keys of {@code refer}: {@code address}, {@code protocol} dubbo
 * or what else the release has, {@code interface}, {@code group}, {@code version}, {@code path}, {@code serialization}, {@code timeout},
 * {@code retries}, {@code heartbeat} ms, {@code connections}, {@code payload} octets.
 */
class DubboCaller implements Caller {
    private final ApplicationConfig application;
    private final Map<String, ReferenceConfig<?>> references = new ConcurrentHashMap<>();
    private final ThreadLocal<Map<String, String>> replied = ThreadLocal.withInitial(Map::of);

    DubboCaller(ApplicationConfig application) {
        this.application = application;
    }

    @Override
    public void refer(String name, Map<String, Object> command) {
        ReferenceConfig<Echo> typed = reference(command, interfaceOf(command));
        typed.setInterface(Echo.class);
        MethodConfig fire = new MethodConfig();
        fire.setName("fire");
        fire.setReturn(false);
        typed.setMethods(List.of(fire));
        typed.get();
        references.put(name, typed);

        ReferenceConfig<GenericService> generic = reference(command, interfaceOf(command));
        generic.setInterface(interfaceOf(command));
        generic.setGeneric("true");
        generic.get();
        references.put(name + "/generic", generic);
    }

    @Override
    public void close(String name) {
        for (String kept : List.of(name, name + "/generic")) {
            references.remove(kept).destroy();
        }
    }

    @Override
    public Object call(Call call) throws Throwable {
        Release.forgetReply();
        prepare(call);
        try {
            return invoke(call);
        } finally {
            Map<String, String> seen = new HashMap<>();
            Release.replied().forEach((key, value) -> seen.put(key, String.valueOf(value)));
            replied.set(seen);
            Release.send("timeout", null);
        }
    }

    @Override
    public CompletableFuture<Object> begin(Call call) {
        replied.set(Map.of());
        prepare(call);
        return Release.begin(() -> {
            try {
                return invoke(call);
            } catch (Exception | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        });
    }

    @Override
    public Map<String, String> replied() {
        return replied.get();
    }

    @Override
    public int code(Throwable failure) {
        return failure instanceof RpcException rpc ? rpc.getCode() : -1;
    }

    /** Makes the call that was prepared. */
    protected Object invoke(Call call) throws Throwable {
        if (call.mode.equals("generic")) {
            Object[] args = Arguments.generic(call.args);
            GenericService service = (GenericService) reference(call.ref + "/generic").get();
            return service.$invoke(call.method, Arguments.types(call.method, args), args);
        }
        Object service = reference(call.ref).get();
        if (call.method.equals("$echo")) {
            return ((EchoService) service).$echo(call.args.get(0));
        }
        Method method = Arguments.method(call.method);
        try {
            return method.invoke(service, Arguments.typed(call.args));
        } catch (java.lang.reflect.InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private ReferenceConfig<?> reference(String name) {
        ReferenceConfig<?> reference = references.get(name);
        if (reference == null) {
            throw new IllegalArgumentException("no refer named " + name);
        }
        return reference;
    }

    private static void prepare(Call call) {
        call.attachments.forEach(Release::send);
        if (call.timeout != null) {
            Release.send("timeout", call.timeout);
        }
    }

    /** A reference to that service as the command describes it. */
    protected final <T> ReferenceConfig<T> reference(Map<String, Object> command, String service) {
        ReferenceConfig<T> reference = new ReferenceConfig<>();
        reference.setApplication(application);
        reference.setRegistry(new RegistryConfig(RegistryConfig.NO_AVAILABLE));
        reference.setUrl(url(command, service));
        reference.setCheck(false);
        reference.setGroup((String) command.get("group"));
        reference.setVersion((String) command.get("version"));
        reference.setTimeout(Call.number(command, "timeout", 5000));
        reference.setRetries(Call.number(command, "retries", 0));
        reference.setConnections(Call.number(command, "connections", null));
        return reference;
    }

    private static String interfaceOf(Map<String, Object> command) {
        return Call.text(command, "interface", Echo.class.getName());
    }

    private static String url(Map<String, Object> command, String service) {
        StringBuilder url = new StringBuilder(Call.text(command, "protocol", "dubbo")).append("://");
        url.append(command.get("address")).append('/').append(Call.text(command, "path", service));
        String between = "?";
        for (String key : List.of("serialization", "heartbeat", "payload")) {
            if (command.containsKey(key)) {
                url.append(between).append(key).append('=').append(command.get(key));
                between = "&";
            }
        }
        return url.toString();
    }
}
