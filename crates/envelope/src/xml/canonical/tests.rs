//! The one spelling of a document, what it is refused for, and that the form of a form is itself. That libxml2 finds the
//! same form is compared in the scenario `canonical_elsewhere`.

use proptest::prelude::*;

use super::*;

fn form(document: &str) -> Result<String, Uncanonical> {
    canonicalize(document.as_bytes(), None)
}

fn becomes(document: &str, expected: &str) {
    assert_eq!(form(document).as_deref(), Ok(expected), "{document}");
    assert_eq!(form(expected).as_deref(), Ok(expected), "the form itself");
}

#[test]
fn tags_have_one_spelling() {
    becomes("<a/>", "<a></a>");
    becomes("<a  b = '1'\n\tc=\"2\" />", "<a b=\"1\" c=\"2\"></a>");
    becomes("<a c='' b=''></a  >", "<a b=\"\" c=\"\"></a>");
    becomes("<a b='\"'/>", "<a b=\"&quot;\"></a>");
    becomes("<größe/>", "<größe></größe>");
}

#[test]
fn what_stands_around_the_root_is_dropped() {
    becomes(
        "\u{feff}<?xml version='1.0' encoding=\"utf-8\" standalone='no' ?>\r\n <a/> \n",
        "<a></a>",
    );
}

#[test]
fn text_and_values_have_one_spelling() {
    becomes("<a>&#38;&amp;&lt;&#x3C;></a>", "<a>&amp;&amp;&lt;&lt;&gt;</a>");
    becomes("<a>&quot;&apos;&#65;&#x00041;</a>", "<a>\"'AA</a>");
    becomes("<a><![CDATA[<&>]]>]<![CDATA[]]></a>", "<a>&lt;&amp;&gt;]</a>");
    becomes("<a>1\r\n2\r3\n4&#13;5&#xD;\t</a>", "<a>1\n2\n3\n4&#xD;5&#xD;\t</a>");
    becomes("<a><![CDATA[1\r\n2\r3]]></a>", "<a>1\n2\n3</a>");
    becomes("<a b='1\r\n2\r3\n4\t5'/>", "<a b=\"1 2 3 4 5\"></a>");
    becomes("<a b='&#13;&#10;&#9;&gt;>&apos;'/>", "<a b=\"&#xD;&#xA;&#x9;>>'\"></a>");
}

#[test]
fn namespaces_stand_where_they_are_first_used() {
    becomes(
        "<a xmlns:q='urn:q' xmlns:p='urn:p'><p:b/><q:c p:d='' e='' q:d=''><p:f/></q:c></a>",
        "<a><p:b xmlns:p=\"urn:p\"></p:b><q:c xmlns:p=\"urn:p\" xmlns:q=\"urn:q\" e=\"\" p:d=\"\" q:d=\"\">\
         <p:f></p:f></q:c></a>",
    );
    becomes(
        "<a xmlns='urn:u'><b xmlns=''><c xmlns=''/><d xmlns='urn:u'/></b><e xmlns='urn:u'/></a>",
        "<a xmlns=\"urn:u\"><b xmlns=\"\"><c></c><d xmlns=\"urn:u\"></d></b><e></e></a>",
    );
    // The default namespace is not used by an element with a prefix, so nothing takes it back before `d` does.
    becomes(
        "<a xmlns='urn:u' xmlns:p='urn:p'><p:b xmlns=''><p:c/><d/></p:b></a>",
        "<a xmlns=\"urn:u\"><p:b xmlns:p=\"urn:p\"><p:c></p:c><d xmlns=\"\"></d></p:b></a>",
    );
    becomes(
        "<p:a xmlns:p='urn:1'><p:b xmlns:p='urn:2'><p:c xmlns:p='urn:1'/></p:b></p:a>",
        "<p:a xmlns:p=\"urn:1\"><p:b xmlns:p=\"urn:2\"><p:c xmlns:p=\"urn:1\"></p:c></p:b></p:a>",
    );
    // Attributes are ordered by namespace and not by prefix.
    becomes(
        "<r xmlns:a='urn:z' xmlns:z='urn:a' a:x='' z:x='' x=''/>",
        "<r xmlns:a=\"urn:z\" xmlns:z=\"urn:a\" x=\"\" z:x=\"\" a:x=\"\"></r>",
    );
    becomes("<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>", "<a></a>");
}

