//! Entity capabilities (XEP-0115).

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use thiserror::Error;

use super::{
    PayloadError,
    data_form::{DataForm, FieldKind},
    disco::DiscoInfo,
    dom::{expect, owned, required},
};
use crate::{ns, xml::Element};

/// The `<c/>` that presence and stream features carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// A URI of the software.
    pub node: String,
    pub ver: String,
    /// Absent in the format before version 1.4, whose `ver` proves nothing.
    pub hash: Option<String>,
}

impl Caps {
    pub fn parse(c: &Element) -> Result<Self, PayloadError> {
        expect(c, "c", ns::CAPS)?;
        Ok(Self {
            node: required(c, "node")?.to_owned(),
            ver: required(c, "ver")?.to_owned(),
            hash: owned(c, "hash"),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("c", ns::CAPS)
            .with_attr_opt("hash", self.hash.as_deref())
            .with_attr("node", self.node.as_str())
            .with_attr("ver", self.ver.as_str())
    }

    /// The node to ask for (§6.2).
    #[must_use]
    pub fn query_node(&self) -> String {
        format!("{}#{}", self.node, self.ver)
    }

    /// Whether `info` is what `ver` stands for (§5.4). Only then may it be shared between users.
    ///
    /// # Errors
    /// The answer is ill-formed.
    pub fn verify(&self, info: &DiscoInfo) -> Result<Verdict, IllFormed> {
        let input = verification_input(info)?;
        let Some(hash) = self.hash.as_deref().and_then(CapsHash::from_name) else {
            return Ok(Verdict::Unknown);
        };
        Ok(match hash.digest(&input) == self.ver {
            true => Verdict::Match,
            false => Verdict::Mismatch,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Match,
    Mismatch,
    /// No hash, or one that is not supported: the answer holds for its sender alone.
    Unknown,
}

/// A hash function by its IANA name; all must know SHA-1 (§9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapsHash {
    Sha1,
    Sha256,
    Sha512,
}

impl CapsHash {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha-1" => Some(Self::Sha1),
            "sha-256" => Some(Self::Sha256),
            "sha-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    fn digest(self, input: &str) -> String {
        match self {
            Self::Sha1 => STANDARD.encode(Sha1::digest(input)),
            Self::Sha256 => STANDARD.encode(Sha256::digest(input)),
            Self::Sha512 => STANDARD.encode(Sha512::digest(input)),
        }
    }
}

/// Why an answer must not be hashed (§5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IllFormed {
    #[error("an identity appears twice")]
    DuplicateIdentity,
    #[error("a feature appears twice")]
    DuplicateFeature,
    #[error("a FORM_TYPE appears twice")]
    DuplicateFormType,
    #[error("a FORM_TYPE has different values")]
    AmbiguousFormType,
    /// Would let one answer pass as another (§9.3); nothing registered has such characters.
    #[error("a text has a separator in it")]
    Separator,
}

/// The value of `ver` for an answer (§5.1).
///
/// # Errors
/// The answer is ill-formed.
pub fn verification_string(info: &DiscoInfo, hash: CapsHash) -> Result<String, IllFormed> {
    Ok(hash.digest(&verification_input(info)?))
}

fn verification_input(info: &DiscoInfo) -> Result<String, IllFormed> {
    let mut input = String::new();
    append_identities(info, &mut input)?;
    append_features(info, &mut input)?;
    append_forms(info, &mut input)?;
    Ok(input)
}

fn append_identities(info: &DiscoInfo, input: &mut String) -> Result<(), IllFormed> {
    let mut seen = BTreeSet::new();
    for identity in &info.identities {
        // An empty language or name is hashed like none.
        let lang = identity.lang.as_deref().unwrap_or_default();
        let name = identity.name.as_deref().unwrap_or_default();
        if [&*identity.category, &*identity.kind, lang].iter().any(|part| part.contains('/')) {
            return Err(IllFormed::Separator);
        }
        if !seen.insert([&*identity.category, &*identity.kind, lang, name]) {
            return Err(IllFormed::DuplicateIdentity);
        }
    }
    seen.iter().try_for_each(|i| push(input, &i.join("/")))
}

fn append_features(info: &DiscoInfo, input: &mut String) -> Result<(), IllFormed> {
    let features: BTreeSet<_> = info.features.iter().collect();
    if features.len() != info.features.len() {
        return Err(IllFormed::DuplicateFeature);
    }
    features.into_iter().try_for_each(|f| push(input, f))
}

fn append_forms(info: &DiscoInfo, input: &mut String) -> Result<(), IllFormed> {
    let mut forms = Vec::new();
    for form in &info.forms {
        if let Some(form_type) = hashed_form_type(form)? {
            forms.push((form_type, form));
        }
    }
    forms.sort_by_key(|(form_type, _)| *form_type);
    if forms.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(IllFormed::DuplicateFormType);
    }
    for (form_type, form) in forms {
        push(input, form_type)?;
        append_fields(form, input)?;
    }
    Ok(())
}

fn append_fields(form: &DataForm, input: &mut String) -> Result<(), IllFormed> {
    let mut fields: Vec<_> = form
        .fields
        .iter()
        .filter_map(|f| Some((f.var.as_deref()?, &f.values)))
        .filter(|(var, _)| *var != "FORM_TYPE")
        .collect();
    fields.sort_by_key(|(var, _)| *var);
    for (var, values) in fields {
        push(input, var)?;
        let mut values: Vec<_> = values.iter().collect();
        values.sort();
        values.into_iter().try_for_each(|v| push(input, v))?;
    }
    Ok(())
}

/// None for a form that has no hidden FORM_TYPE: that one is left out (§5.4 rule 3.6).
fn hashed_form_type(form: &DataForm) -> Result<Option<&str>, IllFormed> {
    let Some(field) = form.field("FORM_TYPE") else {
        return Ok(None);
    };
    if field.values.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(IllFormed::AmbiguousFormType);
    }
    let hidden = field.kind == Some(FieldKind::Hidden);
    Ok(form.form_type().filter(|_| hidden))
}

