//! Laws that hold for every message.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use viereck_envelope::{
    Content, Draft, File, KeepKey, KeptKey, OpenError, ReaderKeys, Refused, Role, SealError, Signer, open, open_kept,
    seal, seal_keeping, verify,
};
use viereck_routing::{EncryptionKey, Environment, Kind, Profile, Region};

use crate::people::{Directory, Identity, Kinds, READER, Scene, content, draft, now};

pub(crate) fn kinds() -> impl Strategy<Value = Kinds> {
    prop::sample::select(Kinds::ALL.to_vec())
}

fn texts() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\u{fffe}\\u{ffff}]{1,40}")
}

fn files() -> impl Strategy<Value = Vec<File>> {
    let file = (
        0..Role::ALL.len(),
        "\\PC{0,12}",
        "[a-z]{0,9}/[a-z]{0,9}",
        prop::collection::vec(any::<u8>(), 0..5000),
    );
    let file = file.prop_map(|(role, name, media_type, octets)| File {
        role: Role::ALL[role],
        name,
        media_type,
        octets: Bytes::from(octets),
    });
    prop::collection::vec(file, 0..5)
}

prop_compose! {
    fn contents()(client_reference in texts(), applicant in texts(), consents in texts(), payment in texts(),
                  files in files(), with_token in any::<bool>()) -> Content {
        let reply_token = if with_token { content().reply_token } else { None };
        Content { client_reference, applicant, consents, payment, reply_token, files }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_sealed_verifies_and_opens_to_the_same(content in contents(), kind in 0..Kind::ALL.len(), sparse in any::<bool>(), kinds in kinds()) {
        let scene = Scene::of(kinds);
        let mut draft = draft();
        draft.kind = Kind::ALL[kind];
        draft.content = content.clone();
        if sparse {
            (draft.replaces, draft.region, draft.in_reply_to, draft.routing_table) = (None, None, None, None);
        }
        let sealed = scene.seal(draft.clone());
        let verified = verify(sealed.bytes().clone(), &scene.pins, Environment::Test, now()).unwrap();
        prop_assert_eq!(verified.header(), sealed.header());
        prop_assert_eq!(verified.digest(), sealed.digest());
        prop_assert_eq!(verified.header().message_id, draft.message_id);
        let opened = open(&verified, &scene.keys).unwrap();
        prop_assert_eq!(opened.content(), &content);
        prop_assert_eq!(opened.header(), sealed.header());
        prop_assert_eq!(opened.digest(), sealed.digest());
    }

    #[test]
    fn any_changed_octet_is_refused(at in any::<prop::sample::Index>(), change in 1_u8.., kinds in kinds()) {
        let scene = Scene::of(kinds);
        let sealed = scene.seal(draft());
        let mut bytes = sealed.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(verify(Bytes::from(bytes), &scene.pins, Environment::Test, now()).is_err(), "octet {at}");
    }

    #[test]
    fn any_cut_is_refused(at in any::<prop::sample::Index>(), kinds in kinds()) {
        let scene = Scene::of(kinds);
        let sealed = scene.seal(draft());
        let at = at.index(sealed.bytes().len());
        prop_assert!(verify(sealed.bytes().slice(..at), &scene.pins, Environment::Test, now()).is_err());
        prop_assert!(verify(sealed.bytes().slice(at + 1..), &scene.pins, Environment::Test, now()).is_err());
    }

    #[test]
    fn any_octets_are_refused_and_nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        let scene = Scene::new();
        prop_assert!(verify(Bytes::from(octets), &scene.pins, Environment::Test, now()).is_err());
    }
}

