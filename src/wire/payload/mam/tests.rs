use super::*;
use crate::{
    error::{Condition, StanzaError},
    payload::dom::el,
};

fn query(fields: &str, more: &str) -> Result<MamQuery, PayloadError> {
    MamQuery::parse(&el(&format!(
        "<query xmlns='urn:xmpp:mam:2' queryid='f27' x='y'>\
         <x xmlns='jabber:x:data' type='submit'>{fields}</x>{more}</query>"
    )))
}

fn field(var: &str, value: &str) -> String {
    format!("<field var='{var}'><value>{value}</value></field>")
}

#[test]
fn whole_query() {
    let fields = [
        field("FORM_TYPE", "urn:xmpp:mam:2"),
        field("with", "Juliet@capulet.lit"),
        field("start", "2010-06-07T00:00:00Z"),
        field("end", "2010-07-07T13:23:54Z"),
        field("after-id", "a"),
        field("before-id", "b"),
        "<field var='ids'><value>1</value><value>2</value></field>".into(),
        field("include-groupchat", "true"),
        field(TEXT_FIELD, "moon"),
    ];
    let more =
        "<flip-page/><z/><set xmlns='http://jabber.org/protocol/rsm'><max>10</max><before/></set>";
    let read = query(&fields.concat(), more).unwrap();
    assert_eq!(read.query_id.as_deref(), Some("f27"));
    assert_eq!(read.filter.with, Some("juliet@capulet.lit".parse().unwrap()));
    assert_eq!(read.filter.ids, ["1", "2"]);
    assert_eq!(read.filter.text.as_deref(), Some("moon"));
    assert!(read.flip_page && read.page.backwards && read.page.max == Some(10));
    assert_eq!(MamQuery::parse(&read.to_element()), Ok(read));
}

#[test]
fn lenient_and_strict() {
    let empty = MamQuery::parse(&el("<query xmlns='urn:xmpp:mam:2'/>"));
    assert_eq!(empty, Ok(MamQuery::default()));
    let unset = query(&field("with", ""), "").unwrap();
    assert_eq!(unset.filter, Filter::default());
    let condition = |fields: &str| {
        let error = query(fields, "").expect_err(fields);
        StanzaError::from(error).condition
    };
    assert_eq!(condition(&field("free-text", "x")), Condition::FeatureNotImplemented);
    assert_eq!(condition(&field("with", "@")), Condition::JidMalformed);
    assert_eq!(condition(&field("start", "x")), Condition::BadRequest);
    assert_eq!(condition(&field("include-groupchat", "x")), Condition::BadRequest);
    assert_eq!(condition(&field("FORM_TYPE", "x")), Condition::BadRequest);
    assert!(MamQuery::parse(&el("<query xmlns='urn:xmpp:mam:1'/>")).is_err());
}

#[test]
fn every_field_offered_is_understood() {
    let fields = MamQuery::fields();
    let form = DataForm::within(&fields).unwrap().unwrap();
    assert_eq!(Filter::parse(&form), Ok(Filter::default()));
    assert_eq!(form.fields.len(), 9);
}

#[test]
fn result() {
    let element = el("<result xmlns='urn:xmpp:mam:2' queryid='f27' id='28482-98726-73623'>\
         <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>\
         <message xmlns='jabber:client'><body>hi</body></message></forwarded></result>");
    assert_eq!(MamResult::parse(&element).unwrap().to_element(), element);
    let none = el("<result xmlns='urn:xmpp:mam:2' id='1'/>");
    assert_eq!(MamResult::parse(&none), Err(PayloadError::Missing("forwarded")));
}

#[test]
fn fin() {
    let element = el("<fin xmlns='urn:xmpp:mam:2' complete='true'>\
         <set xmlns='http://jabber.org/protocol/rsm'><first index='0'>23452-4534-1</first>\
         <last>390-2342-22</last><count>16</count></set></fin>");
    let read = MamFin::parse(&element).unwrap();
    assert!(read.complete && read.stable);
    assert_eq!(read.to_element(), element);
    let unstable = el("<fin xmlns='urn:xmpp:mam:2' stable='false' x='y'><z/></fin>");
    let unstable = MamFin::parse(&unstable).unwrap();
    assert!(!unstable.stable && !unstable.complete);
    assert_eq!(MamFin::parse(&unstable.to_element()), Ok(unstable));
    assert!(MamFin::parse(&el("<fin xmlns='urn:xmpp:mam:2' complete='x'/>")).is_err());
}

#[test]
fn metadata() {
    let element = el("<metadata xmlns='urn:xmpp:mam:2'>\
         <start id='YWxwaGEg' timestamp='2008-08-22T21:09:04Z'/>\
         <end id='b21lZ2Eg' timestamp='2020-04-20T14:34:21Z'/></metadata>");
    assert_eq!(MamMetadata::parse(&element).unwrap().to_element(), element);
    let empty = MamMetadata { edges: None };
    assert_eq!(MamMetadata::parse(&empty.to_element()), Ok(empty));
    let bad = el("<metadata xmlns='urn:xmpp:mam:2'><start id='a'/></metadata>");
    assert_eq!(MamMetadata::parse(&bad), Err(PayloadError::Missing("timestamp")));
}

#[test]
fn prefs() {
    let element = el("<prefs xmlns='urn:xmpp:mam:2' default='roster'>\
         <always><jid>romeo@montague.lit</jid></always><never/></prefs>");
    let read = MamPrefs::parse(&element).unwrap();
    assert_eq!(read.always.len(), 1);
    assert_eq!(read.to_element(), element);
    let short = el("<prefs xmlns='urn:xmpp:mam:2' default='never'><x/></prefs>");
    assert!(MamPrefs::parse(&short).unwrap().never.is_empty());
    for bad in [
        "<prefs xmlns='urn:xmpp:mam:2'/>",
        "<prefs xmlns='urn:xmpp:mam:2' default='often'/>",
        "<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>@</jid></always></prefs>",
    ] {
        assert!(MamPrefs::parse(&el(bad)).is_err());
    }
}
