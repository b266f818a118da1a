//! Values of the header in another spelling, out of range, or with something of a path in them. The sender gateway signs
//! each, so that only the rule of the value refuses it.

use viereck_envelope::Refused;

use crate::case::Attacker::Sender;
use crate::case::Cases;
use crate::craft::content;
use crate::references::next_letter;
use crate::scene::Genuine;

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("values");
    let text = &genuine.text;
    let mut value = |element: &str, what: &str, value: &str, expected: Refused| {
        let from = format!("<{element}>{}<", content(text, element));
        let document = genuine.resigned(&from, &format!("<{element}>{value}<"));
        cases.add(Sender, format!("{element}: {what}"), document, expected);
    };
    let invalid = Refused::InvalidValue;

    for (what, instant) in [
        ("a leap second", "2026-03-02T09:59:60.500Z"),
        ("the hour 24", "2026-03-01T24:00:00.000Z"),
        ("an offset of nothing", "2026-03-02T09:59:59.500+00:00"),
        ("an offset", "2026-03-02T10:59:59.500+01:00"),
        ("a small z", "2026-03-02T09:59:59.500z"),
        ("a small t", "2026-03-02t09:59:59.500Z"),
        ("a space for the T", "2026-03-02 09:59:59.500Z"),
        ("no zone", "2026-03-02T09:59:59.500"),
        ("the zone by its name", "2026-03-02T09:59:59.500Z[UTC]"),
        ("no milliseconds", "2026-03-02T09:59:59Z"),
        ("microseconds", "2026-03-02T09:59:59.500000Z"),
        ("a comma", "2026-03-02T09:59:59,500Z"),
        ("no seconds", "2026-03-02T09:59Z"),
        ("a day that is none", "2026-02-30T09:59:59.500Z"),
        ("a year of two digits", "26-03-02T09:59:59.500Z"),
        ("a year of five digits", "10000-03-02T09:59:59.500Z"),
        ("a year before Christ", "-0001-03-02T09:59:59.500Z"),
        ("a year before 1970", "1969-12-31T23:59:59.999Z"),
        ("a week date", "2026-W10-1T09:59:59.500Z"),
        ("digits of another script", "２026-03-02T09:59:59.500Z"),
        ("seconds since 1970", "1772445599"),
        ("nothing", ""),
    ] {
        value("FiledAt", what, instant, invalid);
    }
    for (what, instant, expected) in [
        (
            "6 minutes ahead",
            "2026-03-02T10:06:00.123Z",
            Refused::WrongSignedProperties,
        ),
        (
            "before its Created",
            "2026-03-02T10:00:00.122Z",
            Refused::WrongSignedProperties,
        ),
    ] {
        value("Created", what, instant, expected);
    }
    for (what, instant) in [
        ("at Created", "2026-03-02T10:00:00.123Z"),
        ("before Created", "2026-03-01T10:00:00.000Z"),
        ("a millisecond beyond 90 days", "2026-05-31T10:00:00.124Z"),
        ("in a thousand years", "3026-03-02T10:00:00.000Z"),
        ("at the end of time", "9999-12-30T21:00:00.000Z"),
    ] {
        value("ObsoleteAfter", what, instant, Refused::ObsoleteAfterOutOfRange);
    }

    let id = content(text, "MessageID").to_owned();
    for (what, uuid) in [
        ("capitals", id.to_uppercase()),
        ("braces", format!("{{{id}}}")),
        ("a URN", format!("urn:uuid:{id}")),
        ("no hyphens", id.replace('-', "")),
        ("a space before it", format!(" {id}")),
        ("version 1", format!("{}1{}", &id[..14], &id[15..])),
        ("version 7", format!("{}7{}", &id[..14], &id[15..])),
        ("another variant", format!("{}c{}", &id[..19], &id[20..])),
        ("zeros", "00000000-0000-0000-0000-000000000000".to_owned()),
        ("ones", "ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned()),
        ("a path", format!("../{id}")),
        ("a digit too many", format!("{id}0")),
        ("a digit too few", id[..35].to_owned()),
        ("SQL", "' OR 1=1 --".to_owned()),
        ("a megabyte", "a".repeat(1 << 20)),
    ] {
        value("MessageID", what, &uuid, invalid);
    }
    value("Replaces", "nothing", "", invalid);
    value("InReplyTo", "nothing", "", invalid);
    value("ProcessRef", "a path", "../../etc/passwd", invalid);
    value(
        "ProcessRef",
        "capitals",
        &content(text, "ProcessRef").to_uppercase(),
        invalid,
    );

    for (element, what, to) in [
        ("Gateway", "a path", "../gw-sh-1"),
        ("Gateway", "capitals", "GW-SH-1"),
        ("Gateway", "a dot at the end", "gw-sh-1."),
        ("Gateway", "a space behind it", "gw-sh-1 "),
        ("Gateway", "nothing", ""),
        ("Gateway", "a word of the routing key", "gw.sh.1"),
        ("Gateway", "a pattern of the routing key", "#"),
        ("Author", "capitals", "WGP:010000000000"),
        ("Author", "no colon", "wgp010000000000"),
        ("Author", "a path", "wgp:../../etc"),
        (
            "Author",
            "a bar, which separates it from the id in the derivation",
            "wgp:010000000000|x",
        ),
        ("Author", "no digits", "wgp:"),
        ("Reader", "a digit too many", "wgb:0105408800000"),
        ("Reader", "two readers", "wgb:010540880000,wgb:010510440000"),
        ("Reader", "digits of another script", "wgb:01054088000０"),
        ("Reader", "a percent escape", "wgb%3A010540880000"),
        ("Service", "no URN", "99107023037000"),
        ("Service", "another URN", "urn:de:fim:leika:typ:99107023037000"),
        ("Service", "capitals", "URN:de:fim:leika:leistung:99107023037000"),
        ("Service", "letters", "urn:de:fim:leika:leistung:9910702303700x"),
        ("Region", "a letter", "0105x"),
        ("Region", "one digit", "0"),
        ("Region", "thirteen digits", "0105408800000"),
        ("Region", "nothing", ""),
        ("Region", "a sign", "+1054"),
        ("Environment", "another word", "staging"),
        ("Environment", "capitals", "TEST"),
        ("Kind", "another word", "order"),
        ("Kind", "two words", "application bescheid"),
        ("Kind", "nothing", ""),
    ] {
        value(element, what, to, invalid);
    }
    for profile in ["0", "01", "+1", "1.0", "1 ", "１", "999999999999999999999999", "-1", ""] {
        value("Profile", &format!("'{profile}'"), profile, Refused::UnknownProfile);
    }
    value("Environment", "the other one", "production", Refused::WrongEnvironment);

    let digest = content(text, "Commitment").to_owned();
    let mut letters: Vec<char> = digest.chars().collect();
    let last = letters.len() - 2;
    letters[last] = next_letter(letters[last]);
    for (what, to) in [
        ("another base64 of the same octets", letters.into_iter().collect()),
        ("no padding", digest.trim_end_matches('=').to_owned()),
        ("more padding", format!("{digest}=")),
        ("base64url", format!("-{}", &digest[1..])),
        ("a space", format!("{digest} ")),
        ("31 octets", format!("{}==", &digest[..42])),
        ("nothing", String::new()),
    ] {
        value("Commitment", what, &to, invalid);
        value("RoutingTable", what, &to, invalid);
    }

    let schema = "payloadSchema=\"urn:example:wohngeld:1\"";
    for (what, to, expected) in [
        (
            "an empty schema of the payload",
            "payloadSchema=\"\"",
            Refused::InvalidValue,
        ),
        ("no schema of the payload", "", Refused::NotCanonical),
        (
            "another attribute before the schema of the payload",
            "a=\"\" payloadSchema=\"urn:example:wohngeld:1\"",
            Refused::WrongAttribute,
        ),
    ] {
        cases.add(Sender, what, genuine.resigned(schema, to), expected);
    }
    let name = content(text, "MessageType").to_owned();
    cases.add(
        Sender,
        "an empty message type",
        genuine.resigned(&name, ""),
        Refused::InvalidValue,
    );
    elements(&mut cases, genuine);
    cases
}