#[test]
fn every_octet_of_one_envelope_counts() {
    for scene in Scene::all() {
        let mut draft = draft();
        draft.content = Content::default();
        let sealed = scene.seal(draft);
        for at in 0..sealed.bytes().len() {
            let mut bytes = sealed.bytes().to_vec();
            bytes[at] ^= 1;
            let refused = verify(Bytes::from(bytes), &scene.pins, Environment::Test, now());
            assert!(
                refused.is_err(),
                "octet {at}: {:?}",
                &sealed.bytes()[at.saturating_sub(9)..at + 1]
            );
        }
    }
}

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn the_other_s_of_a_signature_verifies_and_is_the_same_envelope() {
    let scene = Scene::new();
    let sealed = scene.seal(draft());
    let text = std::str::from_utf8(sealed.bytes()).unwrap();
    let (before, rest) = text.split_once("<ds:SignatureValue>").unwrap();
    let (value, after) = rest.split_once('<').unwrap();
    let mut value = base64_simd::STANDARD.decode_to_vec(value).unwrap();
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i32::from(ORDER[at]) - i32::from(value[32 + at]) - borrow;
        borrow = i32::from(difference < 0);
        value[32 + at] = difference.rem_euclid(256) as u8;
    }
    let value = base64_simd::STANDARD.encode_to_string(value);
    let other = Bytes::from(format!("{before}<ds:SignatureValue>{value}<{after}"));
    assert_ne!(&other, sealed.bytes());
    let verified = verify(other, &scene.pins, Environment::Test, now()).unwrap();
    assert_eq!(verified.digest(), sealed.digest());
}

#[test]
fn white_space_in_the_certificate_verifies_and_is_the_same_envelope() {
    for scene in Scene::all() {
        let sealed = scene.seal(draft());
        let text = std::str::from_utf8(sealed.bytes()).unwrap();
        let at = text.find("<ds:X509Certificate>").unwrap() + "<ds:X509Certificate>".len() + 64;
        let folded = Bytes::from(format!("{}\n{}", &text[..at], &text[at..]));
        let verified = verify(folded, &scene.pins, Environment::Test, now()).unwrap();
        assert_eq!(verified.digest(), sealed.digest());
    }
}

#[test]
fn two_sealings_of_one_draft_share_nothing_secret() {
    for scene in Scene::all() {
        let draft = draft();
        let (one, two) = (scene.seal(draft.clone()), scene.seal(draft));
        assert_ne!(one.header().commitment, two.header().commitment);
        assert_ne!(one.digest(), two.digest());
    }
}

#[test]
fn nothing_that_a_client_typed_is_readable() {
    for scene in Scene::all() {
        let sealed = scene.seal(draft());
        let text = std::str::from_utf8(sealed.bytes()).unwrap();
        for secret in ["Lovelace", "A-17", "antrag.xml", "payload</a>", "mailbox-handle"] {
            assert!(!text.contains(secret), "{secret}");
        }
        let verified = verify(sealed.bytes().clone(), &scene.pins, Environment::Test, now()).unwrap();
        let opened = open(&verified, &scene.keys).unwrap();
        let debug = format!("{sealed:?} {verified:?} {opened:?} {:?}", scene.keys);
        for secret in ["Lovelace", "A-17", "antrag.xml", "application/pdf"] {
            assert!(!debug.contains(secret), "{secret}");
        }
    }
}

#[test]
fn a_message_past_its_purpose_still_verifies_and_opens() {
    for scene in Scene::all() {
        let sealed = scene.seal(draft());
        let late = now() + SignedDuration::from_hours(24 * 200);
        let verified = verify(sealed.bytes().clone(), &scene.pins, Environment::Test, late).unwrap();
        assert!(verified.header().obsolete_at(late));
        assert!(!verified.header().obsolete_at(now()));
        assert!(open(&verified, &scene.keys).is_ok());
    }
}

