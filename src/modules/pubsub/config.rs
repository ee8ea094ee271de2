//! The configuration of a node and its form (XEP-0060, sections 8.2 and 16.4.4).

use bytes::Bytes;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::xml::Element;

use super::refusals::Refusal;

pub(crate) const FORM_TYPE: &str = "http://jabber.org/protocol/pubsub#node_config";
pub(crate) const OPTIONS_FORM_TYPE: &str = "http://jabber.org/protocol/pubsub#publish-options";

/// Gives an enum the values of its field, with labels.
macro_rules! choices {
    ($type:ident { $($variant:ident = $value:literal $label:literal,)+ }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type { $($variant,)+ }

        impl $type {
            const ALL: &'static [(&'static str, &'static str)] = &[$(($value, $label),)+];

            pub(crate) fn value(self) -> &'static str {
                match self { $($type::$variant => $value,)+ }
            }

            fn of(value: &str) -> Option<$type> {
                match value { $($value => Some($type::$variant),)+ _ => None }
            }
        }
    };
}

choices!(AccessModel {
    Open = "open" "Anyone may subscribe and retrieve items",
    Presence = "presence" "Those who see the owner's presence",
    Roster = "roster" "Contacts in the allowed groups",
    Authorize = "authorize" "Those whose subscription an owner approved",
    Whitelist = "whitelist" "Those whom an owner put on the list",
});

choices!(PublishModel {
    Publishers = "publishers" "Only publishers may publish",
    Subscribers = "subscribers" "Subscribers may publish",
    Open = "open" "Anyone may publish",
});

choices!(NodeFull {
    RetractOldest = "retract-oldest" "Retract the oldest item",
    DiscardOldest = "discard-oldest" "Discard the oldest item without a word",
    Reject = "reject" "Reject the new item",
});

choices!(SendLast {
    Never = "never" "Never",
    OnSub = "on_sub" "When a new subscription is processed",
    OnSubAndPresence = "on_sub_and_presence" "Also when a subscriber comes online",
});

choices!(Delivery {
    Normal = "normal" "Messages of type normal",
    Headline = "headline" "Messages of type headline",
});

/// How many items a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxItems {
    /// As many as the server allows.
    Max,
    Count(u64),
}

impl MaxItems {
    fn of(value: &str) -> Option<MaxItems> {
        match value {
            "max" => Some(MaxItems::Max),
            count => count.parse().ok().filter(|count| *count > 0).map(MaxItems::Count),
        }
    }

    fn value(self) -> String {
        match self {
            MaxItems::Max => "max".to_owned(),
            MaxItems::Count(count) => count.to_string(),
        }
    }