#[test]
fn one_element_stands_alone_with_the_namespaces_it_uses() {
    let document = "<a xmlns='urn:u' xmlns:p='urn:p'><p:b Id='x&amp;y' p:q=''><c/></p:b><d Id='z'/></a>";
    let alone = "<p:b xmlns:p=\"urn:p\" Id=\"x&amp;y\" p:q=\"\"><c xmlns=\"urn:u\"></c></p:b>";
    assert_eq!(canonicalize(document.as_bytes(), Some("x&y")).as_deref(), Ok(alone));
    assert_eq!(
        canonicalize(document.as_bytes(), Some("z")).as_deref(),
        Ok("<d xmlns=\"urn:u\" Id=\"z\"></d>")
    );
    assert_eq!(canonicalize(document.as_bytes(), Some("y")), Err(Uncanonical::NoSuchId));
    for twice in ["<a><b Id='x'/><c Id='x'/></a>", "<a Id='x'><c Id='x'/></a>"] {
        assert_eq!(canonicalize(twice.as_bytes(), Some("x")), Err(Uncanonical::DuplicateId));
        assert!(canonicalize(twice.as_bytes(), None).is_ok());
    }
    // What stands behind the element is judged all the same.
    assert_eq!(
        canonicalize(b"<a><b Id='x'/><c></a>", Some("x")),
        Err(Uncanonical::NotWellFormed)
    );
}

#[test]
fn what_is_refused_is_refused_by_name() {
    use Uncanonical::*;
    for (document, reason) in [
        ("", NotWellFormed),
        (" ", NotWellFormed),
        ("<a>", NotWellFormed),
        ("<a/><b/>", NotWellFormed),
        ("<a></b>", NotWellFormed),
        ("a<a/>", NotWellFormed),
        ("<a/>&#32;", NotWellFormed),
        ("<a/><![CDATA[]]>", NotWellFormed),
        ("\u{feff}\u{feff}<a/>", NotWellFormed),
        (" <?xml version='1.0'?><a/>", NotWellFormed),
        ("<?xml version='2.0'?><a/>", NotWellFormed),
        ("<?xml version='1.0'encoding='UTF-8'?><a/>", NotWellFormed),
        ("<?xml standalone='yes'?><a/>", NotWellFormed),
        (
            "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>",
            NotWellFormed,
        ),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", NotUtf8),
        ("<a b='1'c='2'/>", NotWellFormed),
        ("<a b=1/>", NotWellFormed),
        ("<a b/>", NotWellFormed),
        ("<a b='<'/>", NotWellFormed),
        ("<a / >", NotWellFormed),
        ("< a/>", NotWellFormed),
        ("<1/>", NotWellFormed),
        ("<a\u{d7}/>", NotWellFormed),
        ("<a>]]></a>", NotWellFormed),
        ("<a>&b;</a>", NotWellFormed),
        ("<a>& </a>", NotWellFormed),
        ("<a>&#0;</a>", NotWellFormed),
        ("<a>&#xFFFE;</a>", NotWellFormed),
        ("<a>&#xD800;</a>", NotWellFormed),
        ("<a>&#+65;</a>", NotWellFormed),
        ("<a>&#X41;</a>", NotWellFormed),
        ("<a>\u{1}</a>", NotWellFormed),
        ("<a b=':' b=''/>", DuplicateAttribute),
        ("<a xmlns='urn:1' xmlns='urn:1'/>", DuplicateAttribute),
        ("<a xmlns:p='urn:1' xmlns:q='urn:1' p:b='' q:b=''/>", DuplicateAttribute),
        ("<p:a/>", UndeclaredPrefix),
        ("<a p:b=''/>", UndeclaredPrefix),
        ("<a><b xmlns:p='urn:p'/><p:c/></a>", UndeclaredPrefix),
        ("<a:b:c/>", NotNamespaceWellFormed),
        ("<a :b=''/>", NotNamespaceWellFormed),
        ("<a xmlns:p=''/>", NotNamespaceWellFormed),
        ("<a xmlns:xml='urn:x'/>", NotNamespaceWellFormed),
        (
            "<a xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>",
            NotNamespaceWellFormed,
        ),
        (
            "<a xmlns='http://www.w3.org/XML/1998/namespace'/>",
            NotNamespaceWellFormed,
        ),
        ("<xmlns:a/>", NotNamespaceWellFormed),
        ("<a xmlns='relative'/>", RelativeNamespace),
        ("<a xmlns='urn:&lt;'/>", RelativeNamespace),
        ("<a xmlns='http://host:port/'/>", RelativeNamespace),
        ("<a xml:lang='de'/>", XmlPrefix),
        ("<xml:a/>", XmlPrefix),
        ("<!DOCTYPE a><a/>", Doctype),
        ("<a><!-- --></a>", Comment),
        ("<a/><!-- -->", Comment),
        ("<a><?p?></a>", ProcessingInstruction),
    ] {
        assert_eq!(form(document), Err(reason), "{document}");
    }
    assert_eq!(canonicalize(b"<a>\xff</a>", None), Err(NotUtf8));
}

