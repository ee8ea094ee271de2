//! `turnutils_stunclient` and `turnutils_uclient` of Debian's package coturn.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::{Login, login, start};

/// A run takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a program says; `None` where it is not installed.
async fn run(program: &str, args: &[&str], server: SocketAddr) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).arg("-p").arg(server.port().to_string()).arg(server.ip().to_string());
    command.stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends") {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{program} is not here (package coturn)");
            assert!(std::env::var_os("CI").is_none(), "{program} is needed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// Four clients that send ten messages each to each other by their relayed addresses.
async fn relay(server: SocketAddr, login: &Login, args: &[&str]) -> Option<String> {
    let mut all = vec!["-u", &login.username, "-w", &login.password, "-y", "-m", "4", "-n", "10"];
    all.extend(args);
    run("turnutils_uclient", &all, server).await
}

fn assert_nothing_lost(text: &str) {
    let line = text.lines().rev().find(|line| line.contains("tot_send_msgs=")).expect(text);
    let number = |name: &str| -> u32 {
        let (_, rest) = line.split_once(name).expect(line);
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().expect(line)
    };
    assert!(number("tot_send_msgs=") >= 40, "{text}");
    assert_eq!(number("tot_send_msgs="), number("tot_recv_msgs="), "{text}");
}

#[tokio::test]
async fn the_address_is_told() {
    let server = start("").await;
    let Some(text) = run("turnutils_stunclient", &[], server.address("turn")).await else { return };
    assert!(text.contains("UDP reflexive addr: 127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn relayed_by_udp_tcp_and_tls_and_by_every_way_of_sending() {
    let server = start("").await;
    let login = login(&server, "romeo", 600);
    let ways: [(&str, &[&str]); 6] = [
        ("turn", &["-c"]),
        // Send and Data indications instead of channels.
        ("turn", &["-c", "-s"]),
        // With a second allocation at the next port, by EVEN-PORT and RESERVATION-TOKEN.
        ("turn", &[]),
        ("turn_tcp", &["-c", "-t"]),
        ("turn_tcp", &["-c", "-t", "-s"]),
        ("turns", &["-c", "-t", "-S"]),
    ];
    for (listener, args) in ways {
        let Some(text) = relay(server.address(listener), &login, args).await else { return };
        println!("{listener} {args:?}:\n{text}");
        assert_nothing_lost(&text);
    }
}

#[tokio::test]
async fn wrong_and_expired_credentials_get_nothing() {
    let server = start("").await;
    let good = login(&server, "romeo", 600);
    let wrong = Login { username: good.username, password: "guessed".into() };
    for (login, why) in [(wrong, "password"), (login(&server, "romeo", -1), "expired")] {
        let Some(text) = relay(server.address("turn"), &login, &["-c"]).await else { return };
        assert!(text.contains("Cannot complete Allocation"), "{why}: {text}");
    }
}

/// Not even what is bound on this machine: only relays.
#[tokio::test]
async fn a_service_of_this_machine_is_not_reached() {
    let server = start("").await;
    let service = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = service.local_addr().unwrap().port().to_string();
    let login = login(&server, "romeo", 600);
    let args = [
        "-u",
        &login.username,
        "-w",
        &login.password,
        "-c",
        "-n",
        "3",
        "-e",
        "127.0.0.1",
        "-r",
        &port,
    ];
    let Some(text) = run("turnutils_uclient", &args, server.address("turn")).await else { return };
    assert!(text.contains("403"), "{text}");
    assert!(service.try_recv(&mut [0; 1500]).is_err(), "a packet came through");
}
