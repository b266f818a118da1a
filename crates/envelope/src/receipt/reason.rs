//! Why a message did not get further: one closed list of codes.
//!
//! Codes of the XÖV list "Rückweisungsgründe" are used where their text fits; everything else is a word of our own.
//! A receipt carries codes only. Free text about an application travels encrypted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::UnknownWord;

/// Where the list of own words lives.
const OWN_LIST: &str = "urn:viereck:reason:1:";
/// The XÖV code list Rückweisungsgründe, version 1.
const XOEV_LIST: &str = "urn:xoev-de:xgewerbeordnung:codeliste:rueckweisungsgruende_1:";

macro_rules! reasons {
    ($($variant:ident = $list:ident $code:literal, $sentence:literal;)+) => {
        /// Why a message was rejected, parked or could not be delivered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $sentence] $variant,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$variant),+];

            /// The code: that of the XÖV list, or a bare word of our own.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code),+ }
            }

            /// The code with its list, as it stands in receipts.
            pub fn urn(self) -> &'static str {
                match self { $(Reason::$variant => reasons!(@urn $list $code)),+ }
            }

            /// One sentence for people.
            pub fn sentence(self) -> &'static str {
                match self { $(Reason::$variant => $sentence),+ }
            }
        }
    };
    (@urn own $code:literal) => { concat!("urn:viereck:reason:1:", $code) };
    (@urn xoev $code:literal) => { concat!("urn:xoev-de:xgewerbeordnung:codeliste:rueckweisungsgruende_1:", $code) };
}

reasons! {
    S001 = xoev "S001", "The message is not encoded in UTF-8.";
    S010 = xoev "S010", "A code list is invalid.";
    S011 = xoev "S011", "A code of a code list is invalid.";
    S020 = xoev "S020", "Single cases in the message are faulty.";
    S100 = xoev "S100", "The record was processed successfully before.";
    S999 = xoev "S999", "The message breaks the specification for another reason.";
    T000 = xoev "T000", "The sender's certificate has expired.";
    T001 = xoev "T001", "The sender's certificate is revoked.";
    T002 = xoev "T002", "The sender's certificate is not valid.";
    T003 = xoev "T003", "The sender's certificate is missing.";
    T010 = xoev "T010", "The signature is missing or not of the required level.";
    T011 = xoev "T011", "The signature is not valid.";
    T020 = xoev "T020", "The reader has no key to decrypt the content.";
    T070 = xoev "T070", "The sender is not entitled to use this service.";
    T080 = xoev "T080", "The message reached the wrong reader: its header names another Behörde.";
    T099 = xoev "T099", "The message breaks another rule of the transport profile.";
    V000 = xoev "V000", "The reader does not support this version of the message.";
    X000 = xoev "X000", "The message is not a well-formed XML document.";
    X001 = xoev "X001", "The message is not valid to its schema.";
    X002 = xoev "X002", "The message is not valid to its Schematron rules.";
    ReaderCertificateExpired = own "reader-certificate-expired", "The reader's encryption certificate is not valid.";
    MessageIdConflict = own "message-id-conflict", "Another message of the same author has the same identifier.";
    HeaderMismatch = own "header-mismatch", "The encrypted content belongs to another header.";
    Undecipherable = own "undecipherable", "The content cannot be decrypted although the key is known.";
    EnvironmentMismatch = own "environment-mismatch", "The message is of another environment.";
    NotPermitted = own "not-permitted", "The participant may not send this kind of message on this way.";
    NoDelivery = own "no-delivery", "No delivery is set up for this Behörde and Leistung.";
    CompetenceChanged = own "competence-changed", "Another Behörde is competent by now.";
    NotOurCase = own "not-our-case", "The message belongs to no case of this reader and author.";
    Replaced = own "replaced", "Another message that replaces this one was taken before.";
    ReplacedLives = own "replaced-lives", "The message that this one replaces may have been handed over.";
    Obsolete = own "obsolete", "The message lost its purpose before it was taken over.";
    Discarded = own "discarded", "An operator discarded the message.";
    AdapterMisconfigured = own "adapter-misconfigured", "The hand-over to the Fachverfahren is not set up correctly.";
    NoMailbox = own "no-mailbox", "The applicant has no mailbox for an answer.";
    MailboxRefused = own "mailbox-refused", "The applicant's mailbox refused the answer.";
    QueueFull = own "queue-full", "The next hop takes no messages at the moment.";
    Paused = own "paused", "An operator has paused the way to its reader.";
    OctetsCorrupt = own "octets-corrupt", "The stored octets are no longer those that were taken into custody.";
    TooLarge = own "too-large", "The message is larger than the link carries.";
    LinkRefused = own "link-refused", "The link refuses the message for good.";
    ProfileTooLow = own "profile-too-low", "The reader takes messages of a higher profile only.";
    SchemaNotAccepted = own "schema-not-accepted", "The reader does not accept this type of message.";
}

impl Reason {
    /// Whether the reader's key is at fault, or the one it was sealed for, and not the message: the same content sealed for
    /// another key may open.
    pub fn is_of_readers_key(self) -> bool {
        matches!(
            self,
            Reason::T020 | Reason::ReaderCertificateExpired | Reason::Undecipherable | Reason::ProfileTooLow
        )
    }

    /// Whether it is said at the reader's door, before a message is taken, and of the way it came rather than of itself: by
    /// the table in force there its reader or its author is served elsewhere.
    pub fn is_of_the_way(self) -> bool {
        matches!(self, Reason::T070 | Reason::T080)
    }

    /// Whether it is said of a content that nobody at the reader's side may have read.
    pub fn leaves_content_unread(self) -> bool {
        self.is_of_readers_key()
            || matches!(
                self,
                Reason::T000
                    | Reason::T001
                    | Reason::T002
                    | Reason::T003
                    | Reason::T010
                    | Reason::T011
                    | Reason::T070
                    | Reason::T080
                    | Reason::T099
                    | Reason::V000
                    | Reason::X000
                    | Reason::HeaderMismatch
                    | Reason::EnvironmentMismatch
                    | Reason::NotPermitted
                    | Reason::NoDelivery
                    | Reason::Obsolete
                    | Reason::Discarded
                    | Reason::AdapterMisconfigured
                    | Reason::QueueFull
                    | Reason::Paused
                    | Reason::OctetsCorrupt
                    | Reason::TooLarge
                    | Reason::LinkRefused
            )
    }

    /// The reason whose [`Reason::urn`] is `urn`.
    pub fn from_urn(urn: &str) -> Result<Self, UnknownWord> {
        let code = urn.strip_prefix(OWN_LIST).or_else(|| urn.strip_prefix(XOEV_LIST));
        let reason: Reason = code.ok_or(UnknownWord("reason"))?.parse()?;
        if reason.urn() == urn {
            Ok(reason)
        } else {
            Err(UnknownWord("reason"))
        }
    }
}

impl FromStr for Reason {
    type Err = UnknownWord;
    fn from_str(code: &str) -> Result<Self, UnknownWord> {
        Reason::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
            .ok_or(UnknownWord("reason"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_a_urn_lead_back_to_their_reason() {
        for reason in Reason::ALL {
            assert_eq!(reason.code().parse(), Ok(*reason));
            assert_eq!(Reason::from_urn(reason.urn()), Ok(*reason));
        }
        assert!("T999".parse::<Reason>().is_err());
        assert!(Reason::from_urn("urn:viereck:reason:1:T080").is_err());
        assert!(Reason::from_urn("T080").is_err());
    }
}
