//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An XMPP server with calls built in.
#[derive(Parser)]
#[command(name = "wello", version)]
pub struct Cli {
    /// The configuration file; without one, everything has its default.
    #[arg(long, global = true, value_name = "FILE", default_value = "./config.toml")]
    pub config: PathBuf,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the server in the foreground.
    Serve,
    /// Manage accounts.
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make an account, or many from a file.
    Add(AddUser),
    /// Change a password.
    Passwd {
        jid: String,
        #[command(flatten)]
        password: Password,
    },
    /// Delete an account and everything it owns.
    Del { jid: String },
    /// List accounts.
    List {
        /// Only this domain.
        #[arg(long)]
        domain: Option<String>,
    },
}

#[derive(Args)]
pub struct AddUser {
    /// Such as alice@example.org.
    #[arg(required_unless_present = "batch")]
    pub jid: Option<String>,
    #[command(flatten)]
    pub password: Password,
    /// May administer the server.
    #[arg(long)]
    pub admin: bool,
    /// A file with a line `JID PASSWORD [admin]` for each account.
    #[arg(long, value_name = "FILE", conflicts_with = "jid")]
    pub batch: Option<PathBuf>,
}

#[derive(Args)]
pub struct Password {
    /// The password. Others on this machine can see it; prefer --password-stdin.
    #[arg(long, value_name = "PW")]
    pub password: Option<String>,
    /// Read the password from standard input. Without either one is made up and printed.
    #[arg(long, conflicts_with = "password")]
    pub password_stdin: bool,
}
