//! Files that hold secrets: the one function, [`read`], through which private keys, passphrases and other secrets are read;
//! the link is given [`read_tls_key`] for its own.
//!
//! Guarantees: a file that has more rights than whoever reads it permits is refused before it is used, whatever it holds;
//! nobody permits more than to read and write for its owner ([`OWNER_ALONE`]), and for the keys of TLS to read for its
//! group ([`GROUP_READS`]). What is read is bounded and wiped from memory afterwards; an encrypted key (PKCS#8 with PBES2)
//! is opened with a passphrase that came from a file, never from a flag or a variable. Nothing but a regular file is read: a
//! pipe would hang for ever. Does not: look at the folders above the file, know what a key is for, or wipe what a library
//! makes of a key.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pkcs8::der::pem::PemLabel;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// No key or passphrase of a profile is longer.
const LONGEST: u64 = 64 << 10;
/// What a secret may have: read and write for its owner.
const OWNER_ALONE: u32 = 0o600;
/// What a key of TLS may have: its group may read it too, because that is how a service gets to a key that another user
/// has made.
const GROUP_READS: u32 = 0o640;

/// What opens encrypted keys; wiped when dropped.
pub struct Passphrase(Zeroizing<String>);

/// Why a file with a secret is not read; whoever asked for it says it in its own words.
#[derive(Debug)]
enum Unread {
    /// It cannot be read, or is longer than any secret.
    Unreadable(io::Error),
    /// It has these permission bits, and more of them than are permitted.
    RightsTooWide(u32),
}

/// Why a file with a secret is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("key-unreadable: {file}: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Not only its owner may read it.
    #[error("key-rights-too-wide: {file} has the mode {mode:04o}; only 0600 and 0400 are allowed")]
    RightsTooWide {
        /// Which.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is encrypted, and no passphrase is configured.
    #[error("key-passphrase-missing: {0} is encrypted, and no passphrase is configured")]
    PassphraseMissing(PathBuf),
    /// The passphrase does not open it.
    #[error("key-passphrase-wrong: the configured passphrase does not open {0}")]
    PassphraseWrong(PathBuf),
    /// Encrypted in a way that is not supported, or broken.
    #[error("key-encryption-not-allowed: {0} is not encrypted with PBES2 as PKCS#8 has it")]
    NotAllowed(PathBuf),
    /// The passphrase file is empty.
    #[error("key-passphrase-empty: {0} holds no passphrase")]
    PassphraseEmpty(PathBuf),
}

impl KeyFileError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            KeyFileError::Unreadable { .. } => "key-unreadable",
            KeyFileError::RightsTooWide { .. } => "key-rights-too-wide",
            KeyFileError::PassphraseMissing(_) => "key-passphrase-missing",
            KeyFileError::PassphraseWrong(_) => "key-passphrase-wrong",
            KeyFileError::NotAllowed(_) => "key-encryption-not-allowed",
            KeyFileError::PassphraseEmpty(_) => "key-passphrase-empty",
        }
    }

    /// The next step.
    pub fn help(&self) -> &'static str {
        match self {
            KeyFileError::Unreadable { .. } => "Look at the path, and at the owner of the file and of its folders.",
            KeyFileError::RightsTooWide { .. } => {
                "chmod 0600 it, and think about who may have read it: a key that others could read may have to be replaced."
            }
            KeyFileError::PassphraseMissing(_) => {
                "Set keys.passphrase_file or keys.passphrase_credential in the configuration, or name --passphrase-file."
            }
            KeyFileError::PassphraseWrong(_) => "All encrypted keys of one process have the same passphrase.",
            KeyFileError::NotAllowed(_) => {
                "`openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256` writes such a key."
            }
            KeyFileError::PassphraseEmpty(_) => "Put the passphrase into its first line.",
        }
    }
}

impl Passphrase {
    /// The first line of a file.
    ///
    /// # Errors
    /// The file cannot be read, others may read it, or it is empty.
    pub fn read(file: &Path) -> Result<Self, KeyFileError> {
        let text = read_secret(file)?;
        let line = text.lines().next().unwrap_or_default();
        match line.is_empty() {
            true => Err(KeyFileError::PassphraseEmpty(file.to_owned())),
            false => Ok(Self(Zeroizing::new(line.to_owned()))),
        }
    }

