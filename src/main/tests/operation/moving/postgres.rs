//! From databases of others in PostgreSQL, whose tables are made as they make them.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::super::bosh::Client;
use super::super::{folder, serve};
use super::database;
use super::peer::{imported, tell};

/// The tables of Prosody's `mod_storage_sql`, and what it writes for an account.
const PROSODY: [&str; 6] = [
    r#"CREATE TABLE prosody ("host" TEXT NOT NULL, "user" TEXT NOT NULL, "store" TEXT NOT NULL,
        "key" TEXT NOT NULL, "type" TEXT NOT NULL, "value" TEXT NOT NULL)"#,
    r#"CREATE TABLE prosodyarchive ("sort_id" SERIAL PRIMARY KEY, "host" TEXT NOT NULL,
        "user" TEXT NOT NULL, "store" TEXT NOT NULL, "key" TEXT NOT NULL, "when" INTEGER NOT NULL,
        "with" TEXT NOT NULL, "type" TEXT NOT NULL, "value" TEXT NOT NULL)"#,
    "INSERT INTO prosody VALUES ('localhost', 'a', 'accounts', 'password', 'string', 'long enough 1')",
    r#"INSERT INTO prosody VALUES ('localhost', 'a', 'roster', 'b@localhost', 'json',
        '{"subscription":"both","groups":{"Friends":true}}')"#,
    r#"INSERT INTO prosody VALUES ('localhost', 'a', 'roster', '', 'json',
        '{"__hash":[false,{"version":1,"pending":{"c@localhost":true}}]}')"#,
    r#"INSERT INTO prosodyarchive ("host", "user", "store", "key", "when", "with", "type", "value")
        VALUES ('localhost', 'a', 'archive', 'k', 1700000000, 'b@localhost', 'xml',
        '<message from="b@localhost/x" to="a@localhost" type="chat"><body>from afar</body></message>')"#,
];

/// Of ejabberd's `pg.new.sql`, those that hold something here; the others are empty.
const EJABBERD: [&str; 23] = [
    "CREATE TABLE users (username text, server_host text, password text, serverkey text, salt text,
        iterationcount integer)",
    "CREATE TABLE last (username text, server_host text, seconds text, state text)",
    "CREATE TABLE rosterusers (username text, server_host text, jid text, nick text, subscription character(1),
        ask character(1), askmessage text)",
    "CREATE TABLE rostergroups (username text, server_host text, jid text, grp text)",
    "CREATE TABLE sr_group (name text, server_host text, opts text)",
    "CREATE TABLE sr_user (jid text, server_host text, grp text)",
    "CREATE TABLE vcard (username text, server_host text, vcard text)",
    "CREATE TABLE private_storage (username text, server_host text, data text)",
    "CREATE TABLE archive_prefs (username text, server_host text, def text, always text, never text)",
    "CREATE TABLE spool (username text, server_host text, xml text, seq BIGSERIAL)",
    "CREATE TABLE privacy_default_list (username text, server_host text, name text)",
    "CREATE TABLE privacy_list (username text, server_host text, name text, id BIGSERIAL)",
    "CREATE TABLE privacy_list_data (id bigint, t character(1), value text, action character(1), ord NUMERIC,
        match_all boolean)",
    r#"CREATE TABLE archive (username text, server_host text, "timestamp" BIGINT, xml text, nick text, id BIGSERIAL)"#,
    "CREATE TABLE pubsub_node (host text, node text, nodeid BIGSERIAL)",
    "CREATE TABLE pubsub_node_option (nodeid bigint, name text, val text)",
    "CREATE TABLE pubsub_item (nodeid bigint, itemid text, publisher text, modification varchar(32),
        payload text)",
    "CREATE TABLE pubsub_state (nodeid bigint, jid text, affiliation character(1), subscriptions text)",
    "CREATE TABLE muc_room (name text, host text, opts text)",
    "INSERT INTO users VALUES ('a', 'localhost', 'long enough 1', '', '', 0)",
    "INSERT INTO rosterusers VALUES ('a', 'localhost', 'b@localhost', 'B', 'B', 'N', ''),
        ('a', 'localhost', 'c@localhost', '', 'N', 'I', 'hello'), ('a', 'elsewhere', 'x@y', '', 'B', 'N', '')",
    "INSERT INTO rostergroups VALUES ('a', 'localhost', 'b@localhost', 'Friends')",
    r#"INSERT INTO archive (username, server_host, "timestamp", xml, nick) VALUES ('a', 'localhost', 1700000000000000,
        '<message from="b@localhost/x" to="a@localhost" type="chat"><body>from afar</body></message>', '')"#,
];

async fn fill(statements: &'static [&'static str]) -> Option<String> {
    let address = database::postgres().await?;
    let mut database = PgConnection::connect(&address).await.unwrap();
    for statement in statements {
        sqlx::query(AssertSqlSafe(*statement)).execute(&mut database).await.unwrap();
    }
    Some(address)
}

fn moves_in(server: &str, statements: &'static [&'static str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(address) = runtime.block_on(fill(statements)) else { return };
    let dir = folder("sqlite:wello.db");
    let printed = imported(dir.path(), &["import", server, &address]);
    let counts = "imported: 1 accounts, 1 contacts, 1 subscription requests, 0 documents, 0 items, \
                  0 blocked addresses, 1 archived messages";
    assert!(printed.contains(counts), "{printed}");
    let again = imported(dir.path(), &["import", server, &address]);
    assert!(again.contains("imported: 0 accounts, 0 contacts, 0 subscription requests"), "{again}");
    let (_server, _) = serve(dir.path());
    let mut client = Client::open(dir.path(), "localhost");
    assert!(client.scram("a", "long enough 1"));
    client.bind();
    let roster = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
    tell(&mut client, roster, &["jid='b@localhost'", "subscription='both'", "Friends"]);
    let archive = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>";
    tell(&mut client, archive, &["from afar", "2023-11-14T22:13:20Z", "complete='true'"]);
}

#[test]
fn prosody_with_postgresql_moves_in() {
    moves_in("prosody", &PROSODY);
}

#[test]
fn ejabberd_with_postgresql_moves_in() {
    moves_in("ejabberd", &EJABBERD);
}
