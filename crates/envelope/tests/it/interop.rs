//! Samples for tools of other makers. The script `tests/interop/xmlsec_check.py` reads what this test writes.

use std::fs;
use std::path::PathBuf;

use viereck_envelope::{Stage, seal_batch};

use crate::batches::{batch_draft, event};
use crate::people::{Scene, draft, now};

/// Writes, for each kind of keys, an envelope, a receipt batch, the certificate of its signer and the key and
/// certificate of its reader below the folder that the caller named; without a name there is nobody to write for.
#[test]
fn samples_for_other_tools_are_written_where_they_are_wanted() {
    let Some(folder) = std::env::var_os("VIERECK_SAMPLES").map(PathBuf::from) else {
        return;
    };
    for scene in Scene::all() {
        let folder = folder.join(format!("{:?}", scene.kinds).to_lowercase());
        let sealed = scene.seal(draft());
        let events = [
            event(Stage::Delivered, vec![]).to_octets(),
            event(Stage::Accepted, vec![]).to_octets(),
        ];
        let batch = seal_batch(batch_draft(&events), &scene.gateway.signer(), now()).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("envelope.xml"), sealed.bytes()).unwrap();
        fs::write(folder.join("batch.xml"), batch.bytes()).unwrap();
        fs::write(folder.join("signer.pem"), &scene.gateway.certificate_pem).unwrap();
        fs::write(folder.join("reader.pem"), &scene.reader.certificate_pem).unwrap();
        fs::write(folder.join("reader.key.pem"), &scene.reader.key_pem).unwrap();
    }
}
