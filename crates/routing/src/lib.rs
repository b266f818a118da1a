//! WHO gets it: identifiers, routing tables, the directory of keys and rights, resolve.
//!
//! Pure: it reads the folder it is given and nothing else. It knows no XML and no network.

mod answer;
mod catalogue;
mod certificate;
mod competence;
mod digest;
mod encryption;
mod fields;
mod finding;
mod folder;
mod gateway;
mod ids;
mod leistung;
mod load;
mod merkle;
mod ml_kem;
mod participant;
mod pem;
mod pins;
mod places;
mod position;
mod region;
mod report;
mod resolve;
mod revocation;
mod tables;
mod trust;
mod window;
mod words;

pub use answer::{Answer, ListKind, NoRoute, Outcome, Refusal, Route, Step, StepResult};
pub use certificate::{Certificate, CertificateError, PublicKey};
pub use competence::Choice;
pub use digest::Digest;
pub use encryption::{EncryptionKey, NotAPair};
pub use fields::is_plain_text;
pub use finding::{Finding, Findings, Lang, Severity, Told};
pub use gateway::{Broker, Client, Gateway, Proof, Quota};
pub use ids::{BehoerdeId, CaseId, ClientId, CustodianId, GatewayId, InvalidId, LeistungId, MessageId};
pub use leistung::{Class, Fallback, Leistung, ReplySchema, Schema};
pub use ml_kem::{MlKemError, MlKemKey};
pub use participant::{Delivery, LowestProfile, Participant, ParticipantKind};
pub use pem::pem;
pub use pins::NotSealable;
pub use places::Municipality;
pub use position::Position;
pub use region::{Ags, Ars, Place, Region};
pub use revocation::{ListError, ListSource, ListState, Standing};
pub use tables::{Binding, Loaded, PinnedCertificate, Tables};
pub use window::{Window, day_in_berlin};
pub use words::{Environment, Kind, Profile, Purpose};
