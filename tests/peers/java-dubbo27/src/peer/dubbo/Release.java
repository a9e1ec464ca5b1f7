package peer.dubbo;

import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.model.ApplicationModel;
import peer.line.Caller;

/** What Dubbo 2.7 calls otherwise than 3.3. */
final class Release {
    private Release() {
    }

    static void configure(ApplicationConfig application) {
        ApplicationModel.getConfigManager().setApplication(application);
    }

    static void configureProvider(ApplicationConfig application, ProtocolConfig protocol) {
        // Nothing that would have to be told.
    }

    static void exportMore(ApplicationConfig application, Map<String, Object> options, ProtocolConfig protocol) {
        // This release has nothing beside Echo.
    }

    static Caller caller(ApplicationConfig application) {
        return new DubboCaller(application);
    }

    /** Puts something beside the arguments of the next call; null takes it away. */
    static void send(String key, Object value) {
        if (value == null) {
            RpcContext.getContext().removeAttachment(key);
        } else {
            RpcContext.getContext().setObjectAttachment(key, value);
        }
    }

    static <T> CompletableFuture<T> begin(Callable<T> call) {
        return RpcContext.getContext().asyncCall(call);
    }

    static void forgetReply() {
        RpcContext.removeServerContext();
    }

    /** What came beside the last reply. */
    static Map<String, Object> replied() {
        return RpcContext.getServerContext().getObjectAttachments();
    }

    /** What came beside the call that a provider carries out. */
    static Map<String, Object> received() {
        return RpcContext.getContext().getObjectAttachments();
    }

    /** Puts something beside the reply to that call. */
    static void reply(String key, String value) {
        RpcContext.getServerContext().setAttachment(key, value);
    }
}
