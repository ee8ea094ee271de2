use super::*;
use crate::sasl::{ChannelBindings, Mechanism, Offer};

fn offer() -> Offer {
    let bindings = ChannelBindings {
        tls_exporter: Some([7; 32]),
        tls_server_end_point: Some(b"hash".to_vec()),
    };
    let enabled = ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"];
    let enabled: Vec<Mechanism> = enabled.iter().map(|name| name.parse().unwrap()).collect();
    Offer::new(&enabled, &bindings)
}

#[test]
fn mechanisms() {
    let feature = Mechanisms::offer(&offer()).unwrap();
    let element = reread(&feature.write());
    assert_eq!(
        element.to_string(),
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
         <mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms>"
    );
    assert_eq!(Mechanisms::read(&element), Some(feature));
    assert_eq!(Mechanisms::read(&xml("<mechanisms xmlns='urn:xmpp:sasl:2'/>")), None);
}

/// As in the examples of XEP-0388, XEP-0386, XEP-0480 and XEP-0484.
#[test]
fn authentication() {
    let bind = BindFeature { inline: vec![ns::CARBONS.to_owned(), ns::CSI.to_owned()] };
    let fast = FastFeature::offer(&offer()).unwrap();
    let inline = vec![fast.write(), bind.write(), xml("<sm xmlns='urn:xmpp:sm:3'/>")];
    let feature = Authentication::offer(&offer(), inline, true).unwrap();
    let element = reread(&feature.write());
    assert_eq!(
        element.to_string(),
        "<authentication xmlns='urn:xmpp:sasl:2'>\
         <mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism><inline>\
         <fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-ENDP</mechanism>\
         <mechanism>HT-SHA-256-NONE</mechanism></fast>\
         <bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:carbons:2'/>\
         <feature var='urn:xmpp:csi:0'/></inline></bind><sm xmlns='urn:xmpp:sm:3'/></inline>\
         <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>\
         <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authentication>"
    );
    let read = Authentication::read(&element).unwrap();
    assert_eq!(FastFeature::read(&read.inline[0]), Some(fast));
    assert_eq!(BindFeature::read(&read.inline[1]), Some(bind));
    assert_eq!(read, feature);
    let plain = Authentication::offer(&offer(), Vec::new(), false).unwrap();
    assert_eq!(plain.write().children().count(), 2, "no empty inline, no upgrades");
}

#[test]
fn channel_binding_types() {
    let feature = ChannelBindingTypes::offer(&offer()).unwrap();
    let element = reread(&feature.write());
    assert_eq!(
        element.to_string(),
        "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
         <channel-binding type='tls-server-end-point'/></sasl-channel-binding>"
    );
    assert_eq!(ChannelBindingTypes::read(&element), Some(feature));
}

#[test]
fn nothing_to_offer() {
    let nothing = Offer::default();
    assert_eq!(Mechanisms::offer(&nothing), None);
    assert_eq!(Authentication::offer(&nothing, Vec::new(), true), None);
    assert_eq!(ChannelBindingTypes::offer(&nothing), None);
    assert_eq!(FastFeature::offer(&nothing), None);
}
