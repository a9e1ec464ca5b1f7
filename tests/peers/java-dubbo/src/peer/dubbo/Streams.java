package peer.dubbo;

import org.apache.dubbo.common.stream.StreamObserver;

/** What Triple has beyond calls with one answer. */
public interface Streams {
    /** So many times the label of the provider. */
    void count(Integer times, StreamObserver<String> out);

    /** Each text back at once, with the label before it. */
    StreamObserver<String> chat(StreamObserver<String> out);
}
