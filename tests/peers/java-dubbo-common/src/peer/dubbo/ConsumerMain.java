package peer.dubbo;

import org.apache.dubbo.config.ApplicationConfig;
import peer.line.Commands;

/** A Dubbo consumer that carries out commands; see {@link DubboCaller} for the keys it knows. */
public final class ConsumerMain {
    private ConsumerMain() {
    }

    public static void main(String[] args) throws Exception {
        java.io.PrintStream answers = Commands.answers();
        Loopback.insist();
        ApplicationConfig application = Settings.application("peer-consumer");
        Commands.run(Release.caller(application), answers);
    }
}
