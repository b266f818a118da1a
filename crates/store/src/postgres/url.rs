//! The URL of a PostgreSQL server, as an operator writes it.
//!
//! It reads like libpq's, with one difference that is on purpose: there is no way that falls back to plaintext or takes
//! whatever certificate it is shown. `sslmode=require`, `verify-ca` and `verify-full` all mean TLS with the certificate
//! checked against the host's name; `disable` means plaintext; left out it means TLS, unless the server is on this very
//! host. `sslrootcert` names the only authorities that are trusted, else those of the system count.
//!
//! It may hold a password, so it is shown without one.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Where a shared database lies and how to get there.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    config: Box<tokio_postgres::Config>,
    /// The file of the authorities that are trusted, if not those of the system; only with TLS.
    authorities: Option<PathBuf>,
    shown: String,
}

/// What is wrong with an URL. Shows nothing of it, because it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresUrlError {
    /// Another scheme.
    #[error("the URL must begin with postgres:// or postgresql://")]
    Scheme,
    /// It does not read as an URL of PostgreSQL.
    #[error(
        "it does not read as postgres://USER:PASSWORD@HOST:PORT/DATABASE with options that are known; \
         signs in a password are written as a percent sign and two digits"
    )]
    Unreadable,
    /// A mode that may end in plaintext, or none at all.
    #[error("sslmode is one of disable, require, verify-ca and verify-full; nothing here falls back to plaintext")]
    SslMode,
    /// Nothing after the slash.
    #[error("the URL names no database")]
    NoDatabase,
    /// No host.
    #[error("the URL names no host")]
    NoHost,
    /// A name that is none of ours.
    #[error("the name of a schema consists of lower-case letters, digits, - and _")]
    Schema,
    /// Authorities without TLS.
    #[error("sslrootcert stands beside sslmode=disable")]
    AuthoritiesWithoutTls,
    /// The file of `sslrootcert`.
    #[error("the authorities in {path} cannot be read: {reason}")]
    Authorities {
        /// The file, or what stands for those of the system.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl PostgresUrl {
    /// Reads an URL.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, PostgresUrlError> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(PostgresUrlError::Scheme);
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authorities, mut others) = (None, None, vec![]);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => authorities = Some(PathBuf::from(decoded(value)?)),
                _ => others.push(pair),
            }
        }
        // the driver takes its own defaults from what is left, and knows nothing of our modes
        let rest = format!("{base}?{}", others.join("&"));
        // and its errors quote what may be half a password
        let mut config: tokio_postgres::Config = rest.parse().map_err(|_| PostgresUrlError::Unreadable)?;
        if config.get_hosts().is_empty() {
            return Err(PostgresUrlError::NoHost);
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(PostgresUrlError::NoDatabase);
        }
        let tls = match mode {
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => return Err(PostgresUrlError::SslMode),
            None => authorities.is_some() || !config.get_hosts().iter().all(is_this_host),
        };
        if authorities.is_some() && !tls {
            return Err(PostgresUrlError::AuthoritiesWithoutTls);
        }
        config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        set_limits(&mut config);
        Ok(Self {
            shown: shown(&config),
            config: Box::new(config),
            authorities,
        })
    }

    pub(super) fn config(&self) -> &tokio_postgres::Config {
        &self.config
    }

    pub(super) fn has_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    pub(super) fn authorities(&self) -> Option<&PathBuf> {
        self.authorities.as_ref()
    }
}

/// A peer that is gone is noticed within seconds, whatever the system's defaults are, unless the URL says otherwise.
fn set_limits(config: &mut tokio_postgres::Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(10));
    }
    if config.get_keepalives_interval().is_none() {
        config
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3);
    }
    if config.get_application_name().is_none() {
        config.application_name("viereck");
    }
    // of several hosts the one that takes writes
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
}

fn is_this_host(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        Host::Unix(_) => true,
    }
}

/// Hosts, ports and database; nothing of who connects.
fn shown(config: &tokio_postgres::Config) -> String {
    let ports = config.get_ports();
    let host = |(place, host): (usize, &Host)| {
        let name = match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        match ports.get(place).or(ports.first()) {
            Some(port) => format!("{name}:{port}"),
            None => name,
        }
    };
    let hosts: Vec<String> = config.get_hosts().iter().enumerate().map(host).collect();
    let who = if config.get_user().is_some() || config.get_password().is_some() {
        "***@"
    } else {
        ""
    };
    format!(
        "postgres://{who}{}/{}",
        hosts.join(","),
        config.get_dbname().unwrap_or_default()
    )
}

/// A value of the query without its percent signs.
fn decoded(text: &str) -> Result<String, PostgresUrlError> {
    let unreadable = || PostgresUrlError::Unreadable;
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = digit().zip(digit()).ok_or_else(unreadable)?;
        octets.push(u8::try_from(high * 16 + low).map_err(|_| unreadable())?);
    }
    String::from_utf8(octets).map_err(|_| unreadable())
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> PostgresUrlError {
        PostgresUrl::parse(url).unwrap_err()
    }

    #[test]
    fn a_password_is_never_shown() {
        let urls = [
            "postgres://gateway:s3cret@db.example:6432/journals?sslmode=verify-full",
            "postgres://gateway@db.example:6432/journals?password=s3cret",
        ];
        for url in urls {
            let url = PostgresUrl::parse(url).unwrap();
            assert_eq!(url.to_string(), "postgres://***@db.example:6432/journals");
            assert_eq!(format!("{url:?}"), url.to_string());
        }
        for url in [
            "postgres://gateway:s3cret@db.example:port/x",
            "postgres://g:s3cret@h/x?s3cret=s3cret",
        ] {
            let error = refused(url);
            assert!(matches!(error, PostgresUrlError::Unreadable), "{error:?}");
        }
    }

    #[test]
    fn tls_is_left_out_only_where_it_is_said_or_the_server_is_here() {
        let tls = |url: &str| PostgresUrl::parse(url).unwrap().has_tls();
        assert!(tls("postgres://db.example/journals"));
        assert!(tls("postgresql://db.example/journals?sslmode=require"));
        assert!(tls("postgres://127.0.0.1/journals?sslmode=verify-full"));
        assert!(tls("postgres://127.0.0.1,db.example/journals"));
        assert!(tls("postgres://127.0.0.1/journals?sslrootcert=%2Fetc%2Fca.pem"));
        assert!(!tls("postgres://127.0.0.1:5433/journals"));
        assert!(!tls("postgres://%2Fvar%2Frun%2Fpostgresql/journals"));
        assert!(!tls("postgres://db.example/journals?sslmode=disable"));
        for mode in ["prefer", "allow", ""] {
            assert_eq!(
                refused(&format!("postgres://db.example/journals?sslmode={mode}")),
                PostgresUrlError::SslMode
            );
        }
        assert_eq!(
            refused("postgres://db.example/x?sslmode=disable&sslrootcert=a"),
            PostgresUrlError::AuthoritiesWithoutTls
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(refused("mysql://db.example/x"), PostgresUrlError::Scheme);
        assert_eq!(refused("postgres://db.example"), PostgresUrlError::NoDatabase);
        assert_eq!(refused("postgres:///x"), PostgresUrlError::NoHost);
        let url = PostgresUrl::parse("postgres://a,b:1/x?sslrootcert=/etc/%63a.pem").unwrap();
        assert_eq!(url.authorities(), Some(&PathBuf::from("/etc/ca.pem")));
        assert!(matches!(
            refused("postgres://a/x?sslrootcert=%6"),
            PostgresUrlError::Unreadable
        ));
    }
}
