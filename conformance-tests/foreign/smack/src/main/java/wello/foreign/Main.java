package wello.foreign;

import com.google.gson.Gson;
import java.io.PrintWriter;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.igniterealtime.smack.inttest.AbstractSmackIntTest;
import org.igniterealtime.smack.inttest.AbstractSmackIntegrationTest;
import org.igniterealtime.smack.inttest.AbstractSmackLowLevelIntegrationTest;
import org.igniterealtime.smack.inttest.Configuration;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.ConcreteTest;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.TestRunResult;
import org.igniterealtime.smack.inttest.annotations.SmackIntegrationTest;
import org.igniterealtime.smack.inttest.annotations.SpecificationReference;
import org.reflections.Reflections;

/**
 * Smack's integration tests against the server: Main TARGET RESULTS.
 *
 * <p>Each test class has a run of the framework (and so accounts) of its own, because a test that
 * throws a RuntimeException ends the framework's run.
 */
public final class Main {
    /** Bound on one test class; the slowest needs a minute. */
    private static final long CLASS_SECONDS = 300;

    /** Bound on one answer of the server. */
    private static final long REPLY_MILLISECONDS = 20_000;

    private static final String NO_RESULT = "no result";
    private static final String ADMIN = "smack-admin";
    private static final String[] PACKAGES = {"org.jivesoftware.smack", "org.jivesoftware.smackx"};

    private record Line(String test, String outcome, String reason) {}

    private final Target target;
    private final PrintWriter results;

    private Main(Target target, PrintWriter results) {
        this.target = target;
        this.results = results;
    }

    public static void main(String[] arguments) throws Exception {
        Target target = Target.read(Path.of(arguments[0]));
        Connections.trust(Path.of(target.ca), Path.of(target.logs, "trust.p12"));
        Connections.usePorts(target);
        Connections.provideAccounts(target);
        target.addUser(ADMIN, ADMIN);
        configure(target);
        try (PrintWriter results = new PrintWriter(arguments[1])) {
            Main main = new Main(target, results);
            for (Class<? extends AbstractSmackIntTest> test : testClasses()) {
                main.runClass(test);
            }
        }
        // Smack's threads would keep the process alive.
        System.exit(0);
    }

    private static void configure(Target target) {
        Map.of(
            "service", target.domain,
            "host", target.host,
            "securityMode", "required",
            "replyTimeout", Long.toString(REPLY_MILLISECONDS),
            "adminAccountUsername", ADMIN,
            "adminAccountPassword", ADMIN,
            "defaultConnection", "tcp",
            "dnsResolver", "javax",
            "debugger", "none"
        ).forEach((key, value) -> System.setProperty("sinttest." + key, value));
    }

    private static List<Class<? extends AbstractSmackIntTest>> testClasses() {
        Reflections reflections = new Reflections((Object[]) PACKAGES);
        return Stream.<Class<? extends AbstractSmackIntTest>>concat(
                reflections.getSubTypesOf(AbstractSmackIntegrationTest.class).stream(),
                reflections.getSubTypesOf(AbstractSmackLowLevelIntegrationTest.class).stream())
            .filter(type -> !Modifier.isAbstract(type.getModifiers()))
            .sorted(Comparator.comparing(type -> type.getName()))
            .collect(Collectors.toList());
    }

    private void runClass(Class<? extends AbstractSmackIntTest> type) {
        // Method to the outcome that it keeps when the framework reports none.
        Map<Method, String> wanted = new HashMap<>();
        for (Method method : type.getMethods()) {
            if (!method.isAnnotationPresent(SmackIntegrationTest.class)) {
                continue;
            }
            String id = id(method);
            if (target.isLeftOut(id)) {
                write(id, "skipped", "left out");
            } else if (id.contains(target.only)) {
                wanted.put(method, NO_RESULT);
            }
        }
        Throwable abort = run(type, wanted);
        if (abort != null) {
            abort = runEachAlone(type, wanted) ? null : abort;
        }
        wanted.forEach((method, reason) -> write(id(method), "failed", reason));
        if (abort != null) {
            // Not by a test that has no result: by one kind of connection of a test that has.
            write(type.getSimpleName(), "failed", "the run was ended by " + abort);
        }
    }

