package peer.api;

/** The failure that a service declares, as opposed to one of the framework or the network. */
public class BizException extends Exception {
    private static final long serialVersionUID = 1L;

    public BizException(String message) {
        super(message);
    }
}
