use proptest::prelude::*;

use super::*;
use crate::payload::dom::el;

fn form(kind: &str, children: &str) -> DataForm {
    let x = format!("<x xmlns='jabber:x:data' type='{kind}'>{children}</x>");
    DataForm::parse(&el(&x)).expect(children)
}

/// The fields of XEP-0004 example 2.
fn bot() -> DataForm {
    DataForm::typed(FormKind::Form, "jabber:bot")
        .with_title("Bot Configuration")
        .with_instructions("Fill out this form to configure your new bot!")
        .with(Field::fixed("Section 1: Bot Info"))
        .with(Field::text_single("botname", "The name of your bot"))
        .with(Field::text_multi("description", "Helpful description of your bot"))
        .with(Field::boolean("public", "Public bot?").required())
        .with(
            Field::list_multi("features", "What features will the bot support?")
                .with_option("News", "news")
                .with_option("Search", "search")
                .with_values(["news", "search"]),
        )
        .with(
            Field::list_single("maxsubs", "Maximum number of subscribers")
                .with_value("20")
                .with_option("10", "10")
                .with_option("20", "20"),
        )
        .with(Field::jid_multi("invitelist", "People to invite").with_desc("Tell all your friends"))
}

#[test]
fn round_trip() {
    let x = bot().to_element();
    assert_eq!(DataForm::parse(&x), Ok(bot()));
    let field = el(
        "<field xmlns='jabber:x:data' type='list-single' label='Maximum number of subscribers' var='maxsubs'>\
         <value>20</value><option label='10'><value>10</value></option><option label='20'><value>20</value></option></field>",
    );
    assert!(x.children().any(|c| *c == field));
}

#[test]
fn table_of_results() {
    let x = el("<x xmlns='jabber:x:data' type='result'><title>Search</title>\
         <reported><field var='name'/><field var='url'/></reported>\
         <item><field var='name'><value>a</value></field><field var='url'><value>b</value></field></item>\
         <item><field var='name'><value>c</value></field><field var='url'/></item></x>");
    let table = DataForm::parse(&x).unwrap();
    assert_eq!(table.reported.len(), 2);
    assert_eq!(table.items[1][0].values, ["c"]);
    assert_eq!(table.to_element(), x);
}

#[test]
fn lenient() {
    let odd = form(
        "submit",
        "text<new-thing/><field var='a' type='holographic' y='z'><value/><z/></field><other xmlns='urn:o'/>",
    );
    assert_eq!(odd.field("a").unwrap().kind, Some(FieldKind::TextSingle));
    assert_eq!(odd.value("a"), None);
    assert_eq!(odd.value("b"), None);
}

#[test]
fn refused() {
    for x in [
        "<x xmlns='jabber:x:data'/>",
        "<x xmlns='jabber:x:data' type='error'/>",
        "<x xmlns='jabber:x:other' type='form'/>",
        "<x xmlns='jabber:x:data' type='form'><field/></x>",
        "<x xmlns='jabber:x:data' type='form'><field var='a'><option label='b'/></field></x>",
    ] {
        assert!(DataForm::parse(&el(x)).is_err(), "{x}");
    }
}

#[test]
fn typed_getters() {
    let read = form(
        "submit",
        "<field var='FORM_TYPE'><value>t</value></field>\
         <field var='yes'><value>1</value></field><field var='no'><value>false</value></field>\
         <field var='bad'><value>maybe</value></field><field var='unset'><value/></field>\
         <field var='n'><value> 42 </value></field>\
         <field var='text'><value>a</value><value>b</value></field>\
         <field var='jids'><value>A@b</value><value>a@B</value><value/><value>c</value></field>\
         <field var='badjids'><value>@</value></field>",
    );
    assert_eq!(read.form_type(), Some("t"));
    assert_eq!(read.boolean("yes"), Ok(Some(true)));
    assert_eq!(read.boolean("no"), Ok(Some(false)));
    assert_eq!(read.boolean("unset"), Ok(None));
    assert_eq!(read.boolean("absent"), Ok(None));
    assert_eq!(read.boolean("bad"), Err(PayloadError::Invalid("bad")));
    assert_eq!(read.parsed("n"), Ok(Some(42_u8)));
    assert_eq!(read.parsed::<u8>("bad"), Err(PayloadError::Invalid("bad")));
    assert_eq!(read.lines("text").as_deref(), Some("a\nb"));
    assert_eq!(read.lines("absent"), None);
    let jids = read.jids("jids").unwrap();
    assert_eq!(jids.iter().map(Jid::as_str).collect::<Vec<_>>(), ["a@b", "c"]);
    assert_eq!(read.jids("badjids"), Err(PayloadError::Invalid("badjids")));
}

#[test]
fn checked_against_the_form() {
    let check = |children: &str| bot().check(&form("submit", children));
    let public = "<field var='public'><value>true</value></field>";
    let with = |more: &str| check(&format!("{public}{more}"));
    assert_eq!(with(""), Ok(()));
    assert_eq!(with("<field var='unknown'><value>x</value></field>"), Ok(()));
    assert_eq!(with("<field var='maxsubs'><value>10</value></field>"), Ok(()));
    assert_eq!(with("<field var='maxsubs'><value/></field>"), Ok(()));
    let wrong = |var: &str| Err(var.to_owned());
    assert_eq!(check(""), wrong("public"));
    assert_eq!(check("<field var='public'><value/></field>"), wrong("public"));
    assert_eq!(check("<field var='public'><value>x</value></field>"), wrong("public"));
    for (var, values) in [
        ("maxsubs", &["15"][..]),
        ("maxsubs", &["10", "20"]),
        ("features", &["news", "golf"]),
        ("invitelist", &["a@b", "@"]),
        ("botname", &["a", "b"]),
    ] {
        let field = Field::untyped(var).with_values(values.iter().copied());
        let submission = form("submit", public).with(field);
        assert_eq!(bot().check(&submission), wrong(var));
    }
}

#[test]
fn open_lists_take_anything() {
    let asked = DataForm::new(FormKind::Form).with(Field::list_multi("ids", "Ids").open());
    let asked = DataForm::parse(&asked.to_element()).unwrap();
    let given = DataForm::new(FormKind::Submit).with(Field::untyped("ids").with_value("x"));
    assert_eq!(asked.check(&given), Ok(()));
}

proptest! {
    #[test]
    fn any_text_survives(var in "[a-z{}:/#]{1,12}", values in proptest::collection::vec("[ -~é🤖]{0,12}", 0..4)) {
        let built = DataForm::typed(FormKind::Submit, "t").with(Field::untyped(var).with_values(values));
        let text = built.to_element().to_string();
        let read = DataForm::parse(&el(&text)).expect("own output");
        prop_assert_eq!(read, built);
    }
}
