//! One loaded version of the routing tables: immutable, shared between threads, asked for everything that depends on
//! who is who.
//!
//! A value exists only if the whole folder loaded without an error, so nobody behind it checks references again. One
//! thing grows after the load: what issuers have revoked, which is fetched while the table is in force.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::certificate::Certificate;
use crate::competence::CompetenceList;
use crate::digest::Digest;
use crate::encryption::EncryptionKey;
use crate::finding::Finding;
use crate::gateway::{Broker, Client, Gateway};
use crate::ids::{BehoerdeId, ClientId, CustodianId, GatewayId, LeistungId};
use crate::leistung::Leistung;
use crate::ml_kem::MlKemKey;
use crate::participant::{Delivery, Participant};
use crate::pins::{NotSealable, Pins};
use crate::places::{Municipality, Places};
use crate::region::{Ars, Place};
use crate::revocation::{List, ListError, ListSource, ListState, Standing};
use crate::words::{Environment, Profile, Purpose};

/// One version of the routing tables.
#[derive(Debug)]
pub struct Tables {
    pub(crate) release: Digest,
    pub(crate) head: Head,
    pub(crate) places: Places,
    pub(crate) country: Section,
    pub(crate) laender: BTreeMap<String, Section>,
    pub(crate) participants: BTreeMap<BehoerdeId, Participant>,
    pub(crate) gateways: BTreeMap<GatewayId, Gateway>,
    pub(crate) brokers: BTreeMap<CustodianId, Broker>,
    pub(crate) clients: BTreeMap<ClientId, Client>,
    pub(crate) pins: Option<Pins>,
}

/// What `Tables::load` gives: the tables, and what a person should look at.
#[derive(Debug)]
pub struct Loaded {
    /// The tables.
    pub tables: Tables,
    /// Findings that do not keep the folder from loading.
    pub warnings: Vec<Finding>,
}

/// The head of a version: `table.toml` without the brokers.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) environment: Environment,
    pub(crate) sequence: u64,
    pub(crate) gebietsstand: Date,
}

/// The folder of a Land, or of the Bund.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) leistungen: HashMap<LeistungId, Leistung>,
    pub(crate) lists: BTreeMap<String, NamedList>,
}

/// A list of competences and the file it comes from.
#[derive(Debug)]
pub(crate) struct NamedList {
    pub(crate) file: std::sync::Arc<str>,
    pub(crate) list: CompetenceList,
}

/// One pinned certificate, for whoever looks at all of them.
#[derive(Debug, Clone, Copy)]
pub struct PinnedCertificate<'a> {
    /// The gateway, broker or participant.
    pub holder: &'a str,
    /// What it is for.
    pub purpose: Purpose,
    /// The certificate.
    pub certificate: &'a Certificate,
    /// From when on it can be used: entry and certificate both hold.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Its file below `certificates/`.
    pub file: &'a str,
}

/// That messages for a Behörde, or for one of its Leistungen, go to a gateway's queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// The reader.
    pub behoerde: BehoerdeId,
    /// The Leistung, where the delivery is for this very one.
    pub leistung: Option<LeistungId>,
    /// The gateway that takes the messages in.
    pub gateway: GatewayId,
}

impl Tables {
    /// The digest of this version: the RFC 9162 root over the folder's files, sorted by path.
    pub fn release(&self) -> Digest {
        self.release
    }

    /// Test or production.
    pub fn environment(&self) -> Environment {
        self.head.environment
    }

    /// The number of this version; the next one is higher.
    pub fn sequence(&self) -> u64 {
        self.head.sequence
    }

    /// The day whose municipalities the tables know.
    pub fn gebietsstand(&self) -> Date {
        self.head.gebietsstand
    }

    /// The Leistung as this Land (its two-digit key) offers it, else as the country does. Without a Land: as the
    /// country does, else as the first Land that has it.
    pub fn leistung(&self, id: &LeistungId, land: Option<&str>) -> Option<&Leistung> {
        let of_country = || self.country.leistungen.get(id);
        match land {
            Some(land) => self
                .laender
                .get(land)
                .and_then(|section| section.leistungen.get(id))
                .or_else(of_country),
            None => of_country().or_else(|| self.laender.values().find_map(|section| section.leistungen.get(id))),
        }
    }

    /// Where an authority is competent for a Leistung on a day, for some region at least: the key of the Land, or `00`.
    /// `None` when no entry names it. Reads every entry of the Leistung's lists, so it is for an authority that a client
    /// names itself, not for the way of every application.
    pub fn competent_in(&self, behoerde: &BehoerdeId, leistung: &LeistungId, on: Date) -> Option<&str> {
        let names = |section: &Section| {
            section.leistungen.get(leistung).is_some_and(|leistung| {
                let listed = section
                    .lists
                    .get(&leistung.uses)
                    .is_some_and(|named| named.list.names(behoerde, on));
                listed || leistung.exceptions.names(behoerde, on)
            })
        };
        let land = self
            .laender
            .iter()
            .find(|(_, section)| names(section))
            .map(|(land, _)| land.as_str());
        land.or_else(|| names(&self.country).then_some("00"))
    }