#[test]
fn an_older_key_of_the_reader_still_opens() {
    for scene in Scene::all() {
        let sealed = scene.seal(draft());
        let verified = verify(sealed.bytes().clone(), &scene.pins, Environment::Test, now()).unwrap();
        let newer = Identity::new("newer");
        let mut keys = ReaderKeys::new();
        newer.give_to(READER, &mut keys);
        assert_eq!(open(&verified, &keys).unwrap_err(), OpenError::NoKey);
        scene.reader.give_to(READER, &mut keys);
        assert!(open(&verified, &keys).is_ok());
        // The right key under another reader's name is no key.
        let mut keys = ReaderKeys::new();
        scene.reader.give_to("wgb:010540330000", &mut keys);
        assert_eq!(open(&verified, &keys).unwrap_err(), OpenError::NoKey);
    }
}

#[test]
fn what_cannot_be_sealed_is_refused_by_name() {
    for scene in Scene::all() {
        let signer = scene.gateway.signer();
        let reader = &scene.reader.encryption_key();
        fn refusal(draft: Draft, reader: &EncryptionKey, signer: &Signer, now: Timestamp) -> SealError {
            seal(draft, reader, signer, now).unwrap_err()
        }
        let expired = Identity::valid(scene.kinds, "old", (2023, 2024));

        assert_eq!(
            refusal(draft(), reader, &expired.signer(), now()),
            SealError::SigningCertificateNotValid
        );
        assert_eq!(
            refusal(draft(), &expired.encryption_key(), &signer, now()),
            SealError::ReaderCertificateNotValid
        );

        for days in [-1, 0, 91] {
            let mut late = draft();
            late.obsolete_after = now() + SignedDuration::from_hours(24 * days);
            assert_eq!(
                refusal(late, reader, &signer, now()),
                SealError::ObsoleteAfterOutOfRange,
                "{days} days"
            );
        }
        let mut large = draft();
        large.content.files[0].octets = Bytes::from(vec![0; 4 * 1024 * 1024]);
        assert_eq!(refusal(large, reader, &signer, now()), SealError::TooLarge);
        let mut wordy = draft();
        wordy.content.applicant = Some("x".repeat(256 * 1024));
        assert_eq!(refusal(wordy, reader, &signer, now()), SealError::TooLarge);
        let mut control = draft();
        control.content.files[0].name = "a\0b".to_owned();
        assert_eq!(refusal(control, reader, &signer, now()), SealError::InvalidValue);
        let mut typeless = draft();
        typeless.message_type.schema.clear();
        assert_eq!(refusal(typeless, reader, &signer, now()), SealError::InvalidValue);
        let mut wordy = draft();
        wordy.message_type.name = "two\nlines".to_owned();
        assert_eq!(refusal(wordy, reader, &signer, now()), SealError::InvalidValue);
    }
}

/// No message is sealed below what its reader takes, whatever keys there are.
#[test]
fn a_reader_that_takes_profile_2_only_is_never_sealed_for_in_profile_1() {
    for scene in Scene::all() {
        let reader = scene.reader.encryption_key().at_least(Profile::P2);
        let sealed = seal(draft(), &reader, &scene.gateway.signer(), now());
        match scene.kinds.profile() {
            Profile::P1 => assert_eq!(sealed.unwrap_err(), SealError::ProfileTooLow),
            Profile::P2 => assert_eq!(sealed.unwrap().header().profile, Profile::P2),
        }
        // Nothing takes the demand back.
        let still = reader.at_least(Profile::P1);
        assert_eq!(still.lowest(), Profile::P2);
    }
}

#[test]
fn the_largest_content_fits_one_document() {
    for scene in Scene::all() {
        let mut draft = draft();
        draft.region = Some(Region::COUNTRY);
        draft.content.files.truncate(1);
        draft.content.files[0].octets = Bytes::from(vec![0x5a; 4 * 1024 * 1024]);
        let sealed = scene.seal(draft.clone());
        let verified = verify(sealed.bytes().clone(), &scene.pins, Environment::Test, now()).unwrap();
        assert_eq!(open(&verified, &scene.keys).unwrap().content(), &draft.content);
    }
}

