//! Files that are replaced while a link lives.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, DnType, KeyPair};
use tempfile::TempDir;

use super::*;

/// Files in a folder, as a link names them.
struct Files {
    folder: TempDir,
    tls: Tls,
}

impl Files {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file);
        let tls = Tls {
            ca: path("ca.pem"),
            certificate: Some(path("link.pem")),
            key: Some(path("link.key.pem")),
            read_key: private,
        };
        let files = Self { folder, tls };
        files.write(name, 0, 1);
        files
    }

    /// A new certificate with its key, valid from and until so many days from now.
    fn write(&self, name: &str, from: i64, until: i64) {
        let (certificate, key) = certificate(name, from, until);
        fs::write(self.folder.path().join("ca.pem"), &certificate).unwrap();
        fs::write(self.folder.path().join("link.pem"), certificate).unwrap();
        fs::write(self.folder.path().join("link.key.pem"), key).unwrap();
        self.chmod(0o600);
    }

    fn chmod(&self, mode: u32) {
        fs::set_permissions(
            self.folder.path().join("link.key.pem"),
            fs::Permissions::from_mode(mode),
        )
        .unwrap();
    }

    fn overwrite(&self, file: &str, content: &str) {
        fs::write(self.folder.path().join(file), content).unwrap();
    }

    fn identity(&self) -> Result<Arc<Identity>, LinkError> {
        Identity::read(self.tls.clone()).map(Arc::new)
    }
}

/// A rule for keys: read by their owner alone.
fn private(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let mode = fs::metadata(file)
        .map_err(|error| error.to_string())?
        .permissions()
        .mode();
    match mode & 0o077 {
        0 => fs::read(file).map(Zeroizing::new).map_err(|error| error.to_string()),
        _ => Err(format!("{} is open to others", file.display())),
    }
}

fn certificate(name: &str, from: i64, until: i64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = rcgen::date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let shifted = |days: i64| match u32::try_from(days) {
        Ok(days) => now + day * days,
        Err(_) => now - day * u32::try_from(-days).unwrap(),
    };
    params.not_before = shifted(from) - Duration::from_secs(60);
    params.not_after = shifted(until);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

async fn until(identity: &Arc<Identity>) -> SystemTime {
    identity.certificate().await.unwrap().until
}

#[tokio::test]
async fn replaced_files_are_used_and_broken_ones_are_not() {
    let files = Files::of("gw-1");
    let identity = files.identity().unwrap();
    let first = identity.certificate().await.unwrap();
    assert_eq!(first.name, "gw-1");

    files.write("gw-1", 0, 9);
    let second = until(&identity).await;
    assert!(second > first.until);

    let whole = fs::read_to_string(files.folder.path().join("link.pem")).unwrap();
    for (file, broken) in [
        ("link.pem", "no PEM"),
        ("link.pem", &whole[..whole.len() / 2]),
        ("link.key.pem", ""),
        ("ca.pem", ""),
        // a new certificate beside the old key: somebody is in the middle of replacing them
        ("link.pem", &certificate("gw-1", 0, 20).0),
    ] {
        let good = fs::read_to_string(files.folder.path().join(file)).unwrap();
        files.overwrite(file, broken);
        assert_eq!(until(&identity).await, second, "{file}: {broken}");
        assert!(identity.lock().refused.is_some());
        files.overwrite(file, &good);
        assert_eq!(until(&identity).await, second);
        assert!(identity.lock().refused.is_none());
    }
    fs::remove_file(files.tls.key.as_ref().unwrap()).unwrap();
    assert_eq!(until(&identity).await, second);

    for (name, from, days) in [("gw-2", 0, 30), ("gw-1", -9, -1), ("gw-1", 1, 30)] {
        files.write(name, from, days);
        assert_eq!(until(&identity).await, second, "{name} {from} {days}");
    }
    files.write("gw-1", 0, 40);
    assert!(until(&identity).await > second);
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_no_reason_not_to_start() {
    let files = Files::of("gw-1");
    files.write("gw-1", -9, -1);
    let identity = files.identity().unwrap();
    assert!(until(&identity).await < SystemTime::now());
}

#[tokio::test]
async fn a_key_that_its_reader_refuses_is_not_used() {
    let files = Files::of("gw-1");
    let identity = files.identity().unwrap();
    let before = until(&identity).await;
    files.write("gw-1", 0, 9);
    files.chmod(0o644);
    let refusal = files.identity().unwrap_err().to_string();
    assert!(refusal.contains("link.key.pem is open to others"), "{refusal}");
    assert_eq!(until(&identity).await, before, "what worked stays");
    assert!(identity.lock().refused.is_some());
    files.chmod(0o600);
    assert!(until(&identity).await > before);
    assert!(identity.lock().refused.is_none());
}

#[test]
fn what_cannot_be_used_at_all_is_told_with_its_file() {
    for (file, content, expected) in [
        ("ca.pem", "", "ca.pem holds no certificate"),
        ("link.pem", "", "link.pem holds no certificate"),
        ("link.key.pem", "", "link.key.pem cannot be read as a PEM key"),
        (
            "link.key.pem",
            &certificate("x", 0, 1).1,
            "does not belong to the certificate",
        ),
    ] {
        let files = Files::of("gw-1");
        files.overwrite(file, content);
        let refusal = files.identity().unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
}
