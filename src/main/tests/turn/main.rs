//! STUN and TURN of the running server, asked by coturn's own clients and by one of ours that does
//! what no honest client does.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on has failed.

mod attacks;
mod client;
mod coturn;
#[path = "../black_box/server.rs"]
#[allow(dead_code)]
mod server;

use std::time::{SystemTime, UNIX_EPOCH};

use server::Server;

/// Relays on loopback, where nothing but relays is reached.
const ON_LOOPBACK: &str = "[turn]\nrelay_address = [\"127.0.0.1\"]\n";

pub async fn start(more: &str) -> Server {
    Server::start("sqlite:wello.db", &[], &format!("{ON_LOOPBACK}{more}")).await
}

pub struct Login {
    pub username: String,
    pub password: String,
}

/// As the server would give to a user, to end in some seconds.
pub fn login(server: &Server, user: &str, seconds: i64) -> Login {
    let secret = std::fs::read_to_string(server.data().join("turn.secret")).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let username = format!("{}:{user}", now + seconds);
    let password = wello_stream::turn::issue(&secret, &username);
    Login { username, password }
}
