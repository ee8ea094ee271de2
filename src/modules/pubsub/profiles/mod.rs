//! What the server itself knows of certain nodes of accounts.

pub(crate) mod avatar;
pub(crate) mod bookmarks;
pub(crate) mod read_state;
pub(crate) mod shown;

use wello_store::Viewers;
use wello_wire::ns;

use super::config::{AccessModel, NodeConfig, SendLast};

/// What a node of that name is like when its account makes it by publishing and says nothing;
/// `profile` is whom the profiles of its host are shown to.
pub(crate) fn defaults(usual: NodeConfig, node: &str, profile: Viewers) -> NodeConfig {
    match node {
        // XEP-0402, section 4.2, XEP-0490, section 7 and XEP-0292, section 5.2: private.
        ns::BOOKMARKS | ns::BOOKMARKS_STORAGE | ns::MDS | ns::CONTACT_VCARDS => usual.private(),
        // XEP-0292, section 4.1 by XEP-0222; readable by all (section 8).
        ns::VCARD4_NODE => {
            NodeConfig { access: shown::access(profile), send_last: SendLast::Never, ..usual }
        }
        ns::AVATAR_DATA | ns::AVATAR_METADATA if profile == Viewers::Nobody => {
            NodeConfig { access: AccessModel::Whitelist, ..usual }
        }
        _ => usual,
    }
}
