//! Search for rooms (XEP-0433).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::hooks::{IqRequest, Request};
use wello_store::StoredRoom;
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::rsm::{PageBounds, PageRequest, PageResult};
use wello_wire::xml::Element;

use super::Muc;
use super::refusals::store_failed;
use super::room::Config;

pub const SEARCH: &str = "urn:xmpp:channel-search:0:search";
const PARAMS: &str = "urn:xmpp:channel-search:0:search-params";
const ERROR: &str = "urn:xmpp:channel-search:0:error";
const BY_USERS: &str = "{urn:xmpp:channel-search:0:order}nusers";
const BY_ADDRESS: &str = "{urn:xmpp:channel-search:0:order}address";

/// Rooms that one search looks at.
const MAX_ROOMS: u32 = 10_000;
const PAGE: usize = 50;
const MAX_PAGE: usize = 100;
/// Shorter words hit everything.
const MIN_TERM: usize = 2;

/// A room that was found.
struct Found {
    room: StoredRoom,
    users: usize,
    open: bool,
}

/// What is looked for.
#[derive(Debug, PartialEq)]
struct Wanted {
    terms: Vec<String>,
    in_name: bool,
    in_description: bool,
    in_address: bool,
    min_users: usize,
    by_users: bool,
}

impl Muc {
    pub(super) async fn search(
        &self,
        kernel: &Arc<Kernel>,
        asked: &IqRequest<'_>,
    ) -> Result<Element, StanzaError> {
        if asked.payload.name() != "search" || asked.request != Request::Get {
            return Err(StanzaError::bad_request("a search is asked"));
        }
        let Some(form) = DataForm::within(asked.payload)? else {
            return Ok(Element::new("search", SEARCH).with_child(form().to_element()));
        };
        let wanted = wanted(&form)?;
        let page = PageRequest::within(asked.payload)?;
        let mut found = self.candidates(kernel, &asked.to).await?;
        found.retain(|one| wanted.matches(one));
        found.sort_by(|a, b| {
            let by_users =
                if wanted.by_users { b.users.cmp(&a.users) } else { std::cmp::Ordering::Equal };
            by_users.then_with(|| a.room.jid.cmp(&b.room.jid))
        });
        Ok(result(&found, &page))
    }

    async fn candidates(
        &self,
        kernel: &Kernel,
        service: &BareJid,
    ) -> Result<Vec<Found>, StanzaError> {
        let rooms = self.listed(kernel, service, MAX_ROOMS).await;
        let rooms = rooms.map_err(|error| store_failed(&error))?;
        let found = rooms.into_iter().map(|room| {
            let live = self.rooms.get(&room.jid);
            let users = live.map_or(0, |live| live.state.lock().room.occupant_count());
            let config = serde_json::from_str::<Config>(&room.settings).unwrap_or_default();
            let open = !config.members_only && config.password().is_none();
            Found { room, users, open }
        });
        Ok(found.collect())
    }
}

fn form() -> DataForm {
    let flag = |var: &str, label: &str| Field::boolean(var, label).with_boolean(true);
    DataForm::typed(FormKind::Form, PARAMS)
        .with(Field::text_single("q", "Search for"))
        .with(Field::boolean("all", "Return all entries (ignore search terms)").with_boolean(false))
        .with(flag("sinname", "Search in name"))
        .with(flag("sindescription", "Search in description"))
        .with(flag("sinaddr", "Search in address"))
        .with(Field::text_single("min_users", "Minimum number of users").with_value("0"))
        .with(
            Field::list_multi("types", "Service types")
                .with_value("xep-0045")
                .with_option("XEP-0045 Multi User Chats", "xep-0045"),
        )
        .with(
            Field::list_single("key", "Sort results by")
                .with_value(BY_USERS)
                .with_option("Number of online users", BY_USERS)
                .with_option("Address", BY_ADDRESS),
        )
}

fn refused(error: StanzaError, condition: &str) -> StanzaError {
    error.with_application(Element::new(condition.to_owned(), ERROR))
}

fn wanted(form: &DataForm) -> Result<Wanted, StanzaError> {
    if form.form_type() != Some(PARAMS) {
        return Err(StanzaError::bad_request("not a search"));
    }
    let all = form.boolean("all")?.unwrap_or(false);
    let by_users = match form.value("key") {
        None | Some(BY_USERS) => true,
        Some(BY_ADDRESS) => false,
        Some(_) => {
            let error = StanzaError::feature_not_implemented("no such order");
            let error = error.with_type(wello_wire::error::ErrorType::Modify);
            return Err(refused(error, "invalid-sort-key"));
        }
    };
    let terms = match (form.value("q"), all) {
        (Some(_), true) => {
            let error = StanzaError::bad_request("either all or what is searched for");
            let var = |name: &str| Element::new("var", ERROR).with_text(name);
            let fields =
                Element::new("conflicting-fields", ERROR).with_children([var("all"), var("q")]);
            return Err(error.with_application(fields));
        }
        (None, true) => Vec::new(),
        (None, false) => {
            return Err(refused(
                StanzaError::bad_request("search for what?"),
                "no-search-conditions",
            ));
        }
        (Some(q), false) => {
            let terms = q.split_whitespace().map(str::to_lowercase);
            let terms: Vec<String> =
                terms.filter(|term| term.chars().count() >= MIN_TERM).collect();
            if terms.is_empty() {
                let error = StanzaError::bad_request("a search term has two characters at least");
                return Err(refused(error, "invalid-search-terms"));
            }
            terms
        }
    };
    let flag = |var| Ok::<_, StanzaError>(form.boolean(var)?.unwrap_or(true));
    Ok(Wanted {
        terms,
        in_name: flag("sinname")?,
        in_description: flag("sindescription")?,
        in_address: flag("sinaddr")?,
        min_users: form.parsed("min_users")?.unwrap_or(0),
        by_users,
    })
}