/// Elements too many, too few, or in another order.
fn elements(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let gateway = format!("<Gateway>{}</Gateway>", content(text, "Gateway"));
    let author = format!("<Author>{}</Author>", content(text, "Author"));
    let reader = format!("<Reader>{}</Reader>", content(text, "Reader"));
    for (name, from, to, expected) in [
        (
            "two authors",
            author.clone(),
            format!("{author}{author}"),
            Refused::UnexpectedElement,
        ),
        (
            "two readers",
            reader.clone(),
            format!("{reader}<Reader>wgb:010510440000</Reader>"),
            Refused::UnexpectedElement,
        ),
        ("no author", author.clone(), String::new(), Refused::UnexpectedElement),
        (
            "the reader before the author",
            format!("{author}{reader}"),
            format!("{reader}{author}"),
            Refused::UnexpectedElement,
        ),
        ("no gateway", gateway, String::new(), Refused::UnexpectedElement),
        (
            "an element that nobody knows",
            "</Header>".to_owned(),
            "<More></More></Header>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a second environment",
            "<Kind>".to_owned(),
            "<Environment>production</Environment><Kind>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "elements within a value",
            "<Kind>application".to_owned(),
            "<Kind><Kind>application</Kind>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "an attribute on a value",
            "<Kind>".to_owned(),
            "<Kind a=\"b\">".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "external parts, which this profile has not",
            "</Header>".to_owned(),
            "<Parts><Part digest=\"\" n=\"1\" size=\"-1\"></Part></Parts></Header>".to_owned(),
            Refused::UnexpectedElement,
        ),
    ] {
        cases.add(Sender, name, genuine.resigned(&from, &to), expected);
    }
}
