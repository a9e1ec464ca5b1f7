package peer.line;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import peer.api.Blobs;
import peer.api.Echo;
import peer.api.Item;
import peer.api.Order;

/**
 * Turns the values of a command into arguments and results into values for its answer.
 * {@code {"octets": n}} stands for a blob and {@code {"order": n}} for an order of so many items.
 */
public final class Arguments {
    private Arguments() {
    }

    /** The method of {@link Echo}, or null. */
    public static Method method(String name) {
        for (Method method : Echo.class.getMethods()) {
            if (method.getName().equals(name)) {
                return method;
            }
        }
        return null;
    }

    /** Java arguments for that method of {@link Echo}. */
    public static Object[] typed(List<Object> args) {
        return args.stream().map(arg -> one(arg, false)).toArray();
    }

    /** Arguments for a generic call, where a class is a map. */
    public static Object[] generic(List<Object> args) {
        return args.stream().map(arg -> one(arg, true)).toArray();
    }

    /** The names of the parameters' classes; those of the arguments where {@link Echo} has no such method. */
    public static String[] types(String name, Object[] args) {
        Method method = method(name);
        String[] types = new String[args.length];
        for (int i = 0; i < types.length; i++) {
            types[i] = method != null ? method.getParameterTypes()[i].getName() : args[i].getClass().getName();
        }
        return types;
    }

    /** A result in a form that JSON has. */
    public static Object result(Object value) {
        if (value instanceof byte[] octets) {
            return Map.of("octets", Blobs.check(octets));
        }
        if (value instanceof Order order) {
            return Map.of("state", order.getState(), "items", order.getItems().size(),
                    "whole", order.isWhole(), "notes", order.getNotes(), "id", order.getId());
        }
        return value;
    }

    private static Object one(Object arg, boolean generic) {
        if (arg instanceof Long number) {
            return Integer.valueOf(number.intValue());
        }
        if (arg instanceof Map<?, ?> map && map.containsKey("octets")) {
            return Blobs.of(((Number) map.get("octets")).intValue());
        }
        if (arg instanceof Map<?, ?> map && map.containsKey("order")) {
            int count = ((Number) map.get("order")).intValue();
            return generic ? map(count) : Order.of(count);
        }
        return arg;
    }

    private static Map<String, Object> map(int count) {
        List<Object> items = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Map<String, Object> item = new HashMap<>();
            item.put("class", Item.class.getName());
            item.put("name", "item-" + i);
            item.put("amount", i);
            items.add(item);
        }
        Map<String, Object> order = new HashMap<>();
        order.put("class", Order.class.getName());
        order.put("id", 7L);
        order.put("state", "new");
        order.put("items", items);
        return order;
    }
}
