//! XML in the one spelling that is allowed here.
//!
//! What is hashed is what was received: [`scan`] refuses whatever is not byte-equal to its exclusive-canonical form,
//! so nothing is ever canonicalised in order to verify it. [`cursor`] walks a fixed grammar over the scanner's tokens,
//! [`write`] escapes text, [`value`] reads and writes the few types of values.

mod cursor;
mod names;
mod scan;
pub(crate) mod value;
pub(crate) mod write;

pub(crate) use cursor::Cursor;
pub(crate) use names::{Ns, Vocabulary, algorithm};