impl Wanted {
    fn matches(&self, found: &Found) -> bool {
        let places = [
            (self.in_name, found.room.name.to_lowercase()),
            (self.in_description, found.room.description.to_lowercase()),
            (self.in_address, found.room.jid.to_lowercase()),
        ];
        let hit = |term: &String| places.iter().any(|(on, text)| *on && text.contains(term));
        found.users >= self.min_users && self.terms.iter().all(hit)
    }
}

fn result(found: &[Found], page: &PageRequest) -> Element {
    let max = page.max.map_or(PAGE, |max| max as usize).min(MAX_PAGE);
    let place = |jid: &Option<String>| {
        jid.as_ref().and_then(|jid| found.iter().position(|one| one.room.jid == *jid))
    };
    let (from, to) = match (page.backwards, place(&page.before), place(&page.after)) {
        (true, before, _) => {
            let to = before.unwrap_or(found.len());
            (to.saturating_sub(max), to)
        }
        (false, _, after) => {
            let from = after.map_or(0, |after| after + 1);
            (from, (from + max).min(found.len()))
        }
    };
    let shown = found.get(from..to).unwrap_or_default();
    let bounds = shown.first().zip(shown.last()).map(|(first, last)| PageBounds {
        first: first.room.jid.clone(),
        index: u32::try_from(from).ok(),
        last: last.room.jid.clone(),
    });
    let count = u32::try_from(found.len()).ok();
    Element::new("result", SEARCH)
        .with_children(shown.iter().map(item))
        .with_child(PageResult { bounds, count }.to_element())
}

fn item(found: &Found) -> Element {
    let child = |name: &str, text: &str| Element::new(name.to_owned(), SEARCH).with_text(text);
    let some = |name: &str, text: &str| (!text.is_empty()).then(|| child(name, text));
    Element::new("item", SEARCH)
        .with_attr("address", found.room.jid.as_str())
        .with_children(some("name", &found.room.name))
        .with_children(some("description", &found.room.description))
        .with_child(child("nusers", &found.users.to_string()))
        .with_child(child("service-type", "xep-0045"))
        .with_children(found.open.then(|| Element::new("is-open", SEARCH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Result<Wanted, StanzaError> {
        let form =
            fields.iter().fold(DataForm::typed(FormKind::Submit, PARAMS), |form, (var, value)| {
                form.with(Field::untyped(*var).with_value(*value))
            });
        wanted(&form)
    }

    fn room(name: &str, users: usize) -> Found {
        let jid = format!("{name}@conference.example");
        let room = StoredRoom { jid, name: format!("The {name} Room"), ..StoredRoom::default() };
        Found { room, users, open: true }
    }

    #[test]
    fn what_cannot_be_searched_is_told_why() {
        let condition = |fields: &[(&str, &str)]| {
            let error = asked(fields).unwrap_err();
            error.application.unwrap().name().to_owned()
        };
        assert_eq!(condition(&[]), "no-search-conditions");
        assert_eq!(condition(&[("q", "x")]), "invalid-search-terms");
        assert_eq!(condition(&[("q", "xy"), ("all", "1")]), "conflicting-fields");
        assert_eq!(condition(&[("q", "xy"), ("key", "weight")]), "invalid-sort-key");
    }

    #[test]
    fn every_term_has_to_be_found() {
        let finds = |q: &str| asked(&[("q", q)]).unwrap().matches(&room("garden", 3));
        assert!(finds("GARDEN room"));
        assert!(finds("conference"));
        assert!(!finds("garden kitchen"));
        let crowded = asked(&[("all", "true"), ("min_users", "4")]).unwrap();
        assert!(!crowded.matches(&room("garden", 3)) && crowded.matches(&room("garden", 4)));
        let by_name = asked(&[("q", "conference"), ("sinaddr", "0")]).unwrap();
        assert!(!by_name.matches(&room("garden", 3)));
    }

    #[test]
    fn pages_go_both_ways() {
        let found: Vec<Found> = ["a", "b", "c", "d"].map(|name| room(name, 1)).into();
        let shown = |page: PageRequest| -> String {
            let result = result(&found, &page);
            let items = result.children().filter(|child| child.is("item", SEARCH));
            items.map(|item| item.attr("address").unwrap().split_once('@').unwrap().0).collect()
        };
        let after = |jid: &str| Some(format!("{jid}@conference.example"));
        assert_eq!(shown(PageRequest::default()), "abcd");
        assert_eq!(shown(PageRequest { max: Some(2), ..PageRequest::default() }), "ab");
        let second = PageRequest { max: Some(2), after: after("b"), ..PageRequest::default() };
        assert_eq!(shown(second), "cd");
        let last = PageRequest { max: Some(1), backwards: true, ..PageRequest::default() };
        assert_eq!(shown(last), "d");
        let past = PageRequest { after: after("d"), ..PageRequest::default() };
        assert_eq!(shown(past), "");
    }
}
