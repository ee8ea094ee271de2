//! Hats: what occupants are beside their role and affiliation (XEP-0317).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use wello_wire::error::StanzaError;
use wello_wire::hex;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::xml::Element;

use super::enter::Told;
use super::{Affiliation, Effects, Room};

/// A hat of a room.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Hat {
    pub uri: String,
    pub title: String,
    /// An angle between 0 and 360 (XEP-0392).
    pub hue: Option<String>,
}

/// The hats of a room and who wears which.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Hats {
    pub all: Vec<Hat>,
    /// URIs by bare JID.
    pub worn: BTreeMap<String, BTreeSet<String>>,
}

/// Of one room.
const MAX_HATS: usize = 100;
/// Accounts that wear one.
const MAX_WEARERS: usize = 1000;
/// Bytes of a URI or a title.
const MAX_TEXT: usize = 512;

impl Hats {
    pub fn find(&self, uri: &str) -> Option<&Hat> {
        self.all.iter().find(|hat| hat.uri == uri)
    }

    /// Tells one list from another, in any order.
    pub fn hash(&self) -> Option<String> {
        let mut uris: Vec<&str> = self.all.iter().map(|hat| hat.uri.as_str()).collect();
        uris.sort_unstable();
        (!uris.is_empty()).then(|| hex::encode(Sha1::digest(uris.join("\n"))))
    }

    /// What presence says of an account.
    pub fn element(&self, account: &BareJid) -> Option<Element> {
        let worn = self.worn.get(account.as_str())?;
        let hats = worn.iter().filter_map(|uri| self.find(uri)).map(|hat| {
            Element::new("hat", ns::HATS)
                .with_attr("title", hat.title.as_str())
                .with_attr("uri", hat.uri.as_str())
                .with_attr_opt("hue", hat.hue.as_deref())
        });
        Some(Element::new("hats", ns::HATS).with_children(hats))
    }

    fn put(&mut self, hat: Hat) -> Result<(), StanzaError> {
        let hue = hat.hue.as_deref().map(str::parse::<f64>);
        if hue.is_some_and(|hue| !hue.is_ok_and(|hue| (0.0..=360.0).contains(&hue))) {
            return Err(StanzaError::bad_request("a hue is an angle"));
        }
        if hat.uri.len() > MAX_TEXT || hat.title.len() > MAX_TEXT {
            return Err(StanzaError::not_acceptable("a text is too long"));
        }
        match self.all.iter().position(|other| other.uri == hat.uri) {
            Some(place) => self.all[place] = hat,
            None if self.all.len() >= MAX_HATS => {
                return Err(StanzaError::resource_constraint("too many hats"));
            }
            None => self.all.push(hat),
        }
        Ok(())
    }
}

impl Room {
    /// Hats are for admins and owners to give.
    pub fn check_hatter(&self, who: &Jid) -> Result<(), StanzaError> {
        match self.affiliation(who.bare_str()) >= Affiliation::Admin {
            true => Ok(()),
            false => Err(StanzaError::forbidden("only for admins and owners")),
        }
    }

    /// Makes a hat, or changes one (section 3.2).
    pub fn put_hat(&mut self, hat: Hat, fx: &mut Effects) -> Result<(), StanzaError> {
        let uri = hat.uri.clone();
        self.config.hats.put(hat)?;
        let wearers = self.wearers(&uri);
        self.hats_changed(&wearers, true, fx);
        Ok(())
    }

    /// Takes a hat away from everybody (section 3.3).
    pub fn remove_hat(&mut self, uri: &str, fx: &mut Effects) -> Result<(), StanzaError> {
        self.known_hat(uri)?;
        let wearers = self.wearers(uri);
        let hats = &mut self.config.hats;
        hats.all.retain(|hat| hat.uri != uri);
        hats.worn.retain(|_, worn| {
            worn.remove(uri);
            !worn.is_empty()
        });
        self.hats_changed(&wearers, true, fx);
        Ok(())
    }

    /// Gives a hat to an account, or takes it (sections 3.5 and 3.6).
    pub fn wear_hat(
        &mut self,
        account: &BareJid,
        uri: &str,
        on: bool,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        self.known_hat(uri)?;
        let worn = &mut self.config.hats.worn;
        if on {
            if worn.len() >= MAX_WEARERS && !worn.contains_key(account.as_str()) {
                return Err(StanzaError::resource_constraint("too many wear hats"));
            }
            worn.entry(account.to_string()).or_default().insert(uri.to_owned());
        } else {
            let Some(hats) = worn.get_mut(account.as_str()).filter(|hats| hats.contains(uri))
            else {
                return Err(StanzaError::item_not_found("they do not wear it"));
            };
            hats.remove(uri);
            if hats.is_empty() {
                worn.remove(account.as_str());
            }
        }
        self.hats_changed(std::slice::from_ref(account), false, fx);
        Ok(())
    }

    fn known_hat(&self, uri: &str) -> Result<(), StanzaError> {
        let hat = self.config.hats.find(uri);
        hat.map(drop).ok_or_else(|| StanzaError::item_not_found("there is no such hat"))
    }

    fn wearers(&self, uri: &str) -> Vec<BareJid> {
        let worn = self.config.hats.worn.iter().filter(|(_, worn)| worn.contains(uri));
        worn.filter_map(|(account, _)| account.parse().ok()).collect()
    }

    fn hats_changed(&mut self, accounts: &[BareJid], list: bool, fx: &mut Effects) {
        self.touch(fx);
        for account in accounts {
            if let Some(nick) =
                self.occupant_of_account(account).map(|found| found.nick().to_owned())
            {
                self.tell_presence(&nick, Some(Told { and_self: true, ..Told::default() }), fx);
            }
        }
        if list {
            self.tell_codes(&[104], fx);
        }
    }
}
