//! The sender's certificate runs out, and is renewed.
//!
//! The sender gets a certificate that is good for some seconds, works with it until it has run out, and then gets
//! another one. What was signed in time stays good; nothing can be promised in between; afterwards all goes on. The
//! clients' requests are answered with an error of the gateway's meanwhile and repeated.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use tokio::time::{Instant, sleep};
use viereck_routing::Digest;

use super::BROKEN_FOR;
use crate::demo::site::{SENDER, Site};
use crate::drill::plan::{Role, Step};
use crate::drill::stage::{Arranged, Stage};
use crate::failure::{Exit, Failure};

/// How long the short one is good for.
const SHORT: SignedDuration = SignedDuration::from_secs(12);
/// How long before its end messages are held at the step.
const HELD: Duration = Duration::from_secs(3);
/// How long the next one is good for.
const LONG: SignedDuration = SignedDuration::from_hours(24 * 300);

/// Lets it run out while messages stand at `step`, and renews it.
pub(super) async fn renew(stage: &Stage, step: Step, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    arranged.undo();
    let until = Timestamp::now() + SHORT;
    put_in_force(stage, until).await?;
    let left = |to: Timestamp| Duration::try_from(to.duration_since(Timestamp::now())).unwrap_or_default();
    sleep(left(until).saturating_sub(HELD)).await;
    let arranged = stage.arrange(step).await;
    sleep(left(until)).await;
    let moment = Instant::now();
    arranged.undo();
    sleep(BROKEN_FOR).await;
    put_in_force(stage, Timestamp::now() + LONG).await?;
    Ok(moment)
}

/// Enters another certificate for the sender and makes everybody use it.
async fn put_in_force(stage: &Stage, until: Timestamp) -> Result<(), Failure> {
    issue(&stage.network.site, until)?;
    stage.network.versions.changed()?;
    // whoever verifies knows it before the first signature is made with it
    stage.network.hang_up().await?;
    sleep(Duration::from_secs(1)).await;
    for sender in stage.network.of(Role::Sender) {
        sender.restart(None).await?;
    }
    Ok(())
}

/// One more key and certificate of the sender, in force from now on; the older ones stay for what they have signed.
fn issue(site: &Site, until: Timestamp) -> Result<(), Failure> {
    let now = Timestamp::now();
    let (key, certificate) = self_signed(now, until).map_err(|error| {
        let sentence = format!("No certificate can be made for {SENDER}: {error}");
        Failure::new(Exit::Unexpected, "key-failed", sentence)
    })?;
    let number = now.as_second();
    let name = format!("{SENDER}/signing-{number}.pem");
    let public = site.table().join("certificates");
    let private = site.keys().join(SENDER).join(format!("signing-{number}.key.pem"));
    let write = |file: &std::path::Path, text: String| {
        std::fs::write(file, text).map_err(|error| Failure::of_file("write", file, &error))
    };
    write(&private, key.serialize_pem())?;
    write(&public.join(&name), certificate.pem())?;
    let index = public.join("certificates.toml");
    let known = std::fs::read_to_string(&index).map_err(|error| Failure::of_file("read", &index, &error))?;
    let entry = format!(
        "\n[[certificate]]\nid = \"{SENDER}\"\npurpose = \"signing\"\nfile = \"{name}\"\n\
         from = {now:.0}\nuntil = {until:.0}\nsha256 = \"{}\"\n",
        Digest::of(certificate.der())
    );
    write(&index, known + &entry)
}

fn self_signed(from: Timestamp, until: Timestamp) -> Result<(KeyPair, rcgen::Certificate), rcgen::Error> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |instant: Timestamp| epoch + Duration::from_secs(instant.as_second().unsigned_abs());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, SENDER);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = at(from);
    params.not_after = at(until);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    Ok((key, certificate))
}
