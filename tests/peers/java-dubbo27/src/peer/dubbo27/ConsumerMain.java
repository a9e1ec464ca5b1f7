package peer.dubbo27;

import org.apache.dubbo.config.ApplicationConfig;
import peer.line.Commands;

/** A Dubbo 2.7 consumer that carries out commands; see {@link DubboCaller} for the keys it knows. */
public final class ConsumerMain {
    private ConsumerMain() {
    }

    public static void main(String[] args) throws Exception {
        java.io.PrintStream answers = Commands.answers();
        Loopback.insist();
        ApplicationConfig application = Settings.application("peer-consumer");
        Commands.run(new DubboCaller(application), answers);
    }
}
