package peer.sofa;

import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;
import com.alipay.sofa.rpc.context.RpcInvokeContext;
import java.io.PrintStream;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import peer.api.Echo;
import peer.api.EchoService;
import peer.line.Call;
import peer.line.Commands;
import peer.line.Provider;

/**
 * A SOFARPC provider of {@link Echo} over Bolt. Options: {@code --label}, {@code --port}, {@code --unique_id},
 * {@code --version}, {@code --threads}, {@code --queues}.
 */
public final class ProviderMain {
    private ProviderMain() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = Commands.answers();
        Map<String, Object> options = Provider.options(args);
        Provider.run(answers, Call.number(options, "port", 0), port -> export(options, port));
    }

    private static void export(Map<String, Object> options, int port) {
        ServerConfig server = new ServerConfig()
                .setProtocol("bolt")
                .setBoundHost("127.0.0.1")
                .setPort(port)
                .setMaxThreads(Call.number(options, "threads", 64))
                .setQueues(Call.number(options, "queues", 4096));
        Props props = Props.ofRequests();
        ProviderConfig<Echo> provider = new ProviderConfig<Echo>()
                .setInterfaceId(Echo.class.getName())
                .setRef(new Service(Call.text(options, "label", "v1"), props))
                .setServer(server)
                .setFilterRef(List.of(props))
                .setRegister(false);
        if (options.containsKey("unique_id")) {
            provider.setUniqueId((String) options.get("unique_id"));
        }
        if (options.containsKey("version")) {
            provider.setVersion((String) options.get("version"));
        }
        provider.export();
    }

    private static final class Service extends EchoService {
        private final Props props;

        Service(String label, Props props) {
            super(label);
            this.props = props;
        }

        @Override
        protected Map<String, String> received() {
            Map<String, String> received = new HashMap<>(props.last());
            received.putAll(RpcInvokeContext.getContext().getAllRequestBaggage());
            return received;
        }

        @Override
        protected void reply(String key, String value) {
            RpcInvokeContext.getContext().putResponseBaggage(key, value);
        }
    }
}
