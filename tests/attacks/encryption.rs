//! The encrypted content: algorithms, the form of it, who it is for. Where the form is right, the sender signs, so that only
//! decrypting stands between the change and the reader.

mod ciphertexts;
mod wrapped_key;

use viereck_envelope::{OpenError, Refused};

use crate::case::Attacker::Sender;
use crate::case::Cases;
use crate::craft::{attribute, change, content, element, restate_binding};
use crate::scene::{Genuine, OTHER_READER, READER};

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("encryption");
    algorithms(&mut cases, genuine);
    structure(&mut cases, genuine);
    ciphertexts::add(&mut cases, genuine);
    recipients(&mut cases, genuine);
    wrapped_key::add(&mut cases, genuine);
    cases
}

fn algorithms(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let data = attribute(element(text, "xenc:EncryptionMethod"), "Algorithm").to_owned();
    for (name, algorithm) in [
        ("AES-256-CBC", "http://www.w3.org/2001/04/xmlenc#aes256-cbc"),
        ("AES-128-GCM", "http://www.w3.org/2009/xmlenc11#aes128-gcm"),
        ("AES-192-GCM", "http://www.w3.org/2009/xmlenc11#aes192-gcm"),
        ("Triple DES", "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"),
        ("a key wrap", "http://www.w3.org/2001/04/xmlenc#kw-aes256"),
        ("nothing", ""),
    ] {
        let changed = genuine.resigned(&format!("\"{data}\""), &format!("\"{algorithm}\""));
        cases.add(
            Sender,
            format!("the manifest encrypted by {name}"),
            changed,
            Refused::AlgorithmNotAllowed,
        );
    }
    let last = text.rfind(&data).unwrap();
    let cbc = format!(
        "{}http://www.w3.org/2001/04/xmlenc#aes256-cbc{}",
        &text[..last],
        &text[last + data.len()..]
    );
    cases.add(
        Sender,
        "the last file encrypted by AES-256-CBC",
        genuine.signed(&cbc),
        Refused::AlgorithmNotAllowed,
    );
    let key = element(text, "xenc:EncryptedKey");
    let wrap = attribute(element(key, "xenc:EncryptionMethod"), "Algorithm").to_owned();
    for (name, algorithm) in [
        ("RSA of PKCS#1 v1.5", "http://www.w3.org/2001/04/xmlenc#rsa-1_5"),
        ("RSA-OAEP with SHA-1", "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"),
        ("AES-128 key wrap", "http://www.w3.org/2001/04/xmlenc#kw-aes128"),
        ("Triple DES key wrap", "http://www.w3.org/2001/04/xmlenc#kw-tripledes"),
        (
            "AES-256 key wrap with padding",
            "http://www.w3.org/2009/xmlenc11#kw-aes-256-pad",
        ),
        ("no algorithm", ""),
    ] {
        let changed = change(key, &wrap, algorithm);
        cases.add(
            Sender,
            format!("the key wrapped by {name}"),
            genuine.resigned(key, &changed),
            Refused::AlgorithmNotAllowed,
        );
    }
}

