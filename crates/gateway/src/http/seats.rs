//! Places for connections: so many in all, and so many of them for one address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::Origin;

/// The places of one server.
#[derive(Debug)]
pub(super) struct Seats {
    all: Arc<Semaphore>,
    per_address: usize,
    /// As many entries as there are connections, at the most.
    taken: Mutex<HashMap<Origin, usize>>,
}

/// A place for a connection from wherever; given back when dropped.
pub(super) struct Free {
    seats: Arc<Seats>,
    permit: OwnedSemaphorePermit,
}

/// The place of one connection; given back when dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    origin: Origin,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(connections: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(connections)),
            per_address,
            taken: Mutex::default(),
        })
    }

    /// Waits for a place.
    pub(super) async fn free(self: &Arc<Self>) -> Option<Free> {
        let permit = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Free {
            seats: Arc::clone(self),
            permit,
        })
    }
}

impl Free {
    /// Takes the place for a connection; `None` when its address has as many as it may have.
    pub(super) fn take(self, origin: Origin) -> Option<Seat> {
        let Self { seats, permit } = self;
        {
            let mut taken = seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let own = taken.entry(origin).or_default();
            // an entry that was made here has no connection, and no limit is 0
            if *own >= seats.per_address {
                return None;
            }
            *own += 1;
        }
        Some(Seat {
            seats,
            origin,
            _permit: permit,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.origin) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[tokio::test]
    async fn an_address_has_its_share_and_gets_it_back() {
        let seats = Seats::new(4, 2);
        let of = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        let (one, other) = (of("192.0.2.1"), of("192.0.2.2"));
        let first = seats.free().await.unwrap().take(one).unwrap();
        let _second = seats.free().await.unwrap().take(one).unwrap();
        assert!(seats.free().await.unwrap().take(one).is_none());
        let third = seats.free().await.unwrap().take(other);
        assert!(third.is_some());
        drop(first);
        let again = seats.free().await.unwrap().take(one);
        assert!(again.is_some());
        drop((third, again, _second));
        assert!(seats.taken.lock().unwrap().is_empty());
        assert_eq!(seats.all.available_permits(), 4);
    }
}
