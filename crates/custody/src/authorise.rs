//! Whether a verified message may travel: the same questions, asked by the broker and by the reader's gateway, each on
//! its own and each of the table in force there.
//!
//! A signature says who wrote the octets. It does not say that this gateway may speak for that author, that the author
//! may write this kind of message, or that the reader is served here. Rights come from the table, never from the
//! message.

use jiff::Timestamp;
use viereck_envelope::{Header, Reason};
use viereck_routing::{GatewayId, Tables};

/// What the broker asks before it relays.
///
/// # Errors
/// The reason with which the author is answered.
pub fn at_broker(header: &Header, tables: &Tables, now: Timestamp) -> Result<(), Reason> {
    author_may_write(header, tables)?;
    if tables.participant(&header.reader).is_none() {
        return Err(Reason::NoDelivery);
    }
    in_time(header, now)
}

/// What the reader's gateway asks before it takes. `me` is that gateway.
///
/// # Errors
/// The reason with which the author is answered.
pub fn at_reader(header: &Header, me: &GatewayId, tables: &Tables) -> Result<(), Reason> {
    author_may_write(header, tables)?;
    let serves = tables.gateway(me).is_some_and(|gateway| gateway.serves(&header.reader));
    if !serves {
        return Err(Reason::T080);
    }
    // When it was created its gateway states itself; who signs with an entitled key is believed that much.
    let lowest = tables
        .participant(&header.reader)
        .map(|reader| reader.lowest_profile.of_created_at(header.created));
    if lowest.is_some_and(|lowest| header.profile < lowest) {
        return Err(Reason::ProfileTooLow);
    }
    Ok(())
}

/// Whether `header`'s time has not run out.
///
/// # Errors
/// [`Reason::Obsolete`].
pub fn in_time(header: &Header, now: Timestamp) -> Result<(), Reason> {
    if now <= header.obsolete_after {
        Ok(())
    } else {
        Err(Reason::Obsolete)
    }
}

fn author_may_write(header: &Header, tables: &Tables) -> Result<(), Reason> {
    if header.environment != tables.environment() {
        return Err(Reason::EnvironmentMismatch);
    }
    let speaks = tables
        .gateway(&header.gateway)
        .is_some_and(|gateway| gateway.speaks_for(&header.author));
    let may = tables
        .participant(&header.author)
        .is_some_and(|author| author.may_author(header.kind));
    if speaks && may { Ok(()) } else { Err(Reason::T070) }
}
