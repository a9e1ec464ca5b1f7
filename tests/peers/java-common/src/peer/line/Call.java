package peer.line;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** One call as a command asks for it. */
public final class Call {
    /** The name that an earlier {@code refer} gave to the way there. */
    public final String ref;
    public final String method;
    public final List<Object> args;
    /** What to send beside the arguments. */
    public final Map<String, String> attachments;
    /** Plain entries for the header of the frame, where the protocol has one apart from attachments. */
    public final Map<String, String> headers;
    /** Milliseconds, or null for the reference's own. */
    public final Integer timeout;
    /** sync, async, oneway, generic; also future and callback where the framework knows them. */
    public final String mode;

    private Call(Map<String, Object> command, List<Object> args) {
        this.ref = text(command, "ref", "default");
        this.method = text(command, "method", "echo");
        this.args = args;
        this.attachments = strings(command.get("attachments"));
        this.headers = strings(command.get("headers"));
        this.timeout = number(command, "timeout", null);
        this.mode = text(command, "mode", "sync");
    }

    public static Call of(Map<String, Object> command) {
        Object args = command.getOrDefault("args", List.of());
        return new Call(command, new ArrayList<>((List<?>) args));
    }

    /** The same call with one text as its argument. */
    public static Call of(Map<String, Object> command, String text) {
        return new Call(command, List.of(text));
    }

    public static String text(Map<String, Object> command, String key, String otherwise) {
        Object value = command.get(key);
        return value == null ? otherwise : value.toString();
    }

    public static Integer number(Map<String, Object> command, String key, Integer otherwise) {
        Object value = command.get(key);
        return value == null ? otherwise : Integer.valueOf(((Number) value).intValue());
    }

    private static Map<String, String> strings(Object value) {
        Map<String, String> strings = new LinkedHashMap<>();
        if (value instanceof Map<?, ?> map) {
            map.forEach((key, item) -> strings.put(key.toString(), item.toString()));
        }
        return strings;
    }
}
