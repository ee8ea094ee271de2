package wello.foreign;

import com.google.gson.Gson;
import java.io.PrintWriter;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Path;
import java.security.Security;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.igniterealtime.smack.inttest.AbstractSmackIntTest;
import org.igniterealtime.smack.inttest.AbstractSmackIntegrationTest;
import org.igniterealtime.smack.inttest.AbstractSmackLowLevelIntegrationTest;
import org.igniterealtime.smack.inttest.Configuration;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.ConcreteTest;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.TestRunResult;
import org.igniterealtime.smack.inttest.annotations.SmackIntegrationTest;
import org.igniterealtime.smack.inttest.annotations.SpecificationReference;
import org.jivesoftware.smackx.omemo.signal.SignalOmemoService;
import org.reflections.Reflections;

/**
 * Smack's integration tests against the server: Main TARGET RESULTS.
 *
 * <p>Each test has a run of the framework of its own: what one leaves in the rosters of its accounts
 * makes the next fail now and then, and a RuntimeException ends a run.
 */
public final class Main {
    /** Bound on one test; the slowest needs a minute. */
    private static final long TEST_SECONDS = 120;

    /** Bound on one answer of the server. */
    private static final long REPLY_MILLISECONDS = 20_000;

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
        // Smack's OMEMO uses AES/GCM in a manner that Java's own provider refuses. Before anything
        // else asks for a provider: the property is read once.
        Security.setProperty("jdk.security.provider.preferred", "AES/GCM/NoPadding:BC");
        Security.addProvider(new BouncyCastleProvider());
        Target target = Target.read(Path.of(arguments[0]));
        Connections.trust(Path.of(target.ca), Path.of(target.logs, "trust.p12"));
        Connections.usePorts(target);
        Connections.provideAccounts(target);
        SignalOmemoService.acknowledgeLicense();
        SignalOmemoService.setup();
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
        for (Method method : type.getMethods()) {
            if (!method.isAnnotationPresent(SmackIntegrationTest.class)) {
                continue;
            }
            String id = id(method);
            if (target.isLeftOut(id)) {
                write(id, "skipped", "left out");
            } else if (id.contains(target.only)) {
                runMethod(method, type, id);
            }
        }
    }

    private void runMethod(Method method, Class<? extends AbstractSmackIntTest> type, String id) {
        System.setProperty("sinttest.enabledTests", type.getName() + "." + method.getName());
        Thread watchdog = watchdog(Thread.currentThread());
        MethodRun run = null;
        String abort = "no result";
        try {
            run = new MethodRun(Configuration.newConfiguration(new String[] {type.getPackageName()}));
            run.run();
            abort = null;
        } catch (Throwable thrown) {
            thrown.printStackTrace();
            abort = "the run was ended by " + thrown;
        } finally {
            stop(watchdog);
        }
        int reported = run == null || run.result() == null ? 0 : report(run.result(), id);
        // The framework also throws when its only class is not possible, which is a result.
        if (reported == 0 || abort != null && run.result().getImpossibleTestClasses().isEmpty()) {
            write(id, "failed", abort == null ? "no result" : abort);
        }
    }

    /** A run of the framework whose results can be had although it threw. */
    private static final class MethodRun extends SmackIntegrationTestFramework {
        MethodRun(Configuration configuration) {
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
            Thread.sleep(TEST_SECONDS * 1000);
            thread.interrupt();
        } catch (InterruptedException ended) {
            // The test is through in time.
        }
    }

    /** Writes a line a connection kind; returns how many. */
    private int report(TestRunResult run, String id) {
        run.getSuccessfulTests().forEach(
            test -> write(id(id, test.concreteTest), "passed", ""));
        run.getFailedTests().forEach(
            test -> write(id(id, test.concreteTest), "failed", String.valueOf(test.failureReason)));
        run.getNotPossibleTests().forEach(
            test -> write(id(id, test.concreteTest), "failed",
                "not possible: " + test.testNotPossibleException.getMessage()));
        run.getImpossibleTestClasses().values().forEach(
            cause -> write(id, "failed", "not possible: " + cause.getMessage()));
        return run.getNumberOfAvailableTests() + run.getImpossibleTestClasses().size();
    }

    private static String id(String id, ConcreteTest test) {
        String kind = String.join(", ", test.getSubdescriptons());
        return kind.isEmpty() ? id : id + " by " + kind;
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
