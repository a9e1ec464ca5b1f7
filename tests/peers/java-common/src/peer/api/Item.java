package peer.api;

import java.io.Serializable;

/** A line of an {@link Order}. */
public class Item implements Serializable {
    private static final long serialVersionUID = 1L;

    private String name;
    private int amount;
    private Order order;

    public Item() {
    }

    public Item(String name, int amount, Order order) {
        this.name = name;
        this.amount = amount;
        this.order = order;
    }

    public String getName() {
        return name;
    }

    public void setName(String name) {
        this.name = name;
    }

    public int getAmount() {
        return amount;
    }

    public void setAmount(int amount) {
        this.amount = amount;
    }

    public Order getOrder() {
        return order;
    }

    public void setOrder(Order order) {
        this.order = order;
    }
}