fn push(input: &mut String, text: &str) -> Result<(), IllFormed> {
    if text.contains('<') {
        return Err(IllFormed::Separator);
    }
    input.push_str(text);
    input.push('<');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{data_form::FormKind, disco::Identity, dom::el};

    /// XEP-0115 §5.2.
    fn exodus() -> DiscoInfo {
        DiscoInfo {
            identities: vec![Identity::new("client", "pc", Some("Exodus 0.9.1"))],
            features: [ns::MUC, ns::DISCO_ITEMS, ns::DISCO_INFO, ns::CAPS]
                .map(str::to_owned)
                .to_vec(),
            ..DiscoInfo::default()
        }
    }

    /// XEP-0115 §5.3.
    fn psi() -> DiscoInfo {
        DiscoInfo::parse(&el("<query xmlns='http://jabber.org/protocol/disco#info'>\
             <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
             <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>\
             <feature var='http://jabber.org/protocol/caps'/>\
             <feature var='http://jabber.org/protocol/disco#info'/>\
             <feature var='http://jabber.org/protocol/disco#items'/>\
             <feature var='http://jabber.org/protocol/muc'/>\
             <x xmlns='jabber:x:data' type='result'>\
             <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
             <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>\
             <field var='software'><value>Psi</value></field>\
             <field var='os_version'><value>10.5.1</value></field>\
             <field var='os'><value>Mac</value></field>\
             <field var='software_version'><value>0.11</value></field></x></query>"))
        .unwrap()
    }

    fn caps(ver: &str, hash: Option<&str>) -> Caps {
        Caps { node: "http://psi-im.org".into(), ver: ver.into(), hash: hash.map(str::to_owned) }
    }

    #[test]
    fn xep_0115_examples() {
        let sha1 = |info: &DiscoInfo| verification_string(info, CapsHash::Sha1).unwrap();
        assert_eq!(sha1(&exodus()), "QgayPKawpkPSDYmwT/WM94uAlu0=");
        assert_eq!(sha1(&psi()), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
        let sha256 = verification_string(&exodus(), CapsHash::Sha256).unwrap();
        assert_eq!(sha256.len(), 44);
    }

    #[test]
    fn verdicts() {
        let ver = "q07IKJEyjvHSyhy//CH0CxmKi8w=";
        assert_eq!(caps(ver, Some("sha-1")).verify(&psi()), Ok(Verdict::Match));
        assert_eq!(caps(ver, Some("sha-1")).verify(&exodus()), Ok(Verdict::Mismatch));
        assert_eq!(caps(ver, Some("md5")).verify(&psi()), Ok(Verdict::Unknown));
        assert_eq!(caps("1.0", None).verify(&psi()), Ok(Verdict::Unknown));
    }

    #[test]
    fn ill_formed() {
        let refused = |change: fn(&mut DiscoInfo)| {
            let mut info = psi();
            change(&mut info);
            verification_string(&info, CapsHash::Sha1).expect_err("ill-formed")
        };
        assert_eq!(
            refused(|i| i.identities.push(i.identities[0].clone())),
            IllFormed::DuplicateIdentity
        );
        assert_eq!(refused(|i| i.features.push(ns::MUC.into())), IllFormed::DuplicateFeature);
        assert_eq!(refused(|i| i.forms.push(i.forms[0].clone())), IllFormed::DuplicateFormType);
        assert_eq!(
            refused(|i| i.forms[0].fields[0].values.push("other".into())),
            IllFormed::AmbiguousFormType
        );
        assert_eq!(refused(|i| i.features.push("a<b".into())), IllFormed::Separator);
        assert_eq!(refused(|i| i.identities[0].kind = "pc/en".into()), IllFormed::Separator);
    }

    #[test]
    fn forms_without_hidden_type_are_left_out() {
        let mut info = exodus();
        info.forms.push(DataForm::new(FormKind::Result));
        let mut visible = DataForm::typed(FormKind::Result, "t");
        visible.fields[0].kind = None;
        info.forms.push(visible);
        assert_eq!(
            verification_string(&info, CapsHash::Sha1),
            verification_string(&exodus(), CapsHash::Sha1)
        );
        // The same value twice is no contradiction.
        let mut info = psi();
        let same = info.forms[0].fields[0].values[0].clone();
        info.forms[0].fields[0].values.push(same);
        assert!(verification_string(&info, CapsHash::Sha1).is_ok());
    }

    #[test]
    fn element() {
        let c = el(
            "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>",
        );
        let read = Caps::parse(&c).unwrap();
        assert_eq!(read.to_element(), c);
        assert_eq!(
            read.query_node(),
            "http://code.google.com/p/exodus#QgayPKawpkPSDYmwT/WM94uAlu0="
        );
        let old =
            el("<c xmlns='http://jabber.org/protocol/caps' node='n' ver='1' ext='a b'><z/></c>");
        assert_eq!(Caps::parse(&old).unwrap().hash, None);
        let none = el("<c xmlns='http://jabber.org/protocol/caps' node='n'/>");
        assert_eq!(Caps::parse(&none), Err(PayloadError::Missing("ver")));
    }
}
