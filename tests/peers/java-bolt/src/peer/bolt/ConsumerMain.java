package peer.bolt;

import com.alipay.remoting.CustomSerializerManager;
import java.io.PrintStream;
import peer.line.Commands;

/** A raw Bolt client that carries out commands; see {@link BoltCaller} for the keys it knows. */
public final class ConsumerMain {
    private ConsumerMain() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = Commands.answers();
        CustomSerializerManager.registerCustomSerializer(Message.class.getName(), new HeaderSerializer());
        Commands.run(new BoltCaller(), answers);
    }
}
