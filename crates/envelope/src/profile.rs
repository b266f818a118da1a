//! What each profile allows: one row for each.
//!
//! Everything that differs between profiles stands here. What signs, how content is encrypted and how documents are
//! spelled is the same in all of them; receipt batches have profile 1.

use viereck_routing::Profile;

/// How a content key is wrapped for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// ECDH-ES on P-256, ConcatKDF and AES key wrap.
    Agreed,
    /// RSA-OAEP.
    Transported,
    /// ECDH-ES on P-256 and ML-KEM-768 together, ConcatKDF and AES key wrap.
    Hybrid,
}

const ALLOWED: [(Profile, &[KeyForm]); 2] = [
    (Profile::P1, &[KeyForm::Agreed, KeyForm::Transported]),
    (Profile::P2, &[KeyForm::Hybrid]),
];

/// Whether a document of this profile may wrap its key in this form.
pub(crate) fn allows(profile: Profile, form: KeyForm) -> bool {
    ALLOWED
        .iter()
        .any(|(row, forms)| *row == profile && forms.contains(&form))
}
