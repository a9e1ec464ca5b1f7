package peer.line;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A consumer's side of the line protocol: a JSON object a line in, a JSON object a line out, in order.
 * Whatever a framework prints goes to the error stream; the commands' stream carries answers alone.
 */
public final class Commands {
    private static final int MESSAGE_LIMIT = 2000;

    private final Caller caller;

    private Commands(Caller caller) {
        this.caller = caller;
    }

    /** Takes standard output for answers; to be called before a framework has a chance to print. */
    public static PrintStream answers() {
        PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        return answers;
    }

    /** Carries out commands until the input ends. */
    public static void run(Caller caller, PrintStream answers) throws IOException {
        Commands commands = new Commands(caller);
        answers.println("READY 0");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            answers.println(Json.write(commands.answer(line)));
        }
        Runtime.getRuntime().halt(0);
    }

    @SuppressWarnings("unchecked")
    private Map<String, Object> answer(String line) {
        long start = System.nanoTime();
        Map<String, Object> answer = new LinkedHashMap<>();
        try {
            Map<String, Object> command = (Map<String, Object>) Json.read(line);
            answer.put("ok", true);
            answer.put("value", carryOut(command));
            answer.put("attachments", caller.replied());
        } catch (Throwable e) {
            answer.clear();
            answer.putAll(describe(caller, e));
        }
        answer.put("millis", (System.nanoTime() - start) / 1_000_000);
        return answer;
    }

    private Object carryOut(Map<String, Object> command) throws Throwable {
        String op = Call.text(command, "op", "call");
        switch (op) {
            case "refer":
                caller.refer(Call.text(command, "ref", "default"), command);
                return null;
            case "close":
                caller.close(Call.text(command, "ref", "default"));
                return null;
            case "call":
                return Arguments.result(one(Call.of(command)));
            case "concurrent":
                return new Concurrent(caller, command).run();
            default:
                throw new IllegalArgumentException("no such op: " + op);
        }
    }

    private Object one(Call call) throws Throwable {
        switch (call.mode) {
            case "async":
            case "future":
            case "callback":
                return caller.begin(call).get();
            default:
                return caller.call(call);
        }
    }

    /** A failure as tests want to see it: the framework's class and number first, then what caused it. */
    static Map<String, Object> describe(Caller caller, Throwable thrown) {
        Throwable failure = Failures.bare(thrown);
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("ok", false);
        told.put("exception", failure.getClass().getName());
        told.put("code", caller.code(failure));
        told.put("message", shorten(failure.getMessage()));
        List<String> causes = new ArrayList<>();
        for (Throwable e = failure.getCause(); e != null && causes.size() < 8; e = e.getCause()) {
            int code = caller.code(e);
            causes.add(e.getClass().getName() + (code < 0 ? "" : "/" + code));
        }
        told.put("causes", causes);
        return told;
    }

    private static String shorten(String message) {
        if (message == null || message.length() <= MESSAGE_LIMIT) {
            return message;
        }
        int half = MESSAGE_LIMIT / 2;
        return message.substring(0, half) + " ... " + message.substring(message.length() - half);
    }
}
