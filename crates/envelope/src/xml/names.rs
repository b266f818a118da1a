//! The namespaces, prefixes and algorithm identifiers of the profile: a closed list.
//!
//! Each namespace has exactly one prefix. A document that binds a prefix to anything else is refused, so a prefix can
//! be taken for its namespace and the set of namespaces in scope is a set of bits.

/// A namespace of the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ns {
    /// The document's own, written without a prefix.
    Own,
    /// XML Signature.
    Ds,
    /// XML Signature 1.1.
    Dsig11,
    /// XAdES.
    Xades,
    /// XML Encryption.
    Xenc,
    /// XML Encryption 1.1.
    Xenc11,
}

/// The kind of document: what the unprefixed namespace is, and how many elements it may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vocabulary {
    pub(crate) own: &'static str,
    pub(crate) elements: usize,
}

impl Vocabulary {
    /// Envelopes and manifests.
    pub(crate) const ENVELOPE: Vocabulary = Vocabulary {
        own: "urn:viereck:envelope:1",
        elements: crate::limits::ELEMENTS,
    };
    /// Receipt batches.
    pub(crate) const BATCH: Vocabulary = Vocabulary {
        own: "urn:viereck:receipt:1",
        elements: crate::limits::BATCH_ELEMENTS,
    };
    /// A single event.
    pub(crate) const EVENT: Vocabulary = Vocabulary {
        own: "urn:viereck:receipt:1",
        elements: crate::limits::ELEMENTS,
    };
}

impl Ns {
    const PREFIXED: [(&'static str, Ns); 5] = [
        ("ds", Ns::Ds),
        ("dsig11", Ns::Dsig11),
        ("xades", Ns::Xades),
        ("xenc", Ns::Xenc),
        ("xenc11", Ns::Xenc11),
    ];

    /// The namespace that `prefix` stands for; `""` is the document's own.
    pub(super) fn of_prefix(prefix: &str) -> Option<Ns> {
        if prefix.is_empty() {
            return Some(Ns::Own);
        }
        Self::PREFIXED
            .iter()
            .find(|(known, _)| *known == prefix)
            .map(|(_, ns)| *ns)
    }

    pub(super) fn uri(self, vocabulary: &Vocabulary) -> &'static str {
        match self {
            Ns::Own => vocabulary.own,
            Ns::Ds => "http://www.w3.org/2000/09/xmldsig#",
            Ns::Dsig11 => "http://www.w3.org/2009/xmldsig11#",
            Ns::Xades => "http://uri.etsi.org/01903/v1.3.2#",
            Ns::Xenc => "http://www.w3.org/2001/04/xmlenc#",
            Ns::Xenc11 => "http://www.w3.org/2009/xmlenc11#",
        }
    }

    /// Its place in a set of namespaces.
    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Whether this element is hashed on its own, so that it repeats the namespaces it uses.
    pub(super) fn is_apex(self, local: &str) -> bool {
        match self {
            Ns::Own => matches!(local, "Header" | "Content" | "BatchHead" | "Event"),
            Ns::Ds => local == "SignedInfo",
            Ns::Xades => local == "SignedProperties",
            Ns::Dsig11 | Ns::Xenc | Ns::Xenc11 => false,
        }
    }
}

/// The allow-list: identifiers of algorithms and types that may stand in a document.
pub(crate) mod algorithm {
    pub(crate) const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
    pub(crate) const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
    pub(crate) const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
    pub(crate) const RSA_PSS_SHA256: &str = "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1";
    pub(crate) const RSA_PSS_SHA512: &str = "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1";
    pub(crate) const SIGNED_PROPERTIES: &str = "http://uri.etsi.org/01903#SignedProperties";
    pub(crate) const AES256_GCM: &str = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
    pub(crate) const KW_AES256: &str = "http://www.w3.org/2001/04/xmlenc#kw-aes256";
    pub(crate) const ECDH_ES: &str = "http://www.w3.org/2009/xmlenc11#ECDH-ES";
    pub(crate) const ECDH_ES_ML_KEM: &str = "urn:viereck:algorithm:ecdh-es-p256-ml-kem-768";
    pub(crate) const CONCAT_KDF: &str = "http://www.w3.org/2009/xmlenc11#ConcatKDF";
    pub(crate) const RSA_OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
    pub(crate) const MGF1_SHA256: &str = "http://www.w3.org/2009/xmlenc11#mgf1sha256";
    pub(crate) const P256: &str = "urn:oid:1.2.840.10045.3.1.7";
    pub(crate) const EC_KEY_VALUE: &str = "http://www.w3.org/2009/xmldsig11#ECKeyValue";
    pub(crate) const ENCRYPTED_KEY: &str = "http://www.w3.org/2001/04/xmlenc#EncryptedKey";
}