#[test]
fn an_empty_text_is_left_out() {
    for scene in Scene::all() {
        let mut draft = draft();
        draft.content.applicant = Some(String::new());
        let sealed = scene.seal(draft);
        let verified = verify(sealed.bytes().clone(), &scene.pins, Environment::Test, now()).unwrap();
        assert_eq!(open(&verified, &scene.keys).unwrap().content().applicant, None);
    }
}

#[test]
fn the_pin_is_for_one_custodian_and_one_certificate() {
    for scene in Scene::all() {
        let sealed = scene.seal(draft());
        let verify = |pins: &Directory| verify(sealed.bytes().clone(), pins, Environment::Test, now()).map(|_| ());
        let mut elsewhere = Directory::default();
        elsewhere.pin("gw-nw-1", &scene.gateway);
        assert_eq!(verify(&elsewhere), Err(Refused::CertificateNotPinned));
        elsewhere.pin("gw-sh-1", &Identity::new("gw-sh-1"));
        assert_eq!(verify(&elsewhere), Err(Refused::CertificateNotPinned));
        elsewhere.pin("gw-sh-1", &scene.gateway);
        assert_eq!(verify(&elsewhere), Ok(()));
    }
}

/// The gateway that sealed reads its own message with the key that it kept, and nothing else with it.
#[test]
fn what_was_kept_opens_its_own_message_and_seals_it_anew() {
    for (before, after) in [
        (Kinds::Ec, Kinds::Ec),
        (Kinds::Ec, Kinds::Hybrid),
        (Kinds::Hybrid, Kinds::Rsa3072),
    ] {
        kept_and_sealed_anew(&Identity::of(before, "another key"), &Scene::of(after));
    }
}

/// Seals for `reader`, then anew for the reader of the scene: in whatever profile its keys have.
fn kept_and_sealed_anew(reader: &Identity, scene: &Scene) {
    let keep = KeepKey::derived_from(&[7; 32]);
    let seal = |draft| seal_keeping(draft, &reader.encryption_key(), &scene.gateway.signer(), &keep, now()).unwrap();
    let first = draft();
    let content = first.content.clone();
    let (sealed, kept) = seal(first);
    let (other, others_key) = seal(Draft {
        message_id: viereck_routing::MessageId::random(),
        ..draft()
    });
    let verify = |bytes: &Bytes| verify(bytes.clone(), &scene.pins, Environment::Test, now()).unwrap();
    let (sealed, other) = (verify(sealed.bytes()), verify(other.bytes()));
    assert_eq!(sealed.recipient(), reader.certificate.sha256());
    assert!(open(&sealed, &scene.keys).is_err(), "the reader's keys here are others");
    let opened = open_kept(&sealed, &kept, &keep).unwrap();
    assert_eq!(opened.content(), &content);
    for (envelope, key, of) in [
        (&sealed, &others_key, &keep),
        (&other, &kept, &keep),
        (&sealed, &kept, &KeepKey::derived_from(&[8; 32])),
    ] {
        assert_eq!(open_kept(envelope, key, of).unwrap_err(), OpenError::Undecipherable);
    }
    let stored = KeptKey::from_octets(kept.octets()).unwrap();
    assert_eq!(open_kept(&sealed, &stored, &keep).unwrap().content(), opened.content());
    assert_eq!(KeptKey::from_octets(&kept.octets()[1..]), None);

    let again = viereck_routing::MessageId::random();
    let anew = Draft::anew(
        &opened,
        again,
        opened.header().reader.clone(),
        opened.header().obsolete_after,
    );
    let anew = verify(scene.seal(anew).bytes());
    let (old, new) = (sealed.header(), anew.header());
    assert_eq!((new.message_id, new.replaces), (again, Some(old.message_id)));
    assert_eq!((new.filed_at, new.process_ref), (old.filed_at, old.process_ref));
    assert_ne!(new.commitment, old.commitment, "salted anew");
    assert_eq!(new.profile, scene.kinds.profile());
    assert_eq!(open(&anew, &scene.keys).unwrap().content(), opened.content());
}
