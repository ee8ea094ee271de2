//! The client side of SCRAM, for tests only.

use super::super::encoding::{encode, strict};
use super::super::hash::ScramHash;

pub(crate) struct ScramClient {
    pub(crate) hash: ScramHash,
    pub(crate) username: &'static str,
    pub(crate) password: String,
    /// The GS2 header, commas included.
    pub(crate) header: String,
    /// Channel-binding data, appended to the header.
    pub(crate) binding: Vec<u8>,
    pub(crate) nonce: &'static str,
    auth_message: String,
    salted: Vec<u8>,
}

impl ScramClient {
    pub(crate) fn new(hash: ScramHash, username: &'static str, password: &str) -> ScramClient {
        ScramClient {
            hash,
            username,
            password: password.to_owned(),
            header: "n,,".to_owned(),
            binding: Vec::new(),
            nonce: "fyko+d2lbbFgONRv9qkxdawL",
            auth_message: String::new(),
            salted: Vec::new(),
        }
    }

    pub(crate) fn bound(mut self, binding: &str, data: &[u8]) -> ScramClient {
        self.header = format!("p={binding},,");
        self.binding = data.to_vec();
        self
    }

    pub(crate) fn first(&mut self) -> Vec<u8> {
        self.auth_message = format!("n={},r={}", self.username, self.nonce);
        format!("{}{}", self.header, self.auth_message).into_bytes()
    }

    pub(crate) fn last(&mut self, server_first: &str) -> Vec<u8> {
        let attribute = |name: &str| {
            let mut attributes = server_first.split(',');
            attributes.find_map(|attribute| attribute.strip_prefix(name)).unwrap().to_owned()
        };
        let (nonce, salt, iterations) = (attribute("r="), attribute("s="), attribute("i="));
        assert!(nonce.starts_with(self.nonce) && nonce.len() > self.nonce.len());
        let salt = strict(&salt).unwrap();
        let iterations = iterations.parse().unwrap();
        self.salted = self.hash.salted_password(self.password.as_bytes(), &salt, iterations);
        let binding = encode(&[self.header.as_bytes(), &self.binding].concat());
        let without_proof = format!("c={binding},r={nonce}");
        self.auth_message = format!("{},{server_first},{without_proof}", self.auth_message);
        let client_key = self.hash.hmac(&self.salted, &[b"Client Key"]);
        let stored_key = self.hash.digest(&client_key);
        let signature = self.hash.hmac(&stored_key, &[self.auth_message.as_bytes()]);
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        format!("{without_proof},p={}", encode(&proof)).into_bytes()
    }

    /// Whether the server knows the password too.
    pub(crate) fn accepts(&self, server_final: &[u8]) -> bool {
        let server_key = self.hash.hmac(&self.salted, &[b"Server Key"]);
        let signature = self.hash.hmac(&server_key, &[self.auth_message.as_bytes()]);
        server_final == format!("v={}", encode(&signature)).as_bytes()
    }
}
