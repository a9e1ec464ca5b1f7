package peer.line;

import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** What a framework has to offer so that commands can be carried out with it. */
public interface Caller {
    /** Makes a way to a provider and names it; the keys are the framework's own. */
    void refer(String name, Map<String, Object> command) throws Throwable;

    /** Gives up such a way. */
    void close(String name) throws Throwable;

    /** Calls and waits. */
    Object call(Call call) throws Throwable;

    /** Calls without waiting. */
    CompletableFuture<Object> begin(Call call) throws Throwable;

    /** What came back beside the answer of this thread's last call. */
    Map<String, String> replied();

    /** The framework's own number for a failure; -1 where it has none. */
    int code(Throwable failure);
}