    pub(crate) fn limited(self, most: u64) -> u64 {
        match self {
            MaxItems::Max => most,
            MaxItems::Count(count) => count.min(most),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeConfig {
    pub(crate) title: String,
    pub(crate) description: String,
    /// Namespace of the payloads; empty for any.
    pub(crate) payload_type: String,
    pub(crate) access: AccessModel,
    pub(crate) groups: Vec<String>,
    pub(crate) publish: PublishModel,
    pub(crate) subscribe: bool,
    pub(crate) persist: bool,
    pub(crate) max_items: MaxItems,
    pub(crate) full: NodeFull,
    /// Bytes.
    pub(crate) max_payload: usize,
    pub(crate) deliver: bool,
    pub(crate) deliver_payloads: bool,
    pub(crate) notify_config: bool,
    pub(crate) notify_delete: bool,
    pub(crate) notify_retract: bool,
    pub(crate) send_last: SendLast,
    pub(crate) delivery: Delivery,
    pub(crate) presence_based: bool,
}

/// What an operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) items: u64,
    pub(crate) item_bytes: usize,
}

/// A field that cannot be set.
#[derive(Debug, PartialEq, Eq)]
enum Unset {
    Unknown,
    Invalid,
}

impl NodeConfig {
    /// XEP-0163, section 5. One item, because most nodes of accounts are about the present.
    pub(crate) fn of_account(limits: Limits) -> NodeConfig {
        NodeConfig {
            access: AccessModel::Presence,
            max_items: MaxItems::Count(1),
            send_last: SendLast::OnSubAndPresence,
            delivery: Delivery::Headline,
            ..NodeConfig::of_service(limits)
        }
    }

    /// Subscribers who are away get what they missed, as messages of type normal are kept.
    pub(crate) fn of_service(limits: Limits) -> NodeConfig {
        NodeConfig {
            title: String::new(),
            description: String::new(),
            payload_type: String::new(),
            access: AccessModel::Open,
            groups: Vec::new(),
            publish: PublishModel::Publishers,
            subscribe: true,
            persist: true,
            max_items: MaxItems::Max,
            full: NodeFull::RetractOldest,
            max_payload: limits.item_bytes,
            deliver: true,
            deliver_payloads: true,
            notify_config: false,
            notify_delete: true,
            notify_retract: false,
            send_last: SendLast::OnSub,
            delivery: Delivery::Normal,
            presence_based: false,
        }
    }

    /// Private, complete and silent: for what only the owner's clients read (XEP-0223).
    pub(crate) fn private(self) -> NodeConfig {
        NodeConfig {
            access: AccessModel::Whitelist,
            max_items: MaxItems::Max,
            send_last: SendLast::Never,
            ..self
        }
    }

    /// A submitted form; what it does not name stays, what is unknown is ignored (XEP-0004,
    /// section 3.2).
    pub(crate) fn apply(&mut self, form: &DataForm, limits: Limits) -> Result<(), Refusal> {
        for field in &form.fields {
            let Some(var) = field.var.as_deref() else { continue };
            match self.set(var, &field.values) {
                Ok(()) | Err(Unset::Unknown) => {}
                Err(Unset::Invalid) => return Err(invalid(var)),
            }
        }
        self.check(limits)
    }

    /// XEP-0060, section 7.1.5: what a node that is made by publishing is to be.
    pub(crate) fn apply_options(&mut self, form: &DataForm, limits: Limits) -> Result<(), Refusal> {
        for field in &form.fields {
            let Some(var) = field.var.as_deref().filter(|var| *var != "FORM_TYPE") else {
                continue;
            };
            match self.set(var, &field.values) {
                Ok(()) => {}
                Err(Unset::Unknown) => return Err(Refusal::PreconditionNotMet(var.to_owned())),
                Err(Unset::Invalid) => return Err(invalid(var)),
            }
        }
        self.check(limits)
    }

    /// The first field in which the node is not as it is asked to be.
    pub(crate) fn unmet(&self, form: &DataForm) -> Option<String> {
        let fields = form.fields.iter().filter_map(|field| Some((field.var.as_deref()?, field)));
        let mut asked = fields.filter(|(var, _)| *var != "FORM_TYPE");
        let unmet = asked.find(|(var, field)| {
            let mut wanted = self.clone();
            wanted.set(var, &field.values).is_err() || wanted != *self
        });
        unmet.map(|(var, _)| var.to_owned())
    }

    fn check(&self, limits: Limits) -> Result<(), Refusal> {
        if matches!(self.max_items, MaxItems::Count(count) if count > limits.items) {
            let text = format!("at most {} items", limits.items);
            return Err(Refusal::NotAcceptable(text));
        }
        if self.max_payload > limits.item_bytes {
            let text = format!("at most {} bytes in an item", limits.item_bytes);
            return Err(Refusal::NotAcceptable(text));
        }
        Ok(())
    }

    fn set(&mut self, var: &str, values: &[String]) -> Result<(), Unset> {
        let value = values.first().map(|value| value.trim()).unwrap_or_default();
        let Some(name) = var.strip_prefix("pubsub#") else {
            return if var == "FORM_TYPE" { Ok(()) } else { Err(Unset::Unknown) };
        };
        let text = || Ok(value.to_owned());
        match name {
            "title" => self.title = text()?,
            "description" => self.description = text()?,
            "type" => self.payload_type = text()?,
            "access_model" => self.access = AccessModel::of(value).ok_or(Unset::Invalid)?,
            "roster_groups_allowed" => {
                self.groups = values.iter().filter(|group| !group.is_empty()).cloned().collect();
            }
            "publish_model" => self.publish = PublishModel::of(value).ok_or(Unset::Invalid)?,
            "subscribe" => self.subscribe = boolean(value)?,
            "persist_items" => self.persist = boolean(value)?,
            "max_items" => self.max_items = MaxItems::of(value).ok_or(Unset::Invalid)?,
            "publish_node_full" => self.full = NodeFull::of(value).ok_or(Unset::Invalid)?,
            "max_payload_size" => {
                self.max_payload = value.parse().map_err(|_| Unset::Invalid)?;
            }
            "deliver_notifications" => self.deliver = boolean(value)?,
            "deliver_payloads" => self.deliver_payloads = boolean(value)?,
            "notify_config" => self.notify_config = boolean(value)?,
            "notify_delete" => self.notify_delete = boolean(value)?,
            "notify_retract" => self.notify_retract = boolean(value)?,
            "send_last_published_item" => {
                self.send_last = SendLast::of(value).ok_or(Unset::Invalid)?;
            }
            "notification_type" => self.delivery = Delivery::of(value).ok_or(Unset::Invalid)?,
            "presence_based_delivery" => self.presence_based = boolean(value)?,
            // Collections (XEP-0248) are not there.
            "node_type" if value == "leaf" => {}
            "node_type" => return Err(Unset::Invalid),
            _ => return Err(Unset::Unknown),
        }
        Ok(())
    }

    /// With labels and options, for an owner to fill in.
    pub(crate) fn form(&self) -> DataForm {
        self.fields().into_iter().fold(DataForm::typed(FormKind::Form, FORM_TYPE), DataForm::with)
    }

    /// For subscribers who are told of a change.
    pub(crate) fn result(&self) -> DataForm {
        self.fields().into_iter().fold(DataForm::typed(FormKind::Result, FORM_TYPE), DataForm::with)
    }

    fn fields(&self) -> Vec<Field> {
        let var = |name: &str| format!("pubsub#{name}");
        let text = |name: &str, label: &str, value: &str| {
            Field::text_single(var(name), label).with_value(value)
        };
        let flag = |name: &str, label: &str, value: bool| {
            Field::boolean(var(name), label).with_boolean(value)
        };
        let list = |name: &str, label: &str, options: &[(&str, &str)], value: &str| {
            let field = Field::list_single(var(name), label).with_value(value);
            options.iter().fold(field, |field, (value, label)| field.with_option(*label, *value))
        };
        let groups = Field::list_multi(var("roster_groups_allowed"), "Allowed roster groups");
        let groups = groups.with_values(self.groups.iter().cloned()).open();
        let leaf = [("leaf", "A node with items")];
        vec![
            text("title", "A short name", &self.title),
            text("description", "What it is about", &self.description),
            text("type", "Namespace of the payloads", &self.payload_type),
            list("node_type", "Kind of node", &leaf, "leaf"),
            list(
                "access_model",
                "Who may subscribe and retrieve items",
                AccessModel::ALL,
                self.access.value(),
            ),
            groups,
            list("publish_model", "Who may publish", PublishModel::ALL, self.publish.value()),
            flag("subscribe", "Whether to allow subscriptions", self.subscribe),
            flag("persist_items", "Whether to keep items", self.persist),
            text("max_items", "Items to keep, or max", &self.max_items.value()),
            list("publish_node_full", "When it is full", NodeFull::ALL, self.full.value()),
            text("max_payload_size", "Bytes of a payload", &self.max_payload.to_string()),
            flag("deliver_notifications", "Whether to notify", self.deliver),
            flag("deliver_payloads", "Whether to notify with payloads", self.deliver_payloads),
            flag("notify_config", "Notify when this changes", self.notify_config),
            flag("notify_delete", "Notify when the node is deleted", self.notify_delete),
            flag("notify_retract", "Notify when items are removed", self.notify_retract),
            list(
                "send_last_published_item",
                "When to send the last item",
                SendLast::ALL,
                self.send_last.value(),
            ),
            list("notification_type", "How to notify", Delivery::ALL, self.delivery.value()),
            flag("presence_based_delivery", "Notify available users only", self.presence_based),
        ]
    }

    /// As it is kept.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let bare =
            |field: Field| Field::untyped(field.var.unwrap_or_default()).with_values(field.values);
        let form = DataForm::typed(FormKind::Submit, FORM_TYPE);
        let form = self.fields().into_iter().map(bare).fold(form, DataForm::with);
        form.to_element().to_string().into()
    }

    /// What was kept, on top of the defaults of its place. Limits of today do not make what was
    /// allowed once unreadable.
    pub(crate) fn stored(mut self, stored: &[u8]) -> NodeConfig {
        let element = std::str::from_utf8(stored).ok().and_then(|xml| xml.parse::<Element>().ok());
        if let Some(Ok(form)) = element.map(|element| DataForm::parse(&element)) {
            for field in &form.fields {
                // Written by this program; a field of a newer one is left alone.
                let _ = self.set(field.var.as_deref().unwrap_or_default(), &field.values);
            }
        }
        self
    }
}

fn boolean(value: &str) -> Result<bool, Unset> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Unset::Invalid),
    }
}

