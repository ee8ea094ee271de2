//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An XMPP server with calls built in.
#[derive(Parser)]
#[command(name = "wello", version)]
pub struct Cli {
    /// The configuration file [default: ./config.toml]; without one, everything has its default.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
    /// Make an invitation and print its links.
    Invite(InviteOptions),
    /// Show what administrators, commands and the server itself did to whom.
    Audit(AuditOptions),
    /// Ask the running server whether it lives.
    Health,
    /// Check the configuration, files, database, ports and DNS; says what to mend.
    #[command(args_conflicts_with_subcommands = true)]
    Check {
        /// Instead of the one of --config.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(subcommand)]
        other: Option<CheckOther>,
    },
    /// Copy the database into a new file, also while the server runs (SQLite).
    Backup {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Bring a backup back, with the server stopped (SQLite).
    Restore {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Take over accounts, rooms and nodes from another server. May be repeated: what is here already stays.
    Import(ImportOptions),
    /// Write all accounts, rooms and nodes into a new file of XEP-0227, and what users uploaded beside it.
    Export {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only this domain.
        #[arg(long)]
        domain: Option<String>,
    },
}

/// What else can be looked at.
#[derive(Debug, Subcommand)]
pub enum CheckOther {
    /// Find the server of another domain and connect to it; says what is in the way.
    Domain {
        #[arg(value_name = "DOMAIN")]
        domain: String,
    },
}

#[derive(Args)]
pub struct ImportOptions {
    #[command(subcommand)]
    pub from: ImportFrom,
    /// Only say what would come.
    #[arg(long, global = true)]
    pub dry_run: bool,
}

#[derive(Subcommand)]
pub enum ImportFrom {
    /// A file of XEP-0227, which most servers can write.
    Xep0227 {
        #[arg(value_name = "FILE")]
        path: PathBuf,
    },
    /// The data of an ejabberd: the folder or file of `ejabberdctl export_piefxis`, the file of
    /// `ejabberdctl dump`, its SQLite file, or postgres://USER:PASSWORD@HOST/DATABASE.
    Ejabberd {
        #[arg(value_name = "FROM")]
        from: String,
        /// Whose accounts are in a database that does not say it.
        #[arg(long, value_name = "HOST")]
        host: Option<String>,
        /// The docroot of mod_http_upload, whose files come, too.
        #[arg(long, value_name = "FOLDER")]
        uploads: Option<PathBuf>,
    },
    /// The data of a Prosody: its data_path such as /var/lib/prosody, its SQLite file, or
    /// postgres://USER:PASSWORD@HOST/DATABASE.
    Prosody {
        #[arg(value_name = "FROM")]
        from: String,
        /// Where uploaded files are, if that is not where the data is.
        #[arg(long, value_name = "FOLDER")]
        data_path: Option<PathBuf>,
    },
}

impl ImportFrom {
    /// What is done, and where what comes is from, without the password of a database.
    pub fn described(&self) -> (&'static str, String) {
        match self {
            ImportFrom::Xep0227 { path } => ("import xep0227", path.display().to_string()),
            ImportFrom::Ejabberd { from, .. } => ("import ejabberd", without_password(from)),
            ImportFrom::Prosody { from, .. } => ("import prosody", without_password(from)),
        }
    }
}

/// Of the address of a database only what says where it is.
fn without_password(from: &str) -> String {
    let Some((scheme, rest)) = from.split_once("://") else { return from.to_owned() };
    let place = rest.split('?').next().unwrap_or_default();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    format!("{scheme}://{place}")
}

#[derive(Args)]
pub struct InviteOptions {
    /// Where the account will be; the first host without it.
    #[arg(long)]
    pub domain: Option<String>,
    /// The only name that can be taken, which is kept for whom is invited.
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// The account may administer the server.
    #[arg(long)]
    pub admin: bool,
    /// Valid for so long; auth.invite_days without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: Option<u32>,
    /// How many accounts can be made with it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub uses: u32,
}

#[derive(Args)]
pub struct AuditOptions {
    /// Of so many days.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub days: u32,
    /// The newest ones, so many.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub limit: u32,
}

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make an account, or many from a file.
    Add(AddUser),
    /// Change a password. Ends the sessions of the account.
    Passwd {
        jid: String,
        #[command(flatten)]
        password: Password,
    },
    /// Delete an account and everything it owns. Ends its sessions and tells its contacts.
    Del { jid: String },
    /// Say at an account where its owner is from now on, so that contacts can follow (XEP-0283).
    Moved {
        jid: String,
        /// The new address; without it, the account is where it was.
        #[arg(value_name = "ADDRESS")]
        to: Option<String>,
    },
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
    /// Also if the name is that of a deleted account: make sure that it is the same person.
    #[arg(long)]
    pub reuse: bool,
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