    /** After an abort: whether one of the tests without a result is the one that causes it. */
    private boolean runEachAlone(
            Class<? extends AbstractSmackIntTest> type, Map<Method, String> wanted) {
        boolean found = false;
        for (Method method : List.copyOf(wanted.keySet())) {
            Map<Method, String> alone = new HashMap<>(Map.of(method, NO_RESULT));
            Throwable abort = run(type, alone);
            if (abort != null) {
                found = true;
                alone.put(method, "the run was ended by " + abort);
            }
            wanted.remove(method);
            wanted.putAll(alone);
        }
        return found;
    }

    /**
     * Runs these methods and reports them; those without a result stay in `wanted`.
     *
     * @return what ended the run early, or null
     */
    private Throwable run(Class<? extends AbstractSmackIntTest> type, Map<Method, String> wanted) {
        if (wanted.isEmpty()) {
            return null;
        }
        System.setProperty("sinttest.enabledTests", wanted.keySet().stream()
            .map(method -> type.getName() + "." + method.getName())
            .collect(Collectors.joining(",")));
        Thread watchdog = watchdog(Thread.currentThread());
        ClassRun run = null;
        Throwable abort = null;
        try {
            run = new ClassRun(Configuration.newConfiguration(new String[] {type.getPackageName()}));
            run.run();
        } catch (Throwable thrown) {
            thrown.printStackTrace();
            abort = thrown;
        } finally {
            stop(watchdog);
        }
        if (run != null && run.result() != null) {
            report(run.result(), wanted);
            // The framework also throws when its only class is not possible.
            if (!run.result().getImpossibleTestClasses().isEmpty()) {
                return null;
            }
        }
        return abort;
    }

    /** A run of the framework whose results can be had although it threw. */
    private static final class ClassRun extends SmackIntegrationTestFramework {
        ClassRun(Configuration configuration) {
            super(configuration);
        }

        TestRunResult result() {
            return testRunResult;
        }
    }

    private static Thread watchdog(Thread watched) {
        Thread watchdog = new Thread(() -> interruptAfter(watched));
        watchdog.setDaemon(true);
        watchdog.start();
        return watchdog;
    }

    private static void stop(Thread watchdog) {
        watchdog.interrupt();
        // It may have hit since the run ended.
        Thread.interrupted();
    }

    private static void interruptAfter(Thread thread) {
        try {
            Thread.sleep(CLASS_SECONDS * 1000);
            thread.interrupt();
        } catch (InterruptedException ended) {
            // The class is through in time.
        }
    }

    private void report(TestRunResult run, Map<Method, String> wanted) {
        run.getSuccessfulTests().forEach(
            test -> done(wanted, test.concreteTest, "passed", ""));
        run.getFailedTests().forEach(
            test -> done(wanted, test.concreteTest, "failed", String.valueOf(test.failureReason)));
        run.getNotPossibleTests().forEach(
            test -> done(wanted, test.concreteTest, "failed",
                "not possible: " + test.testNotPossibleException.getMessage()));
        run.getImpossibleTestClasses().values().forEach(
            cause -> wanted.replaceAll((method, none) -> "not possible: " + cause.getMessage()));
    }

    private void done(Map<Method, String> wanted, ConcreteTest test, String outcome, String reason) {
        wanted.remove(test.getMethod());
        String kind = String.join(", ", test.getSubdescriptons());
        String id = id(test.getMethod()) + (kind.isEmpty() ? "" : " by " + kind);
        write(id, outcome, reason);
    }

    /** SPECIFICATION/Class.method, so that an excuse can name a whole specification. */
    private static String id(Method method) {
        Class<?> type = method.getDeclaringClass();
        SpecificationReference reference = type.getAnnotation(SpecificationReference.class);
        String specification = reference == null ? "Smack" : reference.document();
        return specification + "/" + type.getSimpleName() + "." + method.getName();
    }

    private void write(String test, String outcome, String reason) {
        results.println(new Gson().toJson(new Line(test, outcome, reason)));
        results.flush();
    }
}
