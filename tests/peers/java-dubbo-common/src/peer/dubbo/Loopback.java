package peer.dubbo;

import java.lang.reflect.Field;
import java.net.InetAddress;
import org.apache.dubbo.common.utils.NetUtils;

/**
 * Keeps Dubbo on the loopback interface. It rewrites 127.* and localhost in direct URLs to the machine's outside
 * address, which it caches in private fields; filling these first is the only way to stop it.
 */
final class Loopback {
    private Loopback() {
    }

    static void insist() throws ReflectiveOperationException, java.io.IOException {
        set("HOST_ADDRESS", "127.0.0.1");
        set("LOCAL_ADDRESS", InetAddress.getByAddress("127.0.0.1", new byte[] {127, 0, 0, 1}));
    }

    private static void set(String name, Object value) throws ReflectiveOperationException {
        Field field = NetUtils.class.getDeclaredField(name);
        field.setAccessible(true);
        field.set(null, value);
    }
}
