//! XML in the one spelling that is allowed here.
//!
//! What is hashed is what was received: [`scan`] refuses whatever is not byte-equal to its exclusive-canonical form,
//! so nothing is ever canonicalised in order to verify it. [`cursor`] walks a fixed grammar over the scanner's tokens,
//! [`write`] escapes text, [`value`] reads and writes the few types of values.
//!
//! Only people with other tools canonicalise: [`canonical`] stands beside all of this.

pub(crate) mod canonical;
mod cursor;
mod name;
mod names;
mod scan;
pub(crate) mod value;
pub(crate) mod write;

pub(crate) use cursor::Cursor;
pub use cursor::check_spelling;
pub(crate) use names::{Ns, Vocabulary, algorithm};
