package peer.bolt;

import com.alipay.remoting.BizContext;
import com.alipay.remoting.CustomSerializerManager;
import com.alipay.remoting.rpc.RpcServer;
import com.alipay.remoting.rpc.protocol.SyncUserProcessor;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.Map;
import peer.api.EchoService;
import peer.line.Arguments;
import peer.line.Call;
import peer.line.Commands;
import peer.line.Provider;

/** A raw Bolt server of the echo service, v1 and v2 with and without CRC. Options: {@code --label}, {@code --port}. */
public final class ProviderMain {
    private ProviderMain() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = Commands.answers();
        Map<String, Object> options = Provider.options(args);
        CustomSerializerManager.registerCustomSerializer(Message.class.getName(), new HeaderSerializer());
        Provider.run(answers, Call.number(options, "port", 0), port -> {
            RpcServer server = new RpcServer("127.0.0.1", port);
            server.registerUserProcessor(new Processor(Call.text(options, "label", "v1")));
            server.startup();
            Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
        });
    }

    private static final class Processor extends SyncUserProcessor<Message> {
        private final Service service;

        Processor(String label) {
            service = new Service(label);
        }

        @Override
        public Object handleRequest(BizContext context, Message request) throws Exception {
            service.request.set(request.getHeader());
            service.response.set(new HashMap<>());
            Method method = Arguments.method(request.getMethod());
            Object[] args = method.getParameterCount() == 0 ? new Object[0] : new Object[] {request.getValue()};
            try {
                Object value = method.invoke(service, args);
                return new Message(request.getMethod(), value, service.response.get());
            } catch (InvocationTargetException e) {
                throw (Exception) e.getCause();
            }
        }

        @Override
        public String interest() {
            return Message.class.getName();
        }
    }

    private static final class Service extends EchoService {
        private final ThreadLocal<Map<String, String>> request = new ThreadLocal<>();
        private final ThreadLocal<Map<String, String>> response = new ThreadLocal<>();

        Service(String label) {
            super(label);
        }

        @Override
        protected Map<String, String> received() {
            return request.get();
        }

        @Override
        protected void reply(String key, String value) {
            response.get().put(key, value);
        }
    }
}
