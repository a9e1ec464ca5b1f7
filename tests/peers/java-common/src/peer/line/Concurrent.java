package peer.line;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Many calls from many threads, counted by what came of them.
 * Keys: {@code n} calls in all, {@code threads}, {@code pause} ms between two calls of a thread, {@code unique}
 * gives every call a text of its own and counts the answers that are not it. Mode async starts all calls first.
 */
final class Concurrent {
    private static final long PATIENCE_SECONDS = 60;

    private final Caller caller;
    private final Map<String, Object> command;
    private final AtomicInteger next = new AtomicInteger();
    private final Map<String, Integer> answers = new TreeMap<>();
    private final Map<String, Integer> failures = new TreeMap<>();
    private final Map<String, Object> messages = new TreeMap<>();
    private int wrong;
    private long slowest;

    Concurrent(Caller caller, Map<String, Object> command) {
        this.caller = caller;
        this.command = command;
    }

    Map<String, Object> run() throws InterruptedException {
        int count = Call.number(command, "n", 1);
        if (Call.text(command, "mode", "sync").equals("async")) {
            together(count);
        } else {
            inThreads(count, Call.number(command, "threads", 1));
        }
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("answers", answers);
        told.put("failures", failures);
        told.put("messages", messages);
        told.put("wrong", wrong);
        told.put("slowest", slowest);
        return told;
    }

    private void inThreads(int count, int threads) throws InterruptedException {
        int pause = Call.number(command, "pause", 0);
        List<Thread> running = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            Thread thread = new Thread(() -> {
                for (int number = next.getAndIncrement(); number < count; number = next.getAndIncrement()) {
                    single(number);
                    rest(pause);
                }
            });
            thread.start();
            running.add(thread);
        }
        for (Thread thread : running) {
            thread.join();
        }
    }

    private void single(int number) {
        long start = System.nanoTime();
        String text = "unique-" + number;
        try {
            answered(text, caller.call(call(text)), start);
        } catch (Throwable e) {
            failed(e, start);
        }
    }

    private void together(int count) {
        long start = System.nanoTime();
        Map<String, CompletableFuture<Object>> waiting = new LinkedHashMap<>();
        for (int i = 0; i < count; i++) {
            String text = "unique-" + i;
            try {
                waiting.put(text, caller.begin(call(text)));
            } catch (Throwable e) {
                failed(e, start);
            }
        }
        waiting.forEach((text, answer) -> {
            try {
                answered(text, answer.get(PATIENCE_SECONDS, TimeUnit.SECONDS), start);
            } catch (Throwable e) {
                failed(e, start);
            }
        });
    }

    private Call call(String text) {
        return Boolean.TRUE.equals(command.get("unique")) ? Call.of(command, text) : Call.of(command);
    }

    private synchronized void answered(String text, Object value, long start) {
        boolean unique = Boolean.TRUE.equals(command.get("unique"));
        if (unique && !text.equals(value)) {
            wrong++;
        }
        answers.merge(unique ? "echo" : String.valueOf(Arguments.result(value)), 1, Integer::sum);
        measure(start);
    }

    private synchronized void failed(Throwable thrown, long start) {
        Map<String, Object> told = Commands.describe(caller, thrown);
        String key = told.get("exception") + "/" + told.get("code") + origin((List<?>) told.get("causes"));
        failures.merge(key, 1, Integer::sum);
        messages.putIfAbsent(key, told.get("message"));
        measure(start);
    }

    /** The innermost cause where that is the framework's own as well. */
    private static String origin(List<?> causes) {
        String last = causes.isEmpty() ? "" : causes.get(causes.size() - 1).toString();
        return last.contains("/") ? " < " + last : "";
    }

    private void measure(long start) {
        slowest = Math.max(slowest, (System.nanoTime() - start) / 1_000_000);
    }

    private static void rest(int millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
