package peer.api;

import java.util.Map;

/** The one service that every peer provides and calls. */
public interface Echo {
    /** Returns its argument. */
    String echo(String text);

    /** The label (version) of the provider that answered. */
    String who();

    /** The attachments, headers or baggage that arrived; the reply carries {@code peer-label} and {@code peer-reply}. */
    Map<String, String> headers();

    /** Always fails with a business exception that carries the text. */
    String fail(String text) throws BizException;

    /** Answers with the label after so many milliseconds. */
    String sleep(int millis);

    /** Answers with so many octets. */
    byte[] blob(int size);

    /** Answers with the number of octets that arrived. */
    int size(byte[] octets);

    /** Counts one more; meant to be called one-way. */
    void fire(String text);

    /** How often {@link #fire} ran in this provider. */
    int fired();

    /** Returns the same object graph with its state changed. */
    Order place(Order order);
}
