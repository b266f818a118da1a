//! The HTTP client of the command line and of the fetching of revocation lists: whom it trusts, and for how long it waits.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client};

use crate::failure::{Exit, Failure};

/// A client that trusts the authorities of the host; with `ca`, the certificates of this PEM file alone.
pub(crate) fn new(ca: Option<&Path>, patience: Duration) -> Result<Client, Failure> {
    let mut builder = Client::builder()
        .timeout(patience)
        .connect_timeout(Duration::from_secs(10));
    if let Some(file) = ca {
        let pem = std::fs::read(file).map_err(|error| Failure::of_file("read the authorities in", file, &error))?;
        let authorities = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if authorities.is_empty() {
            let sentence = format!("{} holds no certificate in PEM.", file.display());
            return Err(
                Failure::new(Exit::Usage, "ca-malformed", sentence).help("Name a file of authorities with --ca.")
            );
        }
        builder = builder.tls_certs_only(authorities);
    }
    builder.build().map_err(|error| {
        let sentence = format!("cannot make an HTTP client: {error}");
        Failure::new(Exit::Unexpected, "http-client-failed", sentence)
    })
}