    /// Whether any Land or the country offers this Leistung.
    pub fn knows(&self, id: &LeistungId) -> bool {
        self.leistung(id, None).is_some()
    }

    /// Where messages for a participant go: its own delivery or, while a deputy stands in, the deputy's.
    pub fn delivery(&self, participant: &BehoerdeId, leistung: &LeistungId, on: Date) -> Option<&Delivery> {
        self.participants.get(participant)?.delivery(leistung, on)
    }

    /// Every binding in force on a day: one per delivery, for the broker's topology. Sorted.
    pub fn bindings(&self, on: Date) -> Vec<Binding> {
        let mut bindings = Vec::new();
        for participant in self.participants.values() {
            participant.bindings(on, &mut bindings);
        }
        bindings.sort();
        bindings.dedup();
        bindings
    }

    /// A participant: authority, portal or register.
    pub fn participant(&self, id: &BehoerdeId) -> Option<&Participant> {
        self.participants.get(id)
    }

    /// All participants, sorted by identifier.
    pub fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.participants.values()
    }

    /// A gateway.
    pub fn gateway(&self, id: &GatewayId) -> Option<&Gateway> {
        self.gateways.get(id)
    }

    /// All gateways, sorted by name.
    pub fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        self.gateways.values()
    }

    /// A broker.
    pub fn broker(&self, id: &CustodianId) -> Option<&Broker> {
        self.brokers.get(id)
    }

    /// All brokers, sorted by name.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values()
    }

    /// A client.
    pub fn client(&self, id: &ClientId) -> Option<&Client> {
        self.clients.get(id)
    }

    /// All clients, sorted by name.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    /// The client that presents this bearer token, if the token counts at this instant.
    pub fn client_by_token_at(&self, token: &str, at: Timestamp) -> Option<&Client> {
        self.clients.get(self.pins.as_ref()?.client_of(token, at)?)
    }

    /// The client whose TLS certificate this is, by the SHA-256 of its DER, if it counts at this instant.
    pub fn client_by_certificate_at(&self, sha256: &Digest, at: Timestamp) -> Option<&Client> {
        self.clients.get(self.pins.as_ref()?.client_of_certificate(sha256, at)?)
    }

    /// The client that the authorisation server calls by this name.
    pub fn client_by_oauth(&self, name: &str) -> Option<&Client> {
        self.clients
            .values()
            .find(|client| client.oauth_client.as_deref() == Some(name))
    }

    /// The portal as which a client writes for a Leistung: the first of its authors that writes for it.
    pub fn author_for(&self, client: &Client, leistung: &LeistungId) -> Option<&BehoerdeId> {
        let portal = |id: &&BehoerdeId| self.participants.get(*id).is_some_and(|p| p.writes_for(leistung));
        let author = client.authors.iter().find(portal)?;
        self.participants.get_key_value(author).map(|(id, _)| id)
    }

    /// The certificate of a custodian with this digest, if its entry says that it counts for what was signed at `at`. The
    /// validity in the certificate itself judges the verifier.
    pub fn signing_certificate(&self, custodian: &CustodianId, sha256: &Digest, at: Timestamp) -> Option<&Certificate> {
        self.pins.as_ref()?.signing(custodian, sha256, at)
    }

    /// Every certificate entered for a custodian to sign with, in force or not.
    pub fn signing_certificates(&self, custodian: &CustodianId) -> impl Iterator<Item = &Certificate> {
        let pins = self.pins.as_ref().and_then(|pins| pins.signing.get(custodian));
        pins.into_iter().flatten().map(|pin| &pin.certificate)
    }

    /// The certificate a custodian signs with at this instant.
    pub fn current_signing_certificate(&self, custodian: &CustodianId, at: Timestamp) -> Option<&Certificate> {
        self.pins.as_ref()?.current_signing(custodian, at)
    }

    /// The certificate for which content is encrypted that a participant shall read.
    pub fn encryption_certificate(&self, participant: &BehoerdeId, at: Timestamp) -> Option<&Certificate> {
        self.pins.as_ref()?.current_encryption(participant, at)
    }

    /// What a message for `reader` may be encrypted for at this instant: the newest key of `holder`, itself or its deputy,
    /// that is in force and was not revoked, with the ML-KEM key beside it, and the lowest profile that the reader takes.
    ///
    /// # Errors
    /// Why there is none: nothing may be sealed for this reader then, and nothing has been sent.
    pub fn sealable_key(
        &self,
        reader: &BehoerdeId,
        holder: &BehoerdeId,
        at: Timestamp,
    ) -> Result<EncryptionKey, NotSealable> {
        let pins = self.pins.as_ref().ok_or(NotSealable::NoneValid)?;
        let pin = pins.sealable(holder, at)?;
        let lowest = self
            .participant(reader)
            .map_or(Profile::P1, |reader| reader.lowest_profile.of_created_at(at));
        let hybrid = pin
            .ml_kem
            .clone()
            .and_then(|ml_kem| EncryptionKey::hybrid(pin.certificate.clone(), ml_kem).ok());
        Ok(hybrid
            .unwrap_or_else(|| EncryptionKey::classical(pin.certificate.clone()))
            .at_least(lowest))
    }

    /// The ML-KEM key that is entered beside this participant's certificate with this digest.
    pub fn ml_kem_key(&self, participant: &BehoerdeId, certificate: &Digest) -> Option<&MlKemKey> {
        self.pins.as_ref()?.ml_kem(participant, certificate)
    }

    /// What is known of the revocation of a pinned certificate; of one that is not pinned, nothing.
    pub fn standing(&self, sha256: &Digest, at: Timestamp) -> Standing {
        self.pins
            .as_ref()
            .map_or(Standing::Good, |pins| pins.standing(sha256, at))
    }

    /// Every pinned certificate, in force or not.
    pub fn pinned_certificates(&self) -> impl Iterator<Item = PinnedCertificate<'_>> {
        let all = self.pins.iter().flat_map(|pins| pins.all());
        all.map(|(holder, purpose, pin)| PinnedCertificate {
            holder,
            purpose,
            certificate: &pin.certificate,
            from: pin.usable().from,
            until: pin.usable().until,
            file: &pin.file,
        })
    }

    /// Whether the table names anchors, so that every certificate in it has a chain to one of them.
    pub fn has_anchors(&self) -> bool {
        self.pins.as_ref().is_some_and(|pins| !pins.trust.anchors.is_empty())
    }

    /// The issuers whose revocation lists count.
    pub fn list_sources(&self) -> &[ListSource] {
        self.pins.as_ref().map_or(&[], |pins| &pins.revocations.sources)
    }

    /// Takes a revocation list, PEM or DER, as it was `fetched`.
    ///
    /// # Errors
    /// It is not a list of this issuer that counts; what was known before stays.
    pub fn take_list(&self, issuer: &Digest, octets: &[u8], fetched: Timestamp) -> Result<ListState, ListError> {
        self.take_kept_list(issuer, octets, fetched, fetched)
    }

    /// Takes a list that was fetched by an earlier process at `fetched`. A clock that was set back since then makes it
    /// neither younger nor unknown: what it revoked stays revoked.
    ///
    /// # Errors
    /// As [`Tables::take_list`].
    pub fn take_kept_list(
        &self,
        issuer: &Digest,
        octets: &[u8],
        fetched: Timestamp,
        now: Timestamp,
    ) -> Result<ListState, ListError> {
        let pins = self.pins.as_ref().ok_or(ListError::IssuerUnknown)?;
        let authority = pins.trust.authority(issuer).ok_or(ListError::IssuerUnknown)?;
        let list = List::read(octets, authority, fetched.max(now))?;
        pins.revocations.take(issuer, list, Some(fetched.min(now)))?;
        self.list_state(issuer).ok_or(ListError::IssuerUnknown)
    }

    /// That a revocation list has been asked for since then: for the grace from that instant its absence changes nothing.
    pub fn await_list(&self, issuer: &Digest, since: Timestamp) {
        if let Some(pins) = &self.pins {
            pins.revocations.await_list(issuer, since);
        }
    }

    /// The list of an issuer that is at hand.
    pub fn list_state(&self, issuer: &Digest) -> Option<ListState> {
        self.pins.as_ref()?.revocations.state(issuer)
    }

    /// Whether revocation of this issuer's certificates can be judged at `at`.
    pub fn list_is_reliable(&self, issuer: &Digest, at: Timestamp) -> bool {
        self.pins
            .as_ref()
            .is_some_and(|pins| pins.revocations.is_reliable(issuer, at))
    }

    /// Every certificate entered for encryption to this participant, in force or not.
    pub fn encryption_certificates(&self, participant: &BehoerdeId) -> impl Iterator<Item = &Certificate> {
        let pins = self.pins.as_ref().and_then(|pins| pins.encryption.get(participant));
        pins.into_iter().flatten().map(|pin| &pin.certificate)
    }

    /// Whether the folder has certificates; without them it can be explained and checked, not run.
    pub fn has_certificates(&self) -> bool {
        self.pins.is_some()
    }

    /// The ARS of a place that the Gebietsstand knows.
    pub fn ars_of(&self, place: &Place) -> Option<Ars> {
        self.places.ars_of(place)
    }

    /// The municipality with this ARS.
    pub fn municipality(&self, ars: &Ars) -> Option<&Municipality> {
        self.places.municipality(ars)
    }

    /// All municipalities and districts, in no order.
    pub fn municipalities(&self) -> impl Iterator<Item = &Municipality> {
        self.places.municipalities()
    }
}
