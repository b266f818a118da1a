//! Which addresses a webhook may reach, decided at the address itself and not at its name.
//!
//! A client names a URL and the gateway calls it from inside the operator's network: without a rule, everything that
//! network protects could be reached in its name. Guarantees: an address that is not public is refused unless the
//! operator allows it; the address that is checked is the one that is connected to, because the check happens where the
//! name is resolved for the connection. Does not: follow redirects or proxies; the client that posts has both off.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Addresses that are not public, or lead to some that are not, by the registries of IANA for special purposes. The
/// last of the first list is the metadata service of a cloud that lies at a public address.
const NOT_PUBLIC_4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
    ([168, 63, 129, 16], 32),
];

/// Of IPv6 only this is public at all, but for the parts below.
const GLOBAL_6: ([u16; 8], u8) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const NOT_PUBLIC_6: &[([u16; 8], u8)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Translators put the address of the other family into the last four octets.
const NAT64: ([u16; 8], u8) = ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowed {
    /// Networks that are not public and may be reached all the same.
    pub(crate) private: Vec<IpNet>,
    /// Whether this host itself may be reached, also without TLS: for trials.
    pub(crate) loopback: bool,
}

/// No address that may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressRefused;

/// What is wrong with a URL, whatever its name resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UrlRefused {
    /// Not https.
    Scheme,
    /// With a user, a password or a fragment.
    Extras,
    /// An address that may not be reached.
    Address,
}

impl Allowed {
    /// Whether this address may be connected to.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.private.iter().any(|net| net.contains(&address))
            || self.loopback && address.is_loopback()
            || is_public(address)
    }

    /// Checks everything that a URL shows without asking anybody.
    pub(crate) fn check(&self, url: &Url) -> Result<(), UrlRefused> {
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(UrlRefused::Extras);
        }
        // the parser has spelled every way of writing an address alike by now
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let literal = host.parse::<IpAddr>().ok();
        let here = literal.map_or(host == "localhost", |address| address.to_canonical().is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if self.loopback && here => {}
            _ => return Err(UrlRefused::Scheme),
        }
        match literal {
            Some(address) if !self.admits(address) => Err(UrlRefused::Address),
            None if host.is_empty() => Err(UrlRefused::Address),
            _ => Ok(()),
        }
    }
}

/// Resolves names for connections, and gives out only addresses that may be reached.
#[derive(Clone)]
pub(crate) struct Resolver(pub(crate) Arc<Allowed>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.0);
        Box::pin(async move {
            // the port is the connector's affair
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let admitted: Vec<SocketAddr> = found.into_iter().filter(|one| allowed.admits(one.ip())).collect();
            match admitted.is_empty() {
                true => Err(AddressRefused.into()),
                false => Ok(Box::new(admitted.into_iter()) as Addrs),
            }
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_4.iter().any(|net| v4(net).contains(&address)),
        IpAddr::V6(address) if v6(&NAT64).contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(address) => {
            v6(&GLOBAL_6).contains(&address) && !NOT_PUBLIC_6.iter().any(|net| v6(net).contains(&address))
        }
    }
}

fn v4(&(octets, length): &([u8; 4], u8)) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from(octets), length)
}

fn v6(&(segments, length): &([u16; 8], u8)) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from(segments), length)
}

impl AddressRefused {
    /// Whether it stands somewhere in the chain of an error.
    pub(crate) fn is_in(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<AddressRefused>() {
                return true;
            }
            next = error.source();
        }
        false
    }
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address that may be reached")
    }
}

impl Error for AddressRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allowed: &Allowed, address: &str) -> bool {
        allowed.admits(address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_may_be_reached() {
        let nothing = Allowed::default();
        for address in [
            "9.9.9.9",
            "193.99.144.80",
            "2a02:2e0:3fe:1001:302::1",
            "64:ff9b::909:909",
            "::ffff:9.9.9.9",
        ] {
            assert!(admits(&nothing, address), "{address}");
        }
        for address in [
            "127.0.0.1",
            "127.255.0.3",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
        ] {
            assert!(!admits(&nothing, address), "{address}");
        }
    }

    #[test]
    fn an_operator_may_allow_a_network_and_no_more_than_that() {
        let allowed = Allowed {
            private: vec!["10.1.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()],
            loopback: false,
        };
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::7", "9.9.9.9"] {
            assert!(admits(&allowed, address), "{address}");
        }
        for address in ["10.2.0.1", "fd00:2::7", "127.0.0.1"] {
            assert!(!admits(&allowed, address), "{address}");
        }
    }

    #[test]
    fn a_url_is_refused_however_an_address_is_spelled() {
        let nothing = Allowed::default();
        let check = |allowed: &Allowed, url: &str| allowed.check(&url.parse().unwrap());
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://169.254.169.254/x",
        ] {
            assert_eq!(check(&nothing, url), Err(UrlRefused::Address), "{url}");
        }
        assert_eq!(check(&nothing, "http://a.example/"), Err(UrlRefused::Scheme));
        assert_eq!(check(&nothing, "http://127.0.0.1/"), Err(UrlRefused::Scheme));
        assert_eq!(
            check(&nothing, "https://user:secret@a.example/"),
            Err(UrlRefused::Extras)
        );
        assert_eq!(check(&nothing, "https://a.example/#x"), Err(UrlRefused::Extras));
        assert_eq!(check(&nothing, "https://a.example:8443/hook?token=1"), Ok(()));
        let trial = Allowed {
            private: vec![],
            loopback: true,
        };
        for url in ["http://127.0.0.1:8080/", "http://[::1]/", "http://localhost:1/"] {
            assert_eq!(check(&trial, url), Ok(()), "{url}");
        }
        assert_eq!(check(&trial, "http://a.example/"), Err(UrlRefused::Scheme));
        assert_eq!(check(&trial, "http://localhost.a.example/"), Err(UrlRefused::Scheme));
    }

    #[tokio::test]
    async fn a_name_that_leads_here_resolves_to_nothing() {
        let resolve = async |allowed: Allowed| Resolver(Arc::new(allowed)).resolve("localhost".parse().unwrap()).await;
        let refused = resolve(Allowed::default()).await.err().unwrap();
        assert!(AddressRefused::is_in(refused.as_ref()));
        let trial = Allowed {
            private: vec![],
            loopback: true,
        };
        assert!(
            resolve(trial)
                .await
                .is_ok_and(|mut found| found.all(|one| one.ip().is_loopback()))
        );
    }
}
