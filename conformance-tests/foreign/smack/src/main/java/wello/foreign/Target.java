package wello.foreign;

import com.google.gson.Gson;
import com.google.gson.annotations.SerializedName;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The server under test, as the harness describes it. */
final class Target {
    String domain;
    String host;
    int starttls;
    String websocket;
    String ca;
    String only;
    String logs;

    @SerializedName("add_user")
    List<String> addUser;

    @SerializedName("left_out")
    List<String> leftOut;

    static Target read(Path path) throws IOException {
        return new Gson().fromJson(Files.readString(path), Target.class);
    }

    /** Registers an account by the server's own command. */
    void addUser(String user, String password) throws IOException, InterruptedException {
        List<String> command = addUser.stream()
            .map(part -> part.replace("{user}", user).replace("{password}", password))
            .toList();
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        if (!process.waitFor(60, TimeUnit.SECONDS) || process.exitValue() != 0) {
            throw new IOException("cannot add " + user + ": " + output.strip());
        }
    }

    boolean isLeftOut(String test) {
        return leftOut.stream().anyMatch(pattern -> matches(pattern, test));
    }

    /** As in file names: * for any text, ? for one character. */
    private static boolean matches(String pattern, String text) {
        String regex = ("\\Q" + pattern + "\\E").replace("*", "\\E.*\\Q").replace("?", "\\E.\\Q");
        return text.matches(regex);
    }
}