fn structure(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let key = element(text, "xenc:EncryptedKey").to_owned();
    let second = key.replace(" Id=\"", " Id=\"second-");
    let data = text[text.find("<xenc:EncryptedData").unwrap()..]
        .split_inclusive("</xenc:EncryptedData>")
        .next()
        .unwrap()
        .to_owned();
    let method = "<xenc:EncryptionMethod ";
    let value = element(text, "xenc:CipherValue").to_owned();
    for (name, from, to, expected) in [
        ("no encrypted key", key.as_str(), String::new(), Refused::MissingElement),
        (
            "a second encrypted key",
            &key,
            format!("{key}{second}"),
            Refused::UnexpectedElement,
        ),
        (
            "a second encrypted key before the first",
            &key,
            format!("{second}{key}"),
            Refused::WrongKeyBinding,
        ),
        (
            "an encrypted key beside the encrypted data",
            "</Content>",
            format!(
                "{}</Content>",
                second.replace(
                    "<xenc:EncryptedKey ",
                    "<xenc:EncryptedKey xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" "
                )
            ),
            Refused::UnexpectedElement,
        ),
        ("no manifest", &data, String::new(), Refused::UnexpectedElement),
        (
            "the manifest behind the files",
            &data,
            String::new(),
            Refused::UnexpectedElement,
        ),
        (
            "no content",
            content(text, "Content"),
            String::new(),
            Refused::MissingElement,
        ),
        (
            "a type of the encrypted data",
            "<xenc:EncryptedData ",
            "<xenc:EncryptedData Type=\"http://www.w3.org/2001/04/xmlenc#Element\" ".to_owned(),
            Refused::NotCanonical,
        ),
        (
            "a media type of the encrypted data",
            "xmlenc#\"><xenc:EncryptionMethod",
            "xmlenc#\" MimeType=\"text/html\"><xenc:EncryptionMethod".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "an Id of the encrypted data",
            "xmlenc#\"><xenc:EncryptionMethod",
            "xmlenc#\" Id=\"data\"><xenc:EncryptionMethod".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a size of the key",
            "aes256-gcm\"></xenc:EncryptionMethod>",
            "aes256-gcm\"><xenc:KeySize>128</xenc:KeySize></xenc:EncryptionMethod>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "no method",
            method,
            "<xenc:Method ".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a ciphertext somewhere else",
            value.as_str(),
            "<xenc:CipherReference URI=\"cid:part-1\"></xenc:CipherReference>".to_owned(),
            Refused::ExternalReference,
        ),
        (
            "a ciphertext at a host",
            value.as_str(),
            "<xenc:CipherReference URI=\"http://127.0.0.1:1/\"></xenc:CipherReference>".to_owned(),
            Refused::ExternalReference,
        ),
        (
            "a ciphertext in a file behind the real one",
            "</xenc:CipherValue>",
            "</xenc:CipherValue><xenc:CipherReference URI=\"file:///etc/hosts\"></xenc:CipherReference>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "two ciphertexts in one",
            value.as_str(),
            format!("{value}{value}"),
            Refused::UnexpectedElement,
        ),
        (
            "encryption properties",
            "</xenc:CipherData></xenc:EncryptedData>",
            "</xenc:CipherData><xenc:EncryptionProperties></xenc:EncryptionProperties></xenc:EncryptedData>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a list of what the key is for",
            "</xenc:CipherData></xenc:EncryptedKey>",
            "</xenc:CipherData><xenc:ReferenceList></xenc:ReferenceList></xenc:EncryptedKey>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a carried name of the key",
            "</xenc:CipherData></xenc:EncryptedKey>",
            "</xenc:CipherData><xenc:CarriedKeyName>k</xenc:CarriedKeyName></xenc:EncryptedKey>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a name of the key before it",
            "<xenc:EncryptedKey ",
            "<ds:KeyName>k</ds:KeyName><xenc:EncryptedKey ".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a file whose key is somewhere else",
            "URI=\"#key\"",
            "URI=\"http://127.0.0.1:1/\"".to_owned(),
            Refused::ExternalReference,
        ),
        (
            "a file whose key is the signature",
            "URI=\"#key\"",
            "URI=\"#signature\"".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a file whose key is nothing",
            "URI=\"#key\"",
            "URI=\"#\"".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a file whose key is of another type",
            "Type=\"http://www.w3.org/2001/04/xmlenc#EncryptedKey\"",
            "Type=\"http://www.w3.org/2001/04/xmlenc#DerivedKey\"".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a retrieval with a transform",
            "URI=\"#key\">",
            "URI=\"#key\"><ds:Transforms></ds:Transforms>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "an encrypted element within the header",
            "</Header>",
            format!("{data}</Header>"),
            Refused::UnexpectedElement,
        ),
        (
            "plain text beside the ciphertexts",
            "</Content>",
            "<Plain></Plain></Content>".to_owned(),
            Refused::UnexpectedElement,
        ),
    ] {
        if name == "the manifest behind the files" {
            let moved = change(&change(text, &data, ""), "</Content>", &format!("{data}</Content>"));
            cases.add(Sender, name, genuine.signed(&moved), expected);
        } else {
            cases.add(Sender, name, genuine.signed(&change(text, from, &to)), expected);
        }
    }
}

