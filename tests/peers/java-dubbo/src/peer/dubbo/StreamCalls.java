package peer.dubbo;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.dubbo.common.stream.StreamObserver;
import peer.line.Call;

/** Calls of {@link Streams}, told as the list of what came. */
final class StreamCalls {
    private static final long PATIENCE_SECONDS = 20;

    private StreamCalls() {
    }

    static boolean has(String method) {
        return method.equals("count") || method.equals("chat");
    }

    static List<String> call(Streams service, Call call) throws Throwable {
        Collector came = new Collector();
        if (call.method.equals("count")) {
            service.count(((Number) call.args.get(0)).intValue(), came);
        } else {
            StreamObserver<String> requests = service.chat(came);
            call.args.forEach(arg -> requests.onNext((String) arg));
            requests.onCompleted();
        }
        return came.all();
    }

    private static final class Collector implements StreamObserver<String> {
        private final List<String> texts = new ArrayList<>();
        private final CompletableFuture<List<String>> end = new CompletableFuture<>();

        @Override
        public void onNext(String text) {
            texts.add(text);
        }

        @Override
        public void onError(Throwable failure) {
            end.completeExceptionally(failure);
        }

        @Override
        public void onCompleted() {
            end.complete(texts);
        }

        List<String> all() throws Throwable {
            try {
                return end.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
            } catch (java.util.concurrent.ExecutionException e) {
                throw e.getCause();
            }
        }
    }
}
