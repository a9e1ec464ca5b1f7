package peer.bolt;

import java.io.Serializable;
import java.util.Map;

/** What raw Bolt peers send each other: a method of the service with one argument, and entries for the header. */
public class Message implements Serializable {
    private static final long serialVersionUID = 1L;

    private String method;
    private Object value;
    /** Goes in the frame's header and not with the content. */
    private transient Map<String, String> header;

    public Message() {
    }

    public Message(String method, Object value, Map<String, String> header) {
        this.method = method;
        this.value = value;
        this.header = header;
    }

    public String getMethod() {
        return method;
    }

    public Object getValue() {
        return value;
    }

    public Map<String, String> getHeader() {
        return header;
    }

    public void setHeader(Map<String, String> header) {
        this.header = header;
    }
}
