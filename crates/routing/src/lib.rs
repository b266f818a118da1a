//! WHO gets it: identifiers, routing tables, the directory of keys and rights, resolve.
//!
//! Pure: it reads the folder it is given and nothing else. It knows no XML and no network.

mod certificate;
mod digest;
mod ids;
mod region;
mod words;

pub use certificate::{Certificate, CertificateError, PublicKey};
pub use digest::Digest;
pub use ids::{BehoerdeId, CaseId, ClientId, CustodianId, GatewayId, InvalidId, LeistungId, MessageId};
pub use region::{Ags, Ars, Place, Region};
pub use words::{Environment, Kind};
