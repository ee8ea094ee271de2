//! Damaged payloads: whatever is done to a valid one, reading it does not panic, and what
//! is still read survives being written.

use proptest::{prelude::*, sample::Index};

use super::{
    PayloadError,
    bind::{BindRequest, Bound},
    blocking::{Blocking, Report},
    cam::CamRequest,
    caps::{Caps, CapsHash, verification_string},
    carbons::CarbonsRequest,
    command::Command,
    csi::ClientState,
    data_form::DataForm,
    delay::Delay,
    disco::{DiscoInfo, DiscoItems},
    dom::el,
    forward::Forwarded,
    hints::Hints,
    invite::{CreateAccount, Preauth},
    jingle::Jingle,
    last::LastActivity,
    mam::{MamFin, MamMetadata, MamPrefs, MamQuery, MamResult},
    private::PrivateStorage,
    register::Register,
    retract::{Fallback, Retract, Retracted},
    roster::Roster,
    rsm::{PageRequest, PageResult},
    sm::SmNonza,
    stanza_id::StanzaId,
    time::EntityTime,
    vcard::{AvatarUpdate, Photo, display_name},
    version::SoftwareVersion,
};
use crate::{
    error::{Condition, StanzaError, StreamError},
    jid::JidError,
    xml::{Attr, Element, Node},
};

const SEEDS: &[&str] = &[
    "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource><jid>a@b/c</jid></bind>",
    "<block xmlns='urn:xmpp:blocking'><item jid='a@b'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'><text xml:lang='en'>t</text><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='c@d'/></report></item></block>",
    "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'><text xml:lang='en'>t</text><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='c@d'/></report>",
    "<revoke xmlns='urn:xmpp:cam:0' id='1'/>",
    "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v' hash='sha-1'/>",
    "<enable xmlns='urn:xmpp:carbons:2'/>",
    "<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s' status='executing'><actions execute='next'><prev/><next/></actions><note type='warn'>n</note><x xmlns='jabber:x:data' type='form'/></command>",
    "<active xmlns='urn:xmpp:csi:0'/>",
    "<x xmlns='jabber:x:data' type='form'><title>t</title><instructions>i</instructions><field var='FORM_TYPE' type='hidden'><value>t</value></field><field var='a' type='list-multi' label='l'><desc>d</desc><required/><value>v</value><option label='o'><value>v</value></option></field><reported><field var='a'/></reported><item><field var='a'><value>v</value></field></item></x>",
    "<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z' from='a@b'>why</delay>",
    "<query xmlns='http://jabber.org/protocol/disco#info' node='n'><identity category='c' type='t' name='n' xml:lang='en'/><feature var='f'/><feature var='g'/><x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>t</value></field></x></query>",
    "<query xmlns='http://jabber.org/protocol/disco#items' node='n'><item jid='a@b' node='n' name='m'/></query>",
    "<error xmlns='jabber:client' type='cancel' by='a'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:a</gone><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>t</text><x xmlns='urn:x'/></error>",
    "<error xmlns='http://etherx.jabber.org/streams'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>t</text></error>",
    "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/><message xmlns='jabber:client'/></forwarded>",
    crate::payload::jingle::tests::OFFER,
    "<jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='s'><reason><gone/><text>t</text></reason></jingle>",
    "<preauth xmlns='urn:xmpp:pars:0' token='t'/>",
    "<query xmlns='jabber:iq:last' seconds='1'>s</query>",
    "<query xmlns='urn:xmpp:mam:2' queryid='q'><x xmlns='jabber:x:data' type='submit'><field var='with'><value>a@b</value></field><field var='start'><value>2010-07-10T23:08:25Z</value></field><field var='ids'><value>1</value></field><field var='include-groupchat'><value>1</value></field></x><set xmlns='http://jabber.org/protocol/rsm'><max>1</max><before>b</before></set><flip-page/></query>",
    "<result xmlns='urn:xmpp:mam:2' queryid='q' id='1'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded></result>",
    "<fin xmlns='urn:xmpp:mam:2' complete='true' stable='false'><set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a</first><last>b</last><count>2</count></set></fin>",
    "<metadata xmlns='urn:xmpp:mam:2'><start id='1' timestamp='2010-07-10T23:08:25Z'/><end id='2' timestamp='2010-07-10T23:08:25Z'/></metadata>",
    "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>a@b</jid></always><never><jid>c</jid></never></prefs>",
    "<query xmlns='jabber:iq:private'><a xmlns='u'>x</a><b xmlns='u'/></query>",
    "<query xmlns='jabber:iq:register'><registered/><instructions>i</instructions><username>u</username><password/><x xmlns='jabber:x:data' type='form'/></query>",
    "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>",
    "<retracted xmlns='urn:xmpp:message-retract:1' id='1' by='a@b' stamp='2010-07-10T23:08:25Z'/>",
    "<fallback xmlns='urn:xmpp:fallback:0' for='u'><body start='0' end='1'/></fallback>",
    "<query xmlns='jabber:iq:roster' ver='1'><item jid='a@b' name='n' subscription='both' ask='subscribe' approved='true'><group>g</group></item></query>",
    "<set xmlns='http://jabber.org/protocol/rsm'><max>1</max><after>a</after><before>b</before><index>3</index></set>",
    "<enabled xmlns='urn:xmpp:sm:3' id='i' resume='true' max='3' location='l'/>",
    "<resume xmlns='urn:xmpp:sm:3' h='1' previd='p'/>",
    "<failed xmlns='urn:xmpp:sm:3' h='1'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
    "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='c@d'/>",
    "<time xmlns='urn:xmpp:time'><tzo>Z</tzo><utc>2010-07-10T23:08:25Z</utc></time>",
    "<vCard xmlns='vcard-temp'><FN>f</FN><NICKNAME>n</NICKNAME><PHOTO><TYPE>image/png</TYPE><BINVAL>aGVsbG8=</BINVAL></PHOTO></vCard>",
    "<x xmlns='vcard-temp:x:update'><photo>h</photo></x>",
    "<query xmlns='jabber:iq:version'><name>n</name><version>v</version><os>o</os></query>",
];

