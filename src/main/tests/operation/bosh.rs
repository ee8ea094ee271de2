//! A client that logs in over BOSH (XEP-0206), which needs nothing but HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};

pub struct Client {
    address: String,
    host: String,
    sid: String,
    rid: u64,
    heard: String,
}

impl Client {
    /// Opens a stream to the server whose configuration lies in `dir`.
    pub fn open(dir: &Path, host: &str) -> Client {
        let config = std::fs::read_to_string(dir.join("config.toml")).unwrap();
        let line = config.lines().find(|line| line.starts_with("http = ")).unwrap();
        let address = line.split('"').nth(1).unwrap().to_owned();
        Client::connect(&address, host, 20)
    }

    /// Opens a stream at `address`, whosever server that is, which may hold an answer back for so many seconds.
    pub fn connect(address: &str, host: &str, wait: u32) -> Client {
        let (address, host) = (address.to_owned(), host.to_owned());
        let (sid, heard) = (String::new(), String::new());
        let mut client = Client { address, host, sid, rid: 1, heard };
        let attributes = format!(
            "to='{}' wait='{wait}' hold='1' ver='1.6' xml:lang='en' xmpp:version='1.0' \
             xmlns:xmpp='urn:xmpp:xbosh'",
            client.host
        );
        let opened = client.post(&attributes, "");
        client.sid = between(&opened.replace('"', "'"), "sid='", "'").to_owned();
        client
    }

    /// Says something and waits until all of these parts were heard since the last wait that had any; returns
    /// what was heard.
    pub fn until(&mut self, stanzas: &str, parts: &[&str]) -> String {
        const PATIENCE: Duration = Duration::from_secs(90);
        let begin = Instant::now();
        let heard = self.say(stanzas);
        self.heard += &heard.replace('"', "'");
        while !parts.iter().all(|part| self.heard.contains(part)) {
            assert!(begin.elapsed() < PATIENCE, "{parts:?} after {stanzas} in {}", self.heard);
            let heard = self.say("");
            self.heard += &heard.replace('"', "'");
        }
        match parts {
            [] => String::new(),
            _ => std::mem::take(&mut self.heard),
        }
    }

    /// Says something; returns the answer.
    pub fn say(&mut self, stanzas: &str) -> String {
        let attributes = format!("sid='{}'", self.sid);
        self.post(&attributes, stanzas)
    }

    fn post(&mut self, attributes: &str, stanzas: &str) -> String {
        let rid = self.rid;
        self.rid += 1;
        let body = format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}' {attributes}>{stanzas}\
             </body>"
        );
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST /http-bind HTTP/1.1\r\nHost: {}\r\nContent-Type: text/xml\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.host,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// SCRAM-SHA-1 (RFC 5802); whether the password was right.
    pub fn scram(&mut self, name: &str, password: &str) -> bool {
        let bare = format!("n={name},r=fyko+d2lbbFgONRv9qkxdawL");
        let first = STANDARD.encode(format!("n,,{bare}"));
        let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
        let auth = format!("<auth xmlns='{sasl}' mechanism='SCRAM-SHA-1'>{first}</auth>");
        let answer = self.say(&auth);
        let challenge = between(&answer, "<challenge", "</challenge>").split_once('>').unwrap().1;
        let challenge = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
        let field = |name: &str| between(&format!(",{challenge},"), name, ",").to_owned();
        let (nonce, salt) = (field(",r="), STANDARD.decode(field(",s=")).unwrap());
        let mut salted = [0; 20];
        let iterations = field(",i=").parse().unwrap();
        pbkdf2::pbkdf2::<Hmac<Sha1>>(password.as_bytes(), &salt, iterations, &mut salted).unwrap();
        let client_key = hmac(&salted, b"Client Key");
        let last = format!("c=biws,r={nonce}");
        let message = format!("{bare},{challenge},{last}");
        let signature = hmac(&Sha1::digest(&client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let response = STANDARD.encode(format!("{last},p={}", STANDARD.encode(proof)));
        let answer = self.say(&format!("<response xmlns='{sasl}'>{response}</response>"));
        let verifier = STANDARD.encode(hmac(&hmac(&salted, b"Server Key"), message.as_bytes()));
        answer.contains("<success") && answer.contains(&STANDARD.encode(format!("v={verifier}")))
    }

    /// After the login: restarts the stream and binds a resource.
    pub fn bind(&mut self) {
        let restart = format!(
            "sid='{}' to='{}' xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'",
            self.sid, self.host
        );
        self.post(&restart, "");
        let bind = "<iq xmlns='jabber:client' type='set' id='b'>\
                    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
        self.until(bind, &["<jid>"]);
    }
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let found = text.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    found.unwrap_or_else(|| panic!("{start} in {text}")).0
}