    /// Encrypts a private key in PKCS#8 (PEM): PBES2 with scrypt and AES-256-CBC.
    ///
    /// # Errors
    /// The key is no PKCS#8, or the parameters are refused.
    pub fn encrypt(&self, pem: &str, salt: [u8; 16], iv: [u8; 16]) -> Result<Zeroizing<String>, pkcs8::Error> {
        let (_, document) = SecretDocument::from_pem(pem)?;
        let key: PrivateKeyInfo<'_> = document.decode_msg()?;
        // 16 MiB a key: a gateway with hundreds of keys still starts, and the passphrase is no word that somebody types
        let cost = pkcs8::pkcs5::scrypt::Params::new(14, 8, 1, 32).map_err(|_| pkcs8::Error::ParametersMalformed)?;
        let parameters = pkcs8::pkcs5::pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv)
            .map_err(|_| pkcs8::Error::ParametersMalformed)?;
        let encrypted = key.encrypt_with_params(parameters, self.0.as_bytes())?;
        Ok(encrypted.to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF)?)
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(***)")
    }
}

/// A private key as unencrypted PKCS#8 in PEM, whether its file is encrypted or not.
///
/// # Errors
/// The file cannot be read, others may read it, or it does not open.
pub fn read_key(file: &Path, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyFileError> {
    let text = read_secret(file)?;
    if !text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Ok(text);
    }
    let passphrase = passphrase.ok_or_else(|| KeyFileError::PassphraseMissing(file.to_owned()))?;
    let not_allowed = || KeyFileError::NotAllowed(file.to_owned());
    let (_, document) = SecretDocument::from_pem(&text).map_err(|_| not_allowed())?;
    let encrypted: EncryptedPrivateKeyInfo<'_> = document.decode_msg().map_err(|_| not_allowed())?;
    if encrypted.encryption_algorithm.pbes2().is_none() {
        return Err(not_allowed());
    }
    let opened = encrypted
        .decrypt(passphrase.0.as_bytes())
        .map_err(|_| KeyFileError::PassphraseWrong(file.to_owned()))?;
    opened
        .to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF)
        .map_err(|_| not_allowed())
}

/// Why the private key of a TLS certificate is not used.
#[derive(Debug, thiserror::Error)]
pub enum TlsKeyError {
    /// It cannot be read, or is longer than any key.
    #[error("tls-file-unreadable: {file}: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file has more rights than it may have.
    #[error("tls-key-exposed: {file} has the mode {mode:04o}, and no more than 0640 is allowed; chmod 600 it")]
    Exposed {
        /// Which.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl TlsKeyError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            TlsKeyError::Unreadable { .. } => "tls-file-unreadable",
            TlsKeyError::Exposed { .. } => "tls-key-exposed",
        }
    }
}

/// The file of a TLS certificate's private key, which its group may read too.
///
/// # Errors
/// It cannot be read, is too long, or others may read or change it.
pub fn read_tls_key(file: &Path) -> Result<Zeroizing<Vec<u8>>, TlsKeyError> {
    read(file, GROUP_READS).map_err(|unread| {
        let file = file.to_owned();
        match unread {
            Unread::Unreadable(error) => TlsKeyError::Unreadable { file, error },
            Unread::RightsTooWide(mode) => TlsKeyError::Exposed { file, mode },
        }
    })
}

