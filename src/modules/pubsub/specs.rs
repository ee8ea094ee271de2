//! The specifications that nodes of accounts serve.

use wello_kernel::module::{Spec, Status};
use wello_wire::ns;

use super::features;

pub(super) const SPECS: &[Spec] = &[
    spec("XEP-0048", "Bookmarks", "1.2", Status::Complete, &[]),
    Spec {
        id: "XEP-0060",
        title: "Publish-Subscribe",
        version: "1.30.0",
        status: Status::Partial("no collections, subscription options and leases"),
        // XEP-0223, section 5: the server speaks for its accounts, too.
        host_features: features::OF_ACCOUNTS,
        account_features: features::OF_ACCOUNTS,
    },
    spec("XEP-0084", "User Avatar", "1.1.4", Status::Complete, &[]),
    spec("XEP-0153", "vCard-Based Avatars", "1.1.1", Status::Complete, &[]),
    spec("XEP-0163", "Personal Eventing Protocol", "1.2.2", Status::Complete, &[]),
    spec("XEP-0222", "Persistent Storage of Public Data via PubSub", "1.0", Status::Complete, &[]),
    spec(
        "XEP-0223",
        "Persistent Storage of Private Data via PubSub",
        "1.1.1",
        Status::Complete,
        &[],
    ),
    spec("XEP-0292", "vCard4 Over XMPP", "0.12.0", Status::Complete, &[ns::VCARD4]),
    spec(
        "XEP-0398",
        "User Avatar to vCard-Based Avatars Conversion",
        "1.0.0",
        Status::Complete,
        &[ns::PEP_VCARD_CONVERSION],
    ),
    spec(
        "XEP-0402",
        "PEP Native Bookmarks",
        "1.2.0",
        Status::Complete,
        &[ns::BOOKMARKS_COMPAT, ns::BOOKMARKS_COMPAT_PEP],
    ),
    spec(
        "XEP-0490",
        "Message Displayed Synchronization",
        "1.0.1",
        Status::Complete,
        &[ns::MDS_SERVER_ASSIST],
    ),
    spec("XEP-0492", "Chat Notification Settings", "0.2.0", Status::Complete, &[]),
];

const fn spec(
    id: &'static str,
    title: &'static str,
    version: &'static str,
    status: Status,
    account_features: &'static [&'static str],
) -> Spec {
    Spec { id, title, version, status, host_features: &[], account_features }
}
