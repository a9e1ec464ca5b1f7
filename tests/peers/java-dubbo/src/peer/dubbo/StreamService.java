package peer.dubbo;

import org.apache.dubbo.common.stream.StreamObserver;

/** A provider's side of {@link Streams}. */
final class StreamService implements Streams {
    private final String label;

    StreamService(String label) {
        this.label = label;
    }

    @Override
    public void count(Integer times, StreamObserver<String> out) {
        for (int i = 0; i < times; i++) {
            out.onNext(label);
        }
        out.onCompleted();
    }

    @Override
    public StreamObserver<String> chat(StreamObserver<String> out) {
        return new StreamObserver<>() {
            @Override
            public void onNext(String text) {
                out.onNext(label + ":" + text);
            }

            @Override
            public void onError(Throwable failure) {
                out.onError(failure);
            }

            @Override
            public void onCompleted() {
                out.onCompleted();
            }
        };
    }
}
