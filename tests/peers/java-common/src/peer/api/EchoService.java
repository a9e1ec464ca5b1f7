package peer.api;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** {@link Echo} but for the two things that differ from framework to framework: what arrives and goes beside a call. */
public abstract class EchoService implements Echo {
    private final String label;
    private final AtomicInteger fired = new AtomicInteger();

    protected EchoService(String label) {
        this.label = label;
    }

    /** What arrived beside the arguments of the call at hand. */
    protected abstract Map<String, String> received();

    /** Adds something to go beside the answer of the call at hand. */
    protected abstract void reply(String key, String value);

    @Override
    public String echo(String text) {
        return text;
    }

    @Override
    public String who() {
        return label;
    }

    @Override
    public Map<String, String> headers() {
        reply("peer-label", label);
        reply("peer-reply", "back");
        return new HashMap<>(received());
    }

    @Override
    public String fail(String text) throws BizException {
        throw new BizException(text);
    }

    @Override
    public String sleep(int millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return label;
    }

    @Override
    public byte[] blob(int size) {
        return Blobs.of(size);
    }

    @Override
    public int size(byte[] octets) {
        return Blobs.check(octets);
    }

    @Override
    public void fire(String text) {
        fired.incrementAndGet();
    }

    @Override
    public int fired() {
        return fired.get();
    }

    @Override
    public Order place(Order order) {
        order.setState("placed by " + label);
        return order;
    }
}
