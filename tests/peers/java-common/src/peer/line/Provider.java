package peer.line;

import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.HashMap;
import java.util.Map;

/** A provider's side of the line protocol: where it listens, and when it ends. */
public final class Provider {
    private static final int ATTEMPTS = 5;

    private Provider() {
    }

    /** Starts a server at a port. */
    public interface Start {
        void at(int port) throws Exception;
    }

    /**
     * Starts at a port that the kernel chose, says so, and ends gracefully when the input ends.
     * The frameworks cannot be given port 0, so another process may take the port first: then the next is tried.
     */
    public static void run(PrintStream answers, int wanted, Start start) throws Exception {
        int port = wanted;
        for (int attempt = 1; ; attempt++) {
            port = wanted == 0 ? free() : wanted;
            try {
                start.at(port);
                break;
            } catch (Exception e) {
                if (attempt == ATTEMPTS) {
                    throw e;
                }
            }
        }
        answers.println("READY " + port);
        while (System.in.read() >= 0) {
            continue;
        }
        Runtime.getRuntime().exit(0);
    }

    /** Reads {@code --name value} pairs. */
    public static Map<String, Object> options(String[] args) {
        Map<String, Object> options = new HashMap<>();
        for (int i = 0; i + 1 < args.length; i += 2) {
            String value = args[i + 1];
            Object read = value.matches("-?[0-9]+") ? (Object) Long.valueOf(value) : value;
            options.put(args[i].substring(2), read);
        }
        return options;
    }

    private static int free() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }
}
