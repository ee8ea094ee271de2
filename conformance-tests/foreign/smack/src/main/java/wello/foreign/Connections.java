package wello.foreign;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Map;
import org.igniterealtime.smack.inttest.XmppConnectionDescriptor;
import org.igniterealtime.smack.inttest.XmppConnectionManager;
import org.jivesoftware.smack.XMPPConnection;
import org.jivesoftware.smack.XMPPConnectionRegistry;
import org.jivesoftware.smack.c2s.ModularXmppClientToServerConnection;
import org.jivesoftware.smack.c2s.ModularXmppClientToServerConnectionConfiguration;
import org.jivesoftware.smack.tcp.XMPPTCPConnection;
import org.jivesoftware.smack.tcp.XMPPTCPConnectionConfiguration;
import org.jivesoftware.smack.websocket.XmppWebSocketTransportModuleDescriptor;
import org.jivesoftware.smack.websocket.impl.WebSocketFactory;
import org.jivesoftware.smack.websocket.java11.Java11WebSocketFactory;
import org.jivesoftware.smack.websocket.okhttp.OkHttpWebSocketFactory;
import org.jivesoftware.smackx.admin.ServiceAdministrationManager;
import org.jxmpp.jid.EntityBareJid;

/** How the test framework reaches the server: ports, trust anchor, accounts. */
final class Connections {
    private Connections() {}

    /** The framework knows no port property: its connection kinds are registered anew. */
    static void usePorts(Target target) throws ReflectiveOperationException {
        replace(XmppConnectionDescriptor
            .buildWith(XMPPTCPConnection.class, XMPPTCPConnectionConfiguration.class,
                XMPPTCPConnectionConfiguration.Builder.class)
            .withNickname("tcp")
            .applyExtraConfiguration(builder -> builder.setPort(target.starttls))
            .build());
        // TLS of the "modular" TCP stack stalls now and then, whatever the server: its handshake does
        // not end, or the end of the stream is not seen. The modular stack runs over WebSocket.
        XmppConnectionManager.removeConnectionDescriptor("modular");
        XmppConnectionManager.removeConnectionDescriptor("modular-nocompress");
        replace(webSocket("modular-websocket-java11", new Java11WebSocketFactory(), target));
        replace(webSocket("modular-websocket-okhttp", OkHttpWebSocketFactory.INSTANCE, target));
    }

    private static void replace(XmppConnectionDescriptor<?, ?, ?> descriptor) {
        XmppConnectionManager.removeConnectionDescriptor(descriptor.getNickname());
        XmppConnectionManager.addConnectionDescriptor(descriptor);
    }

    private static XmppConnectionDescriptor<?, ?, ?> webSocket(
            String nickname, WebSocketFactory factory, Target target)
            throws ReflectiveOperationException {
        return XmppConnectionDescriptor
            .buildWith(ModularXmppClientToServerConnection.class,
                ModularXmppClientToServerConnectionConfiguration.class,
                ModularXmppClientToServerConnectionConfiguration.Builder.class)
            .withNickname(nickname)
            .applyExtraConfiguration(builder -> {
                builder.removeAllModules();
                builder.addModule(XmppWebSocketTransportModuleDescriptor.getBuilder(builder)
                    .explicitlySetWebSocketEndpointAndDiscovery(URI.create(target.websocket), false)
                    .disableImplicitWebsocketEndpoint()
                    .setWebSocketFactory(factory)
                    .build());
            })
            .build();
    }

    /** Trusts the server's certificate alone, for every TLS client of this process. */
    static void trust(Path ca, Path store) throws IOException, GeneralSecurityException {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        keys.load(null, null);
        try (InputStream pem = Files.newInputStream(ca)) {
            Certificate certificate = CertificateFactory.getInstance("X.509").generateCertificate(pem);
            keys.setCertificateEntry("server", certificate);
        }
        String password = "changeit";
        try (OutputStream out = Files.newOutputStream(store)) {
            keys.store(out, password.toCharArray());
        }
        System.setProperty("javax.net.ssl.trustStore", store.toString());
        System.setProperty("javax.net.ssl.trustStorePassword", password);
    }

    /**
     * Accounts come from the server's command, so that every test runs whether or not the server
     * has service administration (XEP-0133) or in-band registration (XEP-0077).
     */
    static void provideAccounts(Target target) throws ReflectiveOperationException {
        Field field = ServiceAdministrationManager.class.getDeclaredField("INSTANCES");
        field.setAccessible(true);
        @SuppressWarnings("unchecked")
        Map<XMPPConnection, ServiceAdministrationManager> managers =
            (Map<XMPPConnection, ServiceAdministrationManager>) field.get(null);
        XMPPConnectionRegistry.addConnectionCreationListener(connection -> {
            synchronized (ServiceAdministrationManager.class) {
                managers.put(connection, new CommandAccounts(connection, target));
            }
        });
    }

    private static final class CommandAccounts extends ServiceAdministrationManager {
        private final Target target;

        CommandAccounts(XMPPConnection connection, Target target) {
            super(connection);
            this.target = target;
        }

        @Override
        public void addUser(EntityBareJid user, String password) throws InterruptedException {
            try {
                target.addUser(user.getLocalpart().toString(), password);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public void deleteUser(EntityBareJid user) {
            // The server's data goes as a whole at the end of the run.
        }
    }
}
