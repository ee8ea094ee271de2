//! Janus 1.1 with its video rooms and its API over HTTP.

use anyhow::Result;
use tokio::process::Command;

use super::server::{Launch, Setup};

/// What else comes with the package and would listen somewhere.
const TRANSPORTS: &str = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,\
                          libjanus_rabbitmq.so,libjanus_websockets.so";

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Launch> {
    let file = |name: &str| setup.folder.join(name);
    std::fs::write(
        file("janus.jcfg"),
        format!(
            "general: {{ session_timeout = 0; debug_level = 3 }}\n\
             media: {{ ipv6 = false }}\n\
             transports: {{ disable = \"{TRANSPORTS}\" }}\n"
        ),
    )?;
    std::fs::write(
        file("janus.transport.http.jcfg"),
        format!(
            "general: {{ json = \"compact\"; base_path = \"/janus\"; http = true; port = {}; \
             ip = \"127.0.0.1\"; https = false }}\nadmin: {{ admin_http = false }}\n",
            setup.port
        ),
    )?;
    std::fs::write(file("janus.plugin.videoroom.jcfg"), "general: { }\n")?;
    let mut command = Command::new("janus");
    command.arg("--configs-folder").arg(&setup.folder);
    Ok(Launch { command, ready: None })
}