#[test]
fn limits_hold_for_what_comes_and_for_what_goes() {
    use Uncanonical::*;
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(form(&nested(32)).is_ok());
    assert_eq!(form(&nested(33)), Err(TooDeep));
    let many = |count: usize| format!("<r>{}</r>", "<a/>".repeat(count - 1));
    assert!(form(&many(limits::ELEMENTS)).is_ok());
    assert_eq!(form(&many(limits::ELEMENTS + 1)), Err(TooManyElements));
    let attributes = |count: usize| {
        let all: String = (0..count).map(|number| format!(" a{number}=''")).collect();
        format!("<a{all}/>")
    };
    assert!(form(&attributes(16)).is_ok());
    assert_eq!(form(&attributes(17)), Err(TagTooLarge));
    assert_eq!(form(&format!("<a b='{}'/>", "x".repeat(limits::TAG))), Err(TagTooLarge));
    // Escaped it is six times as long.
    assert_eq!(
        form(&format!("<a b='{}'/>", "\"".repeat(limits::TAG / 4))),
        Err(TagTooLarge)
    );
    // Each of these elements repeats a long declaration.
    let repeating = format!(
        "<r xmlns:p='urn:{}'>{}</r>",
        "x".repeat(10_000),
        "<p:a/>".repeat(10_000)
    );
    assert_eq!(form(&repeating), Err(TooLarge));
    assert_eq!(form(&format!("<a>{}</a>", " ".repeat(limits::DOCUMENT))), Err(TooLarge));
}

#[test]
fn every_reason_has_its_code() {
    let codes: std::collections::BTreeSet<_> = Uncanonical::ALL.iter().map(Uncanonical::code).collect();
    assert_eq!(codes.len(), Uncanonical::ALL.len());
}

proptest! {
    #[test]
    fn the_form_of_a_form_is_itself(text in "(<|</|/>|>|a|b|p:|q:|xmlns| |=|'|\"|&amp;|&#xD;|\r|\n|\t|<!\\[CDATA\\[|\\]\\]>|urn:|ü){0,24}") {
        for document in [text.clone(), format!("<a>{text}</a>"), format!("<a xmlns:p='urn:p' {text}></a>")] {
            if let Ok(canonical) = form(&document) {
                prop_assert_eq!(form(&canonical), Ok(canonical.clone()));
            }
        }
    }

    #[test]
    fn a_tree_in_any_spelling_has_a_form(tree in tree()) {
        let canonical = form(&tree).unwrap();
        prop_assert_eq!(form(&canonical), Ok(canonical.clone()));
    }
}

/// A document with namespaces, attributes and text in any spelling.
fn tree() -> impl Strategy<Value = String> {
    let text = "([a-z]|&lt;|&#13;|\r\n|\r|>|<!\\[CDATA\\[&<\\]\\]>){0,5}";
    let leaf = (name(), text).prop_map(|(name, text)| format!("<{name}>{text}</{name}>"));
    let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
        let declared = prop::sample::select(vec![
            "",
            " xmlns=''",
            " xmlns='urn:1'",
            " xmlns:p='urn:2'",
            " xmlns:q =\n\"urn:3\"",
        ]);
        let attribute = prop::sample::select(vec!["", " a='\t\"'", " p:a='&#10;'", "\tq:a=\"'\" a=''"]);
        (name(), declared, attribute, prop::collection::vec(inner, 0..4), text).prop_map(
            |(name, declared, attribute, inner, text)| {
                format!("<{name}{declared}{attribute}>{text}{}</{name} >", inner.concat())
            },
        )
    });
    tree.prop_map(|tree| format!("<r xmlns:p='urn:1' xmlns:q='urn:2'>{tree}</r>"))
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "p:a", "q:b"])
}