fn invalid(var: &str) -> Refusal {
    match var {
        "pubsub#access_model" => Refusal::UnsupportedAccessModel,
        _ => Refusal::NotAcceptable(format!("{var} has a value that is not allowed")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { items: 100, item_bytes: 1000 };

    fn form(fields: &[(&str, &str)]) -> DataForm {
        fields.iter().fold(DataForm::typed(FormKind::Submit, FORM_TYPE), |form, (var, value)| {
            form.with(Field::untyped(format!("pubsub#{var}")).with_value(*value))
        })
    }

    #[test]
    fn what_is_kept_comes_back() {
        let mut config = NodeConfig::of_account(LIMITS);
        let fields = form(&[
            ("title", "A & B"),
            ("access_model", "roster"),
            ("max_items", "max"),
            ("publish_node_full", "reject"),
            ("notification_type", "normal"),
            ("notify_retract", "true"),
        ]);
        config.apply(&fields, LIMITS).unwrap();
        config.groups = vec!["Friends".to_owned(), "Family".to_owned()];
        let read = NodeConfig::of_service(LIMITS).stored(&config.to_bytes());
        assert_eq!(read, config);
        let shown = DataForm::parse(&config.form().to_element()).unwrap();
        assert_eq!(config.form().check(&shown), Ok(()));
    }

    proptest! {
        #[test]
        fn any_title_and_group_comes_back(
            title in "[^\\x00-\\x1f\\x{fffe}\\x{ffff}]{0,40}",
            groups in prop::collection::vec("[^\\x00-\\x1f\\x{fffe}\\x{ffff}]{1,20}", 0..4),
        ) {
            let title = title.trim().to_owned();
            let config = NodeConfig { title, groups, ..NodeConfig::of_account(LIMITS) };
            prop_assert_eq!(&NodeConfig::of_service(LIMITS).stored(&config.to_bytes()), &config);
        }
    }

    #[test]
    fn bad_values_are_named() {
        let apply = |var: &str, value: &str| {
            NodeConfig::of_account(LIMITS).apply(&form(&[(var, value)]), LIMITS)
        };
        assert_eq!(apply("access_model", "secret"), Err(Refusal::UnsupportedAccessModel));
        for (var, value) in [
            ("max_items", "0"),
            ("max_items", "101"),
            ("max_items", "many"),
            ("persist_items", "perhaps"),
            ("max_payload_size", "1001"),
            ("node_type", "collection"),
            ("send_last_published_item", ""),
        ] {
            assert!(matches!(apply(var, value), Err(Refusal::NotAcceptable(_))), "{var}={value}");
        }
        assert_eq!(apply("never_heard_of", "x"), Ok(()));
        assert_eq!(apply("max_items", "100"), Ok(()));
    }

    #[test]
    fn preconditions_hold_field_by_field() {
        let config = NodeConfig::of_account(LIMITS).private();
        let met = [("access_model", "whitelist"), ("max_items", "max"), ("persist_items", "true")];
        assert_eq!(config.unmet(&form(&met)), None);
        for (var, value) in
            [("access_model", "open"), ("max_items", "100"), ("never_heard_of", "1")]
        {
            let unmet = config.unmet(&form(&[met[0], (var, value)]));
            assert_eq!(unmet, Some(format!("pubsub#{var}")));
        }
        let mut config = NodeConfig::of_account(LIMITS);
        let unknown = config.apply_options(&form(&[("never_heard_of", "1")]), LIMITS);
        assert!(matches!(unknown, Err(Refusal::PreconditionNotMet(_))));
    }
}