fn recipients(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let recipient = format!("Recipient=\"{READER}\"");
    for (name, to, expected) in [
        (
            "a key for another recipient",
            format!("Recipient=\"{OTHER_READER}\""),
            Refused::WrongKeyBinding,
        ),
        (
            "a key for no recipient",
            "Recipient=\"\"".to_owned(),
            Refused::WrongKeyBinding,
        ),
        (
            "a key for a recipient in capitals",
            recipient.to_uppercase().replace("RECIPIENT", "Recipient"),
            Refused::WrongKeyBinding,
        ),
        ("a key without a recipient", String::new(), Refused::NotCanonical),
        (
            "a key of another Id",
            format!("Recipient=\"{READER}\""),
            Refused::WrongKeyBinding,
        ),
    ] {
        let changed = match name {
            "a key of another Id" => change(text, "Id=\"key\"", "Id=\"other\""),
            _ => change(text, &recipient, &to),
        };
        cases.add(Sender, name, genuine.signed(&changed), expected);
    }
    let named = content(text, "dsig11:X509Digest").to_owned();
    let unknown = scene.stranger.certificate.sha256();
    // who is named is bound into the derivation, so a change shows before anybody looks for a key
    let other = scene.other_reader.certificate.sha256();
    for (name, digest) in [
        ("a key for an unknown certificate", unknown),
        ("a key for the certificate of another reader", other),
    ] {
        cases.add(
            Sender,
            name,
            genuine.resigned(&named, &digest.to_base64()),
            Refused::WrongKeyBinding,
        );
        let rebound = restate_binding(&change(text, &named, &digest.to_base64()));
        let document = genuine.signed(&rebound);
        cases.add(Sender, format!("{name}, bound to it"), document, OpenError::NoKey);
    }
    let other_kind = scene.reader_of_other_kind.certificate.sha256().to_base64();
    let rebound = restate_binding(&change(text, &named, &other_kind));
    cases.add(
        Sender,
        "a key for the reader's key of another kind",
        genuine.signed(&rebound),
        OpenError::Undecipherable,
    );
    for (name, to, expected) in [
        (
            "a certificate of the reader in hex",
            scene.reader.certificate.sha256().to_string(),
            Refused::InvalidValue,
        ),
        ("no certificate of the reader", String::new(), Refused::InvalidValue),
    ] {
        cases.add(Sender, name, genuine.resigned(&named, &to), expected);
    }
    let by_issuer = "<ds:X509IssuerSerial></ds:X509IssuerSerial>";
    let digest = element(text, "dsig11:X509Digest").to_owned();
    cases.add(
        Sender,
        "the reader's certificate by issuer and number",
        genuine.resigned(&digest, by_issuer),
        Refused::UnexpectedElement,
    );
    cases.add(
        Sender,
        "the reader's certificate by SHA-1",
        genuine.resigned(
            &digest,
            &change(
                &digest,
                "http://www.w3.org/2001/04/xmlenc#sha256",
                "http://www.w3.org/2000/09/xmldsig#sha1",
            ),
        ),
        Refused::AlgorithmNotAllowed,
    );
    cases.add(
        Sender,
        "two certificates of the reader",
        genuine.resigned(&digest, &format!("{digest}{digest}")),
        Refused::UnexpectedElement,
    );
}
