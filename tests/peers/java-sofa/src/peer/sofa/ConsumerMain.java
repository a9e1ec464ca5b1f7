package peer.sofa;

import java.io.PrintStream;
import peer.line.Commands;

/** A SOFARPC client over Bolt that carries out commands; see {@link SofaCaller} for the keys it knows. */
public final class ConsumerMain {
    private ConsumerMain() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = Commands.answers();
        Commands.run(new SofaCaller(), answers);
    }
}
