//! The attack suite: named cases made from one genuine envelope, each with the code that has to refuse it.
//!
//! What an attacker can do is stated per case, as [`case::Attacker`]: somebody on the path without any key; another
//! participant of the network, with a key of its own that is pinned; the sender gateway itself; a broker; a reader that
//! passes on what it may read. Where a case is about a check behind the signature, its document is digested and signed
//! again with the key that this attacker has: otherwise everything would end as a digest mismatch and prove nothing.
//! The table says by which step and code each was refused; a case that is refused by another code than the expected one
//! fails as one that is accepted does.
//!
//! Guarantees: every case runs for every kind of key that it is about, one after the other in one process, so that the
//! time and the memory of each can be measured and are bounded; no case panics; one that hangs ends the run.
//! Does not: test that genuine documents pass (they do at the beginning, or nothing runs), or random ones.
//!
//! With `VIERECK_ATTACKS=FOLDER` every document is also written there, for verifiers that are not ours.

#![expect(clippy::unwrap_used, reason = "a panic while an attack is prepared is a failed test")]
#![expect(clippy::print_stdout, reason = "the table of all cases is the result")]

mod batches;
mod binding;
mod case;
mod craft;
mod encodings;
mod encryption;
mod entities;
mod key_info;
mod limits;
mod malleable;
mod manifest;
mod protocol;
mod references;
mod run;
mod scene;
mod signature_value;
mod spelling;
mod values;
mod wrapping;

use peak_alloc::PeakAlloc;

/// Counts what is allocated, in the whole process.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Makes the cases of one family.
type Family = for<'a> fn(&scene::Genuine<'a>) -> case::Cases<'a>;

#[test]
fn every_attack_is_refused_by_the_check_it_is_about_in_bounded_time_and_memory() {
    let mut account = run::Account::default();
    for kind in scene::Kind::ALL {
        let scene = scene::Scene::new(*kind);
        scene.assert_genuine_passes();
        let genuine = scene.genuine();
        let families: &[Family] = &[
            wrapping::cases,
            references::cases,
            key_info::cases,
            signature_value::cases,
            spelling::cases,
            entities::cases,
            encodings::cases,
            values::cases,
            limits::cases,
            encryption::cases,
            manifest::cases,
            binding::cases,
            batches::cases,
        ];
        for family in families {
            account.run(&scene, family(&genuine));
        }
        account.run_malleable(&scene, malleable::variants(&genuine));
    }
    account.run_protocol(protocol::cases());
    account.print();
    account.assert_all_refused();
}
