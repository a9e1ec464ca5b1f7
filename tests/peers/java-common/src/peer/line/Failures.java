package peer.line;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.UndeclaredThrowableException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** Takes Java's own wrappings off a failure. */
public final class Failures {
    private Failures() {
    }

    public static Throwable bare(Throwable failure) {
        Throwable bare = failure;
        while (isWrapping(bare) && bare.getCause() != null) {
            bare = bare.getCause();
        }
        return bare;
    }

    private static boolean isWrapping(Throwable failure) {
        return failure instanceof InvocationTargetException || failure instanceof UndeclaredThrowableException
                || failure instanceof CompletionException || failure instanceof ExecutionException;
    }
}
