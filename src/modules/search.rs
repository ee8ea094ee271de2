//! Search for accounts that want to be found (XEP-0055), at `search.D` for each host.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::accounts::Windows;
use wello_kernel::config::{Audience, Config};
use wello_kernel::hooks::{IqAnswer, IqRequest, Request, Service};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_store::Listed;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::disco::{DiscoInfo, Identity};
use wello_wire::payload::rsm::{PageBounds, PageRequest, PageResult};
use wello_wire::xml::Element;

use crate::blocking::Blocking;

pub struct Search {
    domains: Vec<String>,
    blocking: Arc<Blocking>,
    /// Searches by account.
    asked: Windows<Box<str>>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0055",
    title: "Jabber Search",
    version: "1.3",
    status: Status::Complete,
    host_features: &[],
    account_features: &[],
}];

/// Accounts that one search looks at.
const MAX_LISTED: u32 = 10_000;
/// Accounts that one search finds; whoever finds more has to say more.
const MAX_FOUND: usize = 500;
const PAGE: usize = 50;
/// Shorter ones find everybody.
const MIN_TERM: usize = 2;
/// Searches of one account within a minute: enough for somebody who types, too few to copy the list.
const PER_MINUTE: u32 = 20;

impl Search {
    /// `None` when nobody may search.
    pub(crate) fn new(config: &Config, blocking: Arc<Blocking>) -> Option<Search> {
        let domains = config.domains().iter().map(|host| format!("search.{host}")).collect();
        let on = config.privacy.search != Audience::Nobody;
        on.then(|| Search { domains, blocking, asked: Windows::new(60) })
    }
}

impl Module for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for domain in &self.domains {
            registrar.service(domain.clone(), Arc::clone(&self) as _);
        }
    }
}

#[async_trait]
impl Service for Search {
    async fn info(&self, _kernel: &Arc<Kernel>, _domain: &BareJid) -> DiscoInfo {
        DiscoInfo {
            identities: vec![Identity::new("directory", "user", Some("Account search"))],
            features: [ns::SEARCH, ns::DATA_FORM, ns::RSM].map(str::to_owned).to_vec(),
            ..DiscoInfo::default()
        }
    }

    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let from = request.from;
        if !request.payload.is("query", ns::SEARCH) {
            return Err(StanzaError::service_unavailable(""));
        }
        let account = kernel.local_account(from).await?;
        let role = kernel.role_of(from).await;
        if !kernel.config.privacy.search.includes(role) {
            return Err(StanzaError::forbidden("not for this account"));
        }
        if request.request == Request::Get {
            return Ok(fields().into());
        }
        let wanted = Wanted::parse(request.payload)?;
        self.count(kernel, &account)?;
        let host = request.to.domain().strip_prefix("search.").unwrap_or_default();
        wanted.result(&self.find(kernel, host, from, &wanted).await?).map(IqAnswer::from)
    }
}

impl Search {
    async fn find(
        &self,
        kernel: &Kernel,
        host: &str,
        from: &Jid,
        wanted: &Wanted,
    ) -> Result<Vec<Listed>, StanzaError> {
        let listed = kernel.store.privacy.listed(host, MAX_LISTED).await.map_err(|error| {
            tracing::error!(%error, "listed accounts not read");
            StanzaError::internal_server_error("")
        })?;
        let mut found = Vec::new();
        for one in listed.into_iter().filter(|one| wanted.matches(one)).take(MAX_FOUND) {
            if !self.is_blocked(kernel, &one.account, from).await? {
                found.push(one);
            }
        }
        Ok(found)
    }

    /// Whoever is blocked by an account does not find it (XEP-0191, section 3.3).
    async fn is_blocked(
        &self,
        kernel: &Kernel,
        account: &str,
        by: &Jid,
    ) -> Result<bool, StanzaError> {
        self.blocking.is_blocked(kernel, account, by).await.map_err(|error| {
            tracing::error!(%error, "block list not read");
            StanzaError::internal_server_error("")
        })
    }

    fn count(&self, kernel: &Kernel, account: &BareJid) -> Result<(), StanzaError> {
        let (key, now): (Box<str>, _) = (account.as_str().into(), kernel.clock.now());
        match self.asked.admit(key, PER_MINUTE, now) {
            true => Ok(()),
            false => Err(StanzaError::resource_constraint("too many searches, wait a minute")),
        }
    }
}

const INSTRUCTIONS: &str = "Finds people who want to be found, by their name or address.";

fn fields() -> Element {
    let form = DataForm::typed(FormKind::Form, ns::SEARCH)
        .with_title("Search for people")
        .with_instructions(INSTRUCTIONS)
        .with(Field::text_single("nick", "Name"));
    let child = |name: &'static str| Element::new(name, ns::SEARCH);
    child("query")
        .with_child(child("instructions").with_text(INSTRUCTIONS))
        .with_child(child("nick"))
        .with_child(form.to_element())
}

#[derive(Debug, PartialEq)]
struct Wanted {
    terms: Vec<String>,
    page: PageRequest,
    by_form: bool,
}

impl Wanted {
    fn parse(query: &Element) -> Result<Wanted, StanzaError> {
        let form = DataForm::within(query)?;
        let text = match &form {
            Some(form) if form.kind != FormKind::Submit || form.form_type() != Some(ns::SEARCH) => {
                return Err(StanzaError::bad_request("not a search"));
            }
            Some(form) => form.value("nick").unwrap_or_default().to_owned(),
            None => {
                let nick = query.child("nick", ns::SEARCH);
                nick.map(|nick| nick.text().into_owned()).unwrap_or_default()
            }
        };
        let terms: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        if !terms.iter().any(|term| term.chars().count() >= MIN_TERM) {
            return Err(StanzaError::not_acceptable("two characters of a name at least"));
        }
        Ok(Wanted { terms, page: PageRequest::within(query)?, by_form: form.is_some() })
    }

