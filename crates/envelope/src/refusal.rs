//! Why received bytes are refused: one closed list with stable codes.
//!
//! A refusal says what was wrong with the form, never what stood there: no text of the message is repeated.

use crate::receipt::Reason;

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $sentence:literal, $reason:ident;)+) => {
        /// Why bytes are no genuine envelope, batch or event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Refused {
            $($(#[$doc])* #[error($sentence)] $variant,)+
        }

        impl Refused {
            /// Every refusal.
            pub const ALL: &[Refused] = &[$(Refused::$variant),+];

            /// The stable code.
            pub fn code(&self) -> &'static str {
                match self { $(Refused::$variant => $code),+ }
            }

            /// The reason that a receipt gives for it.
            pub fn reason(&self) -> Reason {
                match self { $(Refused::$variant => Reason::$reason),+ }
            }
        }
    };
}

impl Refused {
    /// Whether the same octets may verify a moment later: two clocks differ, or a certificate is not loaded yet where it
    /// was looked for. Nothing final may be said of them for that.
    pub fn may_pass(&self) -> bool {
        matches!(self, Refused::CreatedInFuture | Refused::CertificateNotPinned)
    }
}

refusals! {
    // What can be said before a single element is understood.
    /// More than 8 MiB.
    TooLarge = "document-too-large", "the document is larger than 8 MiB", X001;
    /// Octets that are not UTF-8.
    NotUtf8 = "not-utf-8", "the document is not UTF-8", S001;
    /// Not well-formed, or cut off.
    NotWellFormed = "not-well-formed", "the document is not well-formed XML", X000;
    /// Elements nested deeper than 32.
    TooDeep = "too-deep", "elements are nested deeper than 32", X001;
    /// More than 16 attributes on one element, or a tag longer than 16 KiB.
    TagTooLarge = "tag-too-large", "a tag has more than 16 attributes or is longer than 16 KiB", X001;
    /// More than 20,000 elements.
    TooManyElements = "too-many-elements", "the document has more than 20,000 elements", X001;
    /// An XML declaration.
    XmlDeclaration = "xml-declaration", "an XML declaration is not allowed", X001;
    /// A document type declaration.
    Doctype = "doctype", "a document type declaration is not allowed", X001;
    /// A comment.
    Comment = "comment", "a comment is not allowed", X001;
    /// A processing instruction.
    ProcessingInstruction = "processing-instruction", "a processing instruction is not allowed", X001;
    /// A CDATA section.
    Cdata = "cdata", "a CDATA section is not allowed", X001;
    /// A reference to an entity or character that has another canonical spelling.
    Reference = "reference", "a reference is not in its canonical spelling", X001;
    /// A prefix that is not declared, not one of ours, or bound to another namespace; an unnamespaced element.
    Namespace = "namespace", "a namespace is undeclared, unknown or bound to another prefix", X001;
    /// An attribute with a prefix, such as `xml:lang`.
    PrefixedAttribute = "prefixed-attribute", "an attribute has a prefix", X001;
    /// The same attribute twice.
    DuplicateAttribute = "duplicate-attribute", "an element has the same attribute twice", X000;
    /// Well-formed, but not spelled as exclusive canonicalization spells it.
    NotCanonical = "not-canonical", "the document is not in its canonical spelling", X001;

    // The grammar.
    /// Another root element.
    WrongRoot = "wrong-root", "the root element is another one", X001;
    /// An element where the grammar has another one or none.
    UnexpectedElement = "unexpected-element", "an element stands where it does not belong", X001;
    /// An element that has to be there is missing.
    MissingElement = "missing-element", "an element is missing", X001;
    /// An attribute that does not belong there, is missing, or has another value than the grammar fixes.
    WrongAttribute = "wrong-attribute", "an attribute is missing, surplus or has another value", X001;
    /// Text between elements.
    UnexpectedText = "unexpected-text", "text stands between elements", X001;
    /// A value that is not in the one spelling of its type.
    InvalidValue = "invalid-value", "a value is not well-formed", X001;
    /// The same Id twice.
    DuplicateId = "duplicate-id", "an Id is used twice", X001;
    /// A profile that this version does not know.
    UnknownProfile = "unknown-profile", "the profile is not known", V000;
    /// An algorithm that the profile does not allow.
    AlgorithmNotAllowed = "algorithm-not-allowed", "an algorithm is not on the allow-list", T099;
    /// A reference that leaves the document.
    ExternalReference = "external-reference", "a reference leaves the document", X001;

    // The signature.
    /// No signature.
    SignatureMissing = "signature-missing", "the document has no signature", T010;
    /// More than one signature.
    SecondSignature = "second-signature", "the document has more than one signature", T011;
    /// The references are not exactly those of the profile, in its order.
    WrongReferences = "wrong-references", "the signature does not cover exactly what it has to", T011;
    /// The certificate is not pinned for the custodian that the document names.
    CertificateNotPinned = "certificate-not-pinned", "the certificate is not pinned for this custodian", T002;
    /// The certificate was not valid at SigningTime.
    CertificateExpired = "certificate-expired", "the certificate was not valid when the document was signed", T000;
    /// The certificate was revoked since, or before.
    CertificateRevoked = "certificate-revoked", "the certificate was revoked", T001;
    /// The signed properties name another certificate or time.
    WrongSignedProperties = "wrong-signed-properties", "the signed properties do not fit the document", T011;
    /// A digest does not fit what it covers.
    DigestMismatch = "digest-mismatch", "a digest does not fit what it covers", T011;
    /// The signature value does not verify under the pinned key.
    SignatureInvalid = "signature-invalid", "the signature does not verify", T011;

    // What the signed values say.
    /// Of the other environment.
    WrongEnvironment = "wrong-environment", "the document is of another environment", EnvironmentMismatch;
    /// Created more than 5 minutes ahead of the verifier.
    CreatedInFuture = "created-in-future", "the document was created in the future", S999;
    /// ObsoleteAfter not after Created, or more than 90 days after it.
    ObsoleteAfterOutOfRange = "obsolete-after-out-of-range", "ObsoleteAfter is not within 90 days after Created", X001;
    /// The key agreement is bound to another message, reader or certificate.
    WrongKeyBinding = "wrong-key-binding", "the encrypted key is bound to another message", HeaderMismatch;
    /// Two ciphertexts share a nonce.
    EqualNonces = "equal-nonces", "two ciphertexts have the same nonce", T099;
    /// More than 4,096 ciphertexts.
    TooManyParts = "too-many-parts", "the document has more than 4,096 ciphertexts", X001;
    /// A receipt batch whose root, size or audit paths do not fit its entries.
    WrongTree = "wrong-tree", "the entries of the batch do not fit its root", T011;
    /// An event of another custodian than the one that signs the batch.
    ForeignEvent = "foreign-event", "an event of the batch is of another custodian", T070;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct() {
        let codes: BTreeSet<_> = Refused::ALL.iter().map(Refused::code).collect();
        assert_eq!(codes.len(), Refused::ALL.len());
    }
}
