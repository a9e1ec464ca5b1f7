package peer.dubbo;

import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.model.ApplicationModel;
import peer.line.Call;
import peer.line.Caller;

/** What Dubbo 3.3 calls otherwise than 2.7. */
final class Release {
    private Release() {
    }

    static void configure(ApplicationConfig application) {
        // Without this 3.3 refuses classes that the interface does not name, even java.io.IOException.
        application.setSerializeCheckStatus("DISABLE");
        ApplicationModel.defaultModel().getApplicationConfigManager().setApplication(application);
    }

    static void configureProvider(ApplicationConfig application, ProtocolConfig protocol) {
        // Dubbo exports a service of its own beside any other, and would take port 20880 for it.
        application.setMetadataServiceProtocol(protocol.getName());
        application.setMetadataServicePort(protocol.getPort());
        // A provider refuses every serialization that it does not name.
        protocol.setPreferSerialization("hessian2,fastjson2");
    }

    /** Exports what this release has beside {@link peer.api.Echo}: {@link Streams} over Triple. */
    static void exportMore(ApplicationConfig application, Map<String, Object> options, ProtocolConfig protocol) {
        if (protocol.getName().equals("tri")) {
            ServiceConfig<Streams> streams = ProviderMain.service(application, options, protocol);
            streams.setInterface(Streams.class);
            streams.setRef(new StreamService(Call.text(options, "label", "v1")));
            streams.export();
        }
    }

    static Caller caller(ApplicationConfig application) {
        return new TripleCaller(application);
    }

    /** Puts something beside the arguments of the next call; null takes it away. */
    static void send(String key, Object value) {
        if (value == null) {
            RpcContext.getClientAttachment().removeAttachment(key);
        } else {
            RpcContext.getClientAttachment().setObjectAttachment(key, value);
        }
    }

    static <T> CompletableFuture<T> begin(Callable<T> call) {
        return RpcContext.getServiceContext().asyncCall(call);
    }

    static void forgetReply() {
        RpcContext.removeClientResponseContext();
    }

    /** What came beside the last reply. */
    static Map<String, Object> replied() {
        return RpcContext.getClientResponseContext().getObjectAttachments();
    }

    /** What came beside the call that a provider carries out. */
    static Map<String, Object> received() {
        return RpcContext.getServerAttachment().getObjectAttachments();
    }

    /** Puts something beside the reply to that call. */
    static void reply(String key, String value) {
        RpcContext.getServerResponseContext().setAttachment(key, value);
    }
}
