package peer.dubbo;

import java.io.PrintStream;
import java.util.HashMap;
import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import peer.api.Echo;
import peer.api.EchoService;
import peer.line.Call;
import peer.line.Commands;
import peer.line.Provider;

/**
 * A Dubbo provider of {@link Echo}, and of what the release has beside it. Options: {@code --label}, {@code --port},
 * {@code --protocol} dubbo or what else the release has, {@code --group}, {@code --version}, {@code --path}, {@code --heartbeat} ms,
 * {@code --payload} octets, {@code --threads}, {@code --queues}.
 */
public final class ProviderMain {
    private ProviderMain() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = Commands.answers();
        Map<String, Object> options = Provider.options(args);
        Loopback.insist();
        ApplicationConfig application = Settings.application("peer-provider");
        Provider.run(answers, Call.number(options, "port", 0), port -> export(application, options, port));
    }

    private static void export(ApplicationConfig application, Map<String, Object> options, int port) {
        ProtocolConfig protocol = protocol(options, port);
        Release.configureProvider(application, protocol);
        ServiceConfig<Echo> service = service(application, options, protocol);
        service.setInterface(Echo.class);
        service.setPath((String) options.get("path"));
        service.setRef(new Service(Call.text(options, "label", "v1")));
        service.export();
        Release.exportMore(application, options, protocol);
    }

    static <T> ServiceConfig<T> service(
            ApplicationConfig application, Map<String, Object> options, ProtocolConfig protocol) {
        ServiceConfig<T> service = new ServiceConfig<>();
        service.setApplication(application);
        service.setRegistry(new RegistryConfig(RegistryConfig.NO_AVAILABLE));
        service.setRegister(false);
        service.setProtocol(protocol);
        service.setGroup((String) options.get("group"));
        service.setVersion((String) options.get("version"));
        return service;
    }

    private static ProtocolConfig protocol(Map<String, Object> options, int port) {
        ProtocolConfig protocol = new ProtocolConfig(Call.text(options, "protocol", "dubbo"), port);
        protocol.setHost("127.0.0.1");
        // The default pool has no queue: a burst of a thousand calls would be refused by the provider itself.
        protocol.setThreads(Call.number(options, "threads", 64));
        protocol.setQueues(Call.number(options, "queues", 4096));
        Integer payload = Call.number(options, "payload", null);
        if (payload != null) {
            protocol.setPayload(payload);
        }
        Map<String, String> parameters = new HashMap<>();
        Integer heartbeat = Call.number(options, "heartbeat", null);
        if (heartbeat != null) {
            parameters.put("heartbeat", heartbeat.toString());
        }
        protocol.setParameters(parameters);
        return protocol;
    }

    private static final class Service extends EchoService {
        Service(String label) {
            super(label);
        }

        @Override
        protected Map<String, String> received() {
            Map<String, String> received = new HashMap<>();
            Release.received().forEach((key, value) -> received.put(key, String.valueOf(value)));
            return received;
        }

        @Override
        protected void reply(String key, String value) {
            Release.reply(key, value);
        }
    }
}
