//! The same document in another spelling. Canonicalization takes these differences away, so the genuine signature still
//! verifies in a verifier that canonicalizes: two programs may then read two documents out of one signature.

use viereck_envelope::Refused;

use crate::case::Attacker::{Path, Sender};
use crate::case::Cases;
use crate::craft::{change, element};
use crate::scene::Genuine;

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("spelling");
    let text = &genuine.text;
    let mut case = |name: &str, from: &str, to: &str, expected| cases.add(Path, name, change(text, from, to), expected);

    // tags
    let own = "<Envelope xmlns=\"urn:viereck:envelope:1\">";
    let transform = element(text, "ds:Transform").to_owned();
    let short = change(&transform, "></ds:Transform>", "/>");
    case("an empty element in one tag", &transform, &short, Refused::NotCanonical);
    case(
        "white space at the end of a start tag",
        "<Profile>",
        "<Profile >",
        Refused::NotCanonical,
    );
    case(
        "white space in an end tag",
        "</Profile>",
        "</Profile >",
        Refused::NotCanonical,
    );
    case(
        "a line feed in an end tag",
        "</Header>",
        "</Header\n>",
        Refused::NotCanonical,
    );
    case(
        "a line feed between attributes",
        " Id=\"header\"",
        "\nId=\"header\"",
        Refused::NotCanonical,
    );
    case(
        "a tab between attributes",
        " Id=\"header\"",
        "\tId=\"header\"",
        Refused::NotCanonical,
    );
    case(
        "two spaces between attributes",
        " Id=\"header\"",
        "  Id=\"header\"",
        Refused::NotCanonical,
    );
    case(
        "spaces around the equals sign",
        " Id=\"header\"",
        " Id = \"header\"",
        Refused::NotCanonical,
    );
    case("single quotes", " Id=\"header\"", " Id='header'", Refused::NotCanonical);
    case(
        "attributes in another order",
        "Id=\"ref-header\" URI=\"#header\"",
        "URI=\"#header\" Id=\"ref-header\"",
        Refused::NotCanonical,
    );
    case(
        "a declaration behind an attribute",
        "<Header xmlns=\"urn:viereck:envelope:1\" Id=\"header\">",
        "<Header Id=\"header\" xmlns=\"urn:viereck:envelope:1\">",
        Refused::NotCanonical,
    );

    // namespaces
    let ds = "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
    case(
        "a redundant declaration of the default namespace",
        "<Profile>",
        "<Profile xmlns=\"urn:viereck:envelope:1\">",
        Refused::NotCanonical,
    );
    case(
        "a redundant declaration of a prefix",
        "<ds:KeyInfo><ds:X509Data>",
        &format!("<ds:KeyInfo {ds}><ds:X509Data>"),
        Refused::NotCanonical,
    );
    case(
        "a declaration that nobody uses on the root",
        own,
        &change(own, ">", &format!(" {ds}>")),
        Refused::NotCanonical,
    );
    case(
        "a declaration that nobody uses in the header",
        "<Profile>",
        &format!("<Profile {ds}>"),
        Refused::NotCanonical,
    );
    case(
        "a declaration inherited instead of repeated",
        "<Header xmlns=\"urn:viereck:envelope:1\" ",
        "<Header ",
        Refused::NotCanonical,
    );
    case(
        "a declaration of SignedInfo inherited",
        &format!("<ds:SignedInfo {ds}>"),
        "<ds:SignedInfo>",
        Refused::NotCanonical,
    );
    case(
        "the xml prefix declared",
        own,
        &change(own, ">", " xmlns:xml=\"http://www.w3.org/XML/1998/namespace\">"),
        Refused::Namespace,
    );
    case(
        "the xml prefix declared on the header",
        "<Header xmlns=\"urn:viereck:envelope:1\"",
        "<Header xmlns=\"urn:viereck:envelope:1\" xmlns:xml=\"http://www.w3.org/XML/1998/namespace\"",
        Refused::Namespace,
    );
    case(
        "the xmlns prefix declared",
        own,
        &change(own, ">", " xmlns:xmlns=\"http://www.w3.org/2000/xmlns/\">"),
        Refused::Namespace,
    );
    case(
        "an unknown prefix declared and unused",
        own,
        &change(own, ">", " xmlns:x=\"urn:x\">"),
        Refused::Namespace,
    );
    case(
        "our namespace declared for no prefix",
        own,
        &change(own, "xmlns=", "xmlns:="),
        Refused::NotWellFormed,
    );
    case(
        "a declaration of no prefix",
        own,
        &change(own, ">", " xmlns:=\"urn:x\">"),
        Refused::NotWellFormed,
    );
    case(
        "another prefix for a known namespace",
        "<Header xmlns=\"urn:viereck:envelope:1\"",
        "<v:Header xmlns:v=\"urn:viereck:envelope:1\"",
        Refused::Namespace,
    );
    case(
        "a known prefix for another namespace",
        ds,
        "xmlns:ds=\"urn:x\"",
        Refused::Namespace,
    );
    case(
        "a relative namespace",
        own,
        &change(own, "urn:viereck:envelope:1", "envelope"),
        Refused::Namespace,
    );
    case(
        "a namespace with an escape",
        own,
        &change(own, "urn:viereck", "urn:&#118;iereck"),
        Refused::Reference,
    );
    case(
        "a namespace with a space",
        own,
        &change(own, "envelope:1", "envelope:1 "),
        Refused::Namespace,
    );
    case(
        "a namespace in capitals",
        own,
        &change(own, "urn:viereck", "URN:viereck"),
        Refused::Namespace,
    );
    case(
        "the default namespace taken away",
        "<Profile>",
        "<Profile xmlns=\"\">",
        Refused::Namespace,
    );
    case(
        "a prefix taken away",
        "<Profile>",
        "<Profile xmlns:ds=\"\">",
        Refused::Namespace,
    );
    case(
        "the same declaration twice",
        own,
        &change(own, ">", " xmlns=\"urn:viereck:envelope:1\">"),
        Refused::DuplicateAttribute,
    );
    case(
        "an attribute of a namespace",
        "<Profile>",
        &format!("<Profile {ds} ds:Id=\"x\">"),
        Refused::PrefixedAttribute,
    );
    case(
        "a language",
        "<Profile>",
        "<Profile xml:lang=\"de\">",
        Refused::PrefixedAttribute,
    );
    case(
        "a base",
        own,
        &change(own, ">", " xml:base=\"http://127.0.0.1:1/\">"),
        Refused::PrefixedAttribute,
    );
    case(
        "white space to be kept",
        own,
        &change(own, ">", " xml:space=\"preserve\">"),
        Refused::PrefixedAttribute,
    );
    case(
        "a place of a schema",
        own,
        &change(
            own,
            ">",
            " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:noNamespaceSchemaLocation=\"http://127.0.0.1:1/\">",
        ),
        Refused::Namespace,
    );

    // text
    case(
        "a comment before the root",
        own,
        &format!("<!-- -->{own}"),
        Refused::Comment,
    );
    case(
        "a comment behind the root",
        "</Envelope>",
        "</Envelope><!-- -->",
        Refused::Comment,
    );
    case(
        "a comment that splits a value",
        "<Kind>application",
        "<Kind>app<!-- -->lication",
        Refused::Comment,
    );
    case(
        "a comment that ends a value early",
        "<Reader>wgb:010540880000",
        "<Reader>wgb:010540880000<!--",
        Refused::NotWellFormed,
    );
    case(
        "a comment behind a value",
        "<Reader>wgb:010540880000",
        "<Reader>wgb:010540880000<!--x-->",
        Refused::Comment,
    );
    case(
        "a comment that splits the base64 of a ciphertext",
        "<xenc:CipherValue>",
        "<xenc:CipherValue><!---->",
        Refused::Comment,
    );
    case(
        "a comment within SignedInfo",
        "<ds:SignatureMethod ",
        "<!-- --><ds:SignatureMethod ",
        Refused::Comment,
    );
    case(
        "a comment within a certificate",
        "<ds:X509Certificate>",
        "<ds:X509Certificate><!-- -->",
        Refused::Comment,
    );
    case(
        "a CDATA section as a value",
        "<Kind>application</Kind>",
        "<Kind><![CDATA[application]]></Kind>",
        Refused::Cdata,
    );
    case(
        "a CDATA section that splits a value",
        "<Kind>application",
        "<Kind>app<![CDATA[lication]]>",
        Refused::Cdata,
    );
    case(
        "an empty CDATA section in a value",
        "<Kind>application",
        "<Kind>app<![CDATA[]]>lication",
        Refused::Cdata,
    );
    case(
        "a CDATA section that hides an element",
        "<Region>01054</Region>",
        "<![CDATA[<Region>01054</Region>]]>",
        Refused::Cdata,
    );
    case(
        "the end of a CDATA section in a value",
        "<Kind>application",
        "<Kind>application]]>",
        Refused::NotCanonical,
    );
    case(
        "a processing instruction before the root",
        own,
        &format!("<?a b?>{own}"),
        Refused::ProcessingInstruction,
    );
    case(
        "a processing instruction in a value",
        "<Kind>application",
        "<Kind>app<?a?>lication",
        Refused::ProcessingInstruction,
    );
    case(
        "a style sheet",
        own,
        &format!("<?xml-stylesheet href=\"http://127.0.0.1:1/\"?>{own}"),
        Refused::ProcessingInstruction,
    );
    case(
        "a decimal character reference",
        "<Kind>application",
        "<Kind>&#97;pplication",
        Refused::Reference,
    );
    case(
        "a hexadecimal character reference",
        "<Kind>application",
        "<Kind>&#x61;pplication",
        Refused::Reference,
    );
    case(
        "a character reference with zeros before it",
        "<Kind>application",
        "<Kind>&#0000097;pplication",
        Refused::Reference,
    );
    case(
        "a carriage return by a decimal reference",
        "<Kind>application",
        "<Kind>application&#13;",
        Refused::Reference,
    );
    case(
        "a carriage return by a small reference",
        "<Kind>application",
        "<Kind>application&#xd;",
        Refused::Reference,
    );
    case(
        "a reference to NUL",
        "<Kind>application",
        "<Kind>application&#0;",
        Refused::Reference,
    );
    case(
        "a reference to a surrogate",
        "<Kind>application",
        "<Kind>application&#xD800;",
        Refused::Reference,
    );
    case(
        "a reference beyond Unicode",
        "<Kind>application",
        "<Kind>application&#x110000;",
        Refused::Reference,
    );
    case(
        "a reference that does not end",
        "<Kind>application",
        "<Kind>application&amp",
        Refused::NotWellFormed,
    );
    case(
        "a bare ampersand",
        "<Kind>application",
        "<Kind>appli&cation",
        Refused::NotWellFormed,
    );
    case("a raw greater-than sign", "&lt;1&gt;", "&lt;1>", Refused::NotCanonical);
    case(
        "a quotation mark that is escaped for nothing",
        "Größe",
        "&quot;Größe",
        Refused::Reference,
    );
    case(
        "an apostrophe that is escaped for nothing",
        "Größe",
        "&apos;Größe",
        Refused::Reference,
    );
    case(
        "an escape within an attribute",
        "payloadSchema=\"urn",
        "payloadSchema=\"&#x75;rn",
        Refused::Reference,
    );
    case(
        "a tab within an attribute",
        "payloadSchema=\"urn",
        "payloadSchema=\"\turn",
        Refused::NotCanonical,
    );
    case(
        "a line feed within an attribute",
        "payloadSchema=\"urn",
        "payloadSchema=\"\nurn",
        Refused::NotCanonical,
    );
    case(
        "white space between elements",
        "</Profile>",
        "</Profile>\n ",
        Refused::UnexpectedText,
    );
    case(
        "white space within SignedInfo",
        "</ds:CanonicalizationMethod>",
        "</ds:CanonicalizationMethod>\n",
        Refused::UnexpectedText,
    );
    case(
        "white space between header and content",
        "</Header>",
        "</Header>\n",
        Refused::UnexpectedText,
    );
    case(
        "white space within the signature",
        "</ds:SignedInfo>",
        "</ds:SignedInfo>\n",
        Refused::UnexpectedText,
    );
    case(
        "white space within the unsigned object",
        "<ds:Object>",
        "<ds:Object>\n",
        Refused::UnexpectedText,
    );
    case(
        "text between the elements of the root",
        "<ds:Signature ",
        "text<ds:Signature ",
        Refused::UnexpectedText,
    );
    case(
        "a line feed behind the root",
        "</Envelope>",
        "</Envelope>\n",
        Refused::UnexpectedText,
    );
    case(
        "a line feed before the root",
        own,
        &format!("\n{own}"),
        Refused::UnexpectedText,
    );
    case(
        "text behind the root",
        "</Envelope>",
        "</Envelope>text",
        Refused::UnexpectedText,
    );
    case(
        "an XML declaration",
        own,
        &format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{own}"),
        Refused::XmlDeclaration,
    );
    case(
        "an XML declaration of version 1.1",
        own,
        &format!("<?xml version=\"1.1\"?>{own}"),
        Refused::XmlDeclaration,
    );
    case(
        "an XML declaration in the middle",
        "<Header ",
        "<?xml version=\"1.0\"?><Header ",
        Refused::XmlDeclaration,
    );
    case("crossed end tags", "</Kind>", "</Created>", Refused::NotWellFormed);
    case(
        "an end tag too many",
        "</Envelope>",
        "</Envelope></Envelope>",
        Refused::NotWellFormed,
    );
    case(
        "an attribute without quotes",
        " Id=\"header\"",
        " Id=header",
        Refused::NotWellFormed,
    );
    case(
        "an attribute without a value",
        " Id=\"header\"",
        " Id",
        Refused::NotWellFormed,
    );
    case(
        "a less-than sign within an attribute",
        "payloadSchema=\"urn",
        "payloadSchema=\"<urn",
        Refused::NotWellFormed,
    );
    case(
        "an element of no name",
        "<Profile>",
        "<><Profile>",
        Refused::NotWellFormed,
    );
    case(
        "an element with two colons",
        "<Kind>application</Kind>",
        "<ds:a:Kind>application</ds:a:Kind>",
        Refused::NotWellFormed,
    );

    // signed by the sender in a spelling that is not canonical: what is hashed is what is sent, so it must be one spelling
    for (name, from, to, expected) in [
        (
            "signed with a character reference in a value",
            "<Kind>application",
            "<Kind>&#97;pplication",
            Refused::Reference,
        ),
        (
            "signed with a comment in a value",
            "<Kind>application",
            "<Kind>application<!---->",
            Refused::Comment,
        ),
        (
            "signed with an empty element in one tag",
            transform.as_str(),
            short.as_str(),
            Refused::NotCanonical,
        ),
        (
            "signed with a redundant declaration",
            "<Profile>",
            "<Profile xmlns=\"urn:viereck:envelope:1\">",
            Refused::NotCanonical,
        ),
        (
            "signed with white space between elements",
            "<Kind>",
            "\n<Kind>",
            Refused::UnexpectedText,
        ),
        (
            "signed with single quotes",
            " Id=\"content\"",
            " Id='content'",
            Refused::NotCanonical,
        ),
    ] {
        let changed = change(text, from, to);
        let signed = if name.contains("quotes") {
            changed
        } else {
            genuine.signed(&changed)
        };
        cases.add(Sender, name, signed, expected);
    }
    cases
}