/// The text of a file that its owner alone may read.
///
/// # Errors
/// It cannot be read, is a folder, is too long, is no text, or others may read it.
pub fn read_secret(file: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let unreadable = |error| KeyFileError::Unreadable {
        file: file.to_owned(),
        error,
    };
    let octets = read(file, OWNER_ALONE).map_err(|unread| match unread {
        Unread::Unreadable(error) => unreadable(error),
        Unread::RightsTooWide(mode) => KeyFileError::RightsTooWide {
            file: file.to_owned(),
            mode,
        },
    })?;
    let text = std::str::from_utf8(&octets).map_err(|error| unreadable(io::Error::other(error)))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Opens a file to read it, if it is one.
///
/// # Errors
/// It cannot be opened, or is a pipe, a socket or a device. A folder is opened, and fails when it is read.
pub fn open_regular(file: &Path) -> io::Result<File> {
    // a pipe that nobody writes to is opened at once only so; a regular file is read as ever
    let at_once = OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(at_once.bits().cast_signed())
        .open(file)?;
    let kind = opened.metadata()?.file_type();
    match kind.is_file() || kind.is_dir() {
        true => Ok(opened),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// The octets of a file that has no other rights than those `permitted`.
fn read(file: &Path, permitted: u32) -> Result<Zeroizing<Vec<u8>>, Unread> {
    // the rights of what was opened, not of what stands under the name a moment later
    let opened = open_regular(file).map_err(Unread::Unreadable)?;
    let metadata = opened.metadata().map_err(Unread::Unreadable)?;
    let mode = metadata.mode() & 0o7777;
    // a folder fails when it is read, which says more
    if mode & !permitted != 0 && !metadata.is_dir() {
        return Err(Unread::RightsTooWide(mode));
    }
    // room for all from the start: a buffer that grows leaves copies behind that nobody wipes
    let mut octets = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    let read = opened.take(LONGEST + 1).read_to_end(&mut octets);
    match read.map_err(Unread::Unreadable)? as u64 > LONGEST {
        true => Err(Unread::Unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "longer than any key",
        ))),
        false => Ok(octets),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_whatever_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o400] {
            assert_eq!(
                &*read_secret(&file(folder.path(), &format!("{mode:o}"), "x", mode)).unwrap(),
                "x"
            );
        }
        for mode in [0o640, 0o604, 0o620, 0o602, 0o444, 0o666, 0o700, 0o610, 0o4600] {
            let path = file(folder.path(), &format!("{mode:o}"), "x", mode);
            let refused = read_key(&path, None).unwrap_err();
            assert_eq!(refused.code(), "key-rights-too-wide", "{mode:o}");
            assert!(refused.to_string().contains(&format!("{mode:04o}")), "{refused}");
        }
        let missing = read_secret(&folder.path().join("none")).unwrap_err();
        assert_eq!(missing.code(), "key-unreadable");
        let long = file(folder.path(), "long", &"x".repeat(LONGEST as usize + 1), 0o600);
        assert_eq!(read_secret(&long).unwrap_err().code(), "key-unreadable");
        assert_eq!(read_secret(folder.path()).unwrap_err().code(), "key-unreadable");
    }

    #[test]
    fn a_pipe_is_no_file_and_holds_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("signing-1.key.pem");
        let made = std::process::Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&pipe)
            .status();
        assert!(made.unwrap().success());
        let (sender, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(read_key(&pipe, None).map(drop)));
        let refused = told
            .recv_timeout(std::time::Duration::from_secs(20))
            .unwrap()
            .unwrap_err();
        assert_eq!(refused.code(), "key-unreadable");
        assert!(refused.to_string().contains("not a regular file"), "{refused}");
    }

    #[test]
    fn a_key_of_tls_may_be_read_by_its_group_and_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o400, 0o640, 0o440] {
            let path = file(folder.path(), &format!("{mode:o}"), "x", mode);
            assert_eq!(&**read(&path, GROUP_READS).unwrap(), b"x", "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o641, 0o660, 0o650, 0o740, 0o4640] {
            let path = file(folder.path(), &format!("{mode:o}"), "x", mode);
            let refused = read(&path, GROUP_READS).unwrap_err();
            assert!(
                matches!(refused, Unread::RightsTooWide(told) if told == mode),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn an_encrypted_key_opens_with_its_passphrase_alone() {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let right = file(folder.path(), "right", "Grüße aus Niebüll\nnot this line\n", 0o600);
        let right = Passphrase::read(&right).unwrap();
        let wrong = Passphrase::read(&file(folder.path(), "wrong", "geraten", 0o400)).unwrap();
        let sealed = right.encrypt(&key, [1; 16], [2; 16]).unwrap();
        assert!(sealed.contains("ENCRYPTED PRIVATE KEY") && !sealed.contains(&key[60..100]));
        let sealed = file(folder.path(), "key.pem", &sealed, 0o600);
        let plain = |pem: &str| pem.split_whitespace().collect::<String>();
        assert_eq!(plain(&read_key(&sealed, Some(&right)).unwrap()), plain(&key));
        assert_eq!(
            read_key(&sealed, Some(&wrong)).unwrap_err().code(),
            "key-passphrase-wrong"
        );
        assert_eq!(read_key(&sealed, None).unwrap_err().code(), "key-passphrase-missing");
        let nonsense = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let nonsense = file(folder.path(), "nonsense.pem", nonsense, 0o600);
        assert_eq!(
            read_key(&nonsense, Some(&right)).unwrap_err().code(),
            "key-encryption-not-allowed"
        );
        let empty = file(folder.path(), "empty", "\n", 0o600);
        assert_eq!(Passphrase::read(&empty).unwrap_err().code(), "key-passphrase-empty");
        let open = file(folder.path(), "open", "geheim", 0o644);
        assert_eq!(Passphrase::read(&open).unwrap_err().code(), "key-rights-too-wide");
    }
}
