package peer.dubbo;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ReferenceConfig;
import peer.line.Call;

/** Calls {@link Streams} as well, where the {@code protocol} of {@code refer} is tri. */
final class TripleCaller extends DubboCaller {
    private final Map<String, ReferenceConfig<Streams>> streams = new ConcurrentHashMap<>();

    TripleCaller(ApplicationConfig application) {
        super(application);
    }

    @Override
    public void refer(String name, Map<String, Object> command) {
        super.refer(name, command);
        if (Call.text(command, "protocol", "dubbo").equals("tri")) {
            ReferenceConfig<Streams> reference = reference(command, Streams.class.getName());
            reference.setInterface(Streams.class);
            reference.get();
            streams.put(name, reference);
        }
    }

    @Override
    public void close(String name) {
        super.close(name);
        ReferenceConfig<Streams> reference = streams.remove(name);
        if (reference != null) {
            reference.destroy();
        }
    }

    @Override
    protected Object invoke(Call call) throws Throwable {
        if (StreamCalls.has(call.method) && streams.containsKey(call.ref)) {
            return StreamCalls.call(streams.get(call.ref).get(), call);
        }
        return super.invoke(call);
    }
}
