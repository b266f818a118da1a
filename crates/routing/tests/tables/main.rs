//! Whole folders of routing tables: those of this repository, small ones that are right, and ones that are wrong.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod resolve;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod trust;