    fn matches(&self, one: &Listed) -> bool {
        let name = one.name.to_lowercase();
        let local = one.account.split('@').next().unwrap_or_default();
        self.terms.iter().all(|term| name.contains(term) || local.contains(term.as_str()))
    }

    fn result(&self, found: &[Listed]) -> Result<Element, StanzaError> {
        let (from, to) = self.bounds(found)?;
        let shown = found.get(from..to).unwrap_or_default();
        let query = Element::new("query", ns::SEARCH);
        let query = match self.by_form {
            true => query.with_child(form(shown).to_element()),
            false => query.with_children(shown.iter().map(item)),
        };
        let bounds = shown.first().zip(shown.last()).map(|(first, last)| PageBounds {
            first: first.account.clone(),
            index: u32::try_from(from).ok(),
            last: last.account.clone(),
        });
        let paged = self.page != PageRequest::default() || shown.len() < found.len();
        let set = PageResult { bounds, count: u32::try_from(found.len()).ok() };
        Ok(query.with_children(paged.then(|| set.to_element())))
    }

    /// XEP-0059, sections 2.2 to 2.4.
    fn bounds(&self, found: &[Listed]) -> Result<(usize, usize), StanzaError> {
        let page = &self.page;
        let max = page.max.map_or(PAGE, |max| max as usize).min(PAGE);
        let place = |account: &Option<String>| match account {
            Some(account) => found
                .binary_search_by(|one| one.account.cmp(account))
                .map(Some)
                .map_err(|_| StanzaError::item_not_found("nobody to go on from")),
            None => Ok(None),
        };
        let (after, before) = (place(&page.after)?, place(&page.before)?);
        if page.backwards {
            let to = before.unwrap_or(found.len());
            return Ok((to.saturating_sub(max), to));
        }
        let skipped = page.index.map_or(0, |index| index as usize);
        let from = after.map_or(skipped, |after| after + 1).min(found.len());
        Ok((from, from.saturating_add(max).min(found.len())))
    }
}

fn item(one: &Listed) -> Element {
    Element::new("item", ns::SEARCH)
        .with_attr("jid", one.account.as_str())
        .with_child(Element::new("nick", ns::SEARCH).with_text(one.name.as_str()))
}

fn form(shown: &[Listed]) -> DataForm {
    let mut form = DataForm::typed(FormKind::Result, ns::SEARCH);
    form.reported = vec![Field::text_single("nick", "Name"), Field::jid_single("jid", "Address")];
    let row = |one: &Listed| {
        vec![
            Field::untyped("nick").with_value(one.name.as_str()),
            Field::untyped("jid").with_value(one.account.as_str()),
        ]
    };
    form.items = shown.iter().map(row).collect();
    form
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    fn wanted(children: &str) -> Result<Wanted, StanzaError> {
        let text = format!("<query xmlns='jabber:iq:search'>{children}</query>");
        Wanted::parse(&text.parse().unwrap())
    }

    fn listed(names: &[&str]) -> Vec<Listed> {
        let one = |name: &&str| Listed {
            account: format!("{}@b", name.to_lowercase()),
            name: format!("{name} Ähnlich"),
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn something_must_be_looked_for() {
        for children in ["", "<nick/>", "<nick>a</nick>", "<nick> a b </nick>"] {
            let error = wanted(children).unwrap_err();
            assert_eq!(error.condition, Condition::NotAcceptable, "{children}");
        }
        let form = "<x xmlns='jabber:x:data' type='submit'/>";
        assert_eq!(wanted(form).unwrap_err().condition, Condition::BadRequest);
    }

    #[test]
    fn every_term_is_found_in_the_name_or_the_address() {
        let anna = &listed(&["Anna"])[0];
        for (text, found) in
            [("an", true), ("ÄHN anna", true), ("b@", false), ("an x", false), ("@b", false)]
        {
            let wanted = wanted(&format!("<nick>{text}</nick>")).unwrap();
            assert_eq!(wanted.matches(anna), found, "{text}");
        }
    }

    #[test]
    fn pages_go_both_ways() {
        let all = listed(&["Aa", "Bb", "Cc", "Dd"]);
        let shown = |set: &str| {
            let set =
                format!("<nick>hn</nick><set xmlns='http://jabber.org/protocol/rsm'>{set}</set>");
            let result = wanted(&set).unwrap().result(&all).map_err(|error| error.condition)?;
            let items = result.children().filter(|child| child.is("item", ns::SEARCH));
            Ok(items.map(|item| item.attr("jid").unwrap()[..1].to_owned()).collect::<String>())
        };
        assert_eq!(shown("<max>2</max>").unwrap(), "ab");
        assert_eq!(shown("<max>2</max><after>bb@b</after>").unwrap(), "cd");
        assert_eq!(shown("<max>1</max><before/>").unwrap(), "d");
        assert_eq!(shown("<max>2</max><before>cc@b</before>").unwrap(), "ab");
        assert_eq!(shown("<max>9</max><index>3</index>").unwrap(), "d");
        assert_eq!(shown("<after>' OR 1=1 --</after>"), Err(Condition::ItemNotFound));
    }
}
