package peer.api;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** An object graph with a cycle, a shared object, a map and text outside of ASCII. */
public class Order implements Serializable {
    private static final long serialVersionUID = 1L;

    private long id;
    private String state;
    private List<Item> items = new ArrayList<>();
    private Map<String, String> notes = new HashMap<>();

    /** An order of so many items, each of which points back to it. */
    public static Order of(int count) {
        Order order = new Order();
        order.id = 1L << 40;
        order.state = "new";
        order.notes.put("greeting", "grüß dich 你好 \uD83D\uDE00");
        for (int i = 0; i < count; i++) {
            order.items.add(new Item("item-" + i, i, order));
        }
        return order;
    }

    /** Whether every item still points at this very order. */
    public boolean isWhole() {
        return items.stream().allMatch(item -> item.getOrder() == this);
    }

    public long getId() {
        return id;
    }

    public void setId(long id) {
        this.id = id;
    }

    public String getState() {
        return state;
    }

    public void setState(String state) {
        this.state = state;
    }

    public List<Item> getItems() {
        return items;
    }

    public void setItems(List<Item> items) {
        this.items = items;
    }

    public Map<String, String> getNotes() {
        return notes;
    }

    public void setNotes(Map<String, String> notes) {
        this.notes = notes;
    }
}
