//! The municipalities of the Gebietsstand: which places exist, what they are called, and how AGS and ARS belong
//! together.
//!
//! Source of the data is the Destatis code list that the folder carries; nothing here is computed from digits.

use std::collections::{HashMap, HashSet};

use crate::region::{Ags, Ars, Place, Region};

/// A municipality, an unincorporated area, or a district of a city that has keys of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Municipality {
    /// Its name.
    pub name: String,
    /// Its 8-digit key.
    pub ags: Ags,
    /// Its 12-digit key.
    pub ars: Ars,
}

/// All places of one Gebietsstand.
#[derive(Debug, Default)]
pub(crate) struct Places {
    by_ars: HashMap<Ars, Municipality>,
    by_ags: HashMap<Ags, Ars>,
    regions: HashSet<Region>,
}

impl Places {
    /// Adds a place; gives it back when one of its keys is taken already.
    pub(crate) fn add(&mut self, municipality: Municipality) -> Result<(), Municipality> {
        if self.by_ars.contains_key(&municipality.ars) || self.by_ags.contains_key(&municipality.ags) {
            return Err(municipality);
        }
        for digits in [2, 3, 5, 9, 12] {
            self.regions.extend(municipality.ars.prefix(digits));
        }
        self.by_ags.insert(municipality.ags, municipality.ars);
        self.by_ars.insert(municipality.ars, municipality);
        Ok(())
    }

    pub(crate) fn ars_of(&self, place: &Place) -> Option<Ars> {
        match place {
            Place::Ars(ars) => self.by_ars.contains_key(ars).then_some(*ars),
            Place::Ags(ags) => self.by_ags.get(ags).copied(),
        }
    }

    pub(crate) fn municipality(&self, ars: &Ars) -> Option<&Municipality> {
        self.by_ars.get(ars)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_ars.is_empty()
    }

    pub(crate) fn municipalities(&self) -> impl Iterator<Item = &Municipality> {
        self.by_ars.values()
    }

    /// Whether any place lies in the region.
    pub(crate) fn has_region(&self, region: &Region) -> bool {
        *region == Region::COUNTRY || self.regions.contains(region)
    }
}