/// One blow: at which element, which kind, to which part, with what.
type Damage = (Index, u8, Index, String);

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let text = prop_oneof![
        Just(String::new()),
        Just("true".to_owned()),
        Just("a@b/c".to_owned()),
        Just("99999999999999999999".to_owned()),
        "[ -~é🤖<]{0,10}",
    ];
    proptest::collection::vec((any::<Index>(), 0..6_u8, any::<Index>(), text), 0..4)
}

/// The tree after a blow at the element at this place in document order.
fn strike(element: Element, place: usize, blow: &Damage) -> Element {
    let (name, ns, mut attrs, mut nodes) = element.into_parts();
    match place.checked_sub(1) {
        None => hit(&mut attrs, &mut nodes, blow),
        Some(mut place) => {
            for child in nodes.iter_mut() {
                let Node::Element(child) = child else { continue };
                let below = count(child);
                if place < below {
                    *child = strike(child.clone(), place, blow);
                    break;
                }
                place -= below;
            }
        }
    }
    Element::from_parts(name, ns, attrs, nodes)
}

fn hit(attrs: &mut Vec<Attr>, nodes: &mut Vec<Node>, (_, kind, part, text): &Damage) {
    match kind {
        0 if !attrs.is_empty() => drop(attrs.remove(part.index(attrs.len()))),
        1 if !attrs.is_empty() => {
            let index = part.index(attrs.len());
            attrs[index].value = text.into();
        }
        2 if !nodes.is_empty() => drop(nodes.remove(part.index(nodes.len()))),
        3 if !nodes.is_empty() => {
            let again = nodes[part.index(nodes.len())].clone();
            nodes.push(again);
        }
        4 => *nodes = vec![Node::Text(text.clone())],
        _ => nodes.push(Node::Element(Element::new("unknown", "urn:unknown"))),
    }
}

fn count(element: &Element) -> usize {
    1 + element.children().map(count).sum::<usize>()
}

fn check(element: &Element) {
    macro_rules! survive {
        ($($payload:ty),* $(,)?) => {$(
            if let Ok(read) = <$payload>::parse(element) {
                let written = read.to_element().to_string();
                assert_eq!(<$payload>::parse(&el(&written)), Ok(read));
            }
        )*};
    }
    survive!(
        AvatarUpdate,
        BindRequest,
        Bound,
        Caps,
        ClientState,
        Command,
        DataForm,
        Delay,
        DiscoInfo,
        DiscoItems,
        EntityTime,
        Forwarded,
        Jingle,
        LastActivity,
        MamFin,
        MamMetadata,
        MamPrefs,
        MamQuery,
        MamResult,
        PageRequest,
        PageResult,
        Preauth,
        PrivateStorage,
        Register,
        Report,
        Retract,
        Retracted,
        Roster,
        SmNonza,
        SoftwareVersion,
        StanzaId,
    );
    let stanza = StanzaError::from_element(element);
    assert_eq!(StanzaError::from_element(&stanza.to_element("jabber:client")), stanza);
    let stream = StreamError::from_element(element);
    assert_eq!(StreamError::from_element(&stream.to_element()), stream);
    let _ = (Blocking::parse(element), CamRequest::parse(element));
    let _ = (CarbonsRequest::parse(element), Fallback::parse(element));
    let _ = (Photo::within(element), display_name(element), Hints::of(element));
    if let Ok(info) = DiscoInfo::parse(element) {
        let _ = verification_string(&info, CapsHash::Sha1);
    }
    if let Ok(form) = DataForm::parse(element) {
        let _ = (form.check(&form), CreateAccount::parse(&form, "b"));
    }
}

#[test]
fn seeds() {
    SEEDS.iter().for_each(|seed| check(&el(seed)));
}

#[test]
fn errors_name_their_condition() {
    let condition = |e: PayloadError| StanzaError::from(e).condition;
    assert_eq!(condition(JidError::MissingResource.into()), Condition::JidMalformed);
    assert_eq!(condition(PayloadError::Missing("id")), Condition::BadRequest);
    assert_eq!(condition(PayloadError::Unsupported("x".into())), Condition::FeatureNotImplemented);
    assert_eq!(condition(PayloadError::Unacceptable("x")), Condition::NotAcceptable);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn damaged(seed in any::<Index>(), blows in damage()) {
        let mut element = el(SEEDS[seed.index(SEEDS.len())]);
        for blow in &blows {
            let place = blow.0.index(count(&element));
            element = strike(element, place, blow);
        }
        // Only trees that a parser makes: no empty or neighbouring text nodes.
        check(&el(&element.to_string()));
    }
}
