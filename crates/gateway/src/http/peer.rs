//! From where a request comes, and what it shows of who sends it.
//!
//! Nothing here is believed yet; `access` judges it.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use viereck_routing::Digest;

use crate::gateway::Gateway;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Where it is, as it counts for limits.
    pub(crate) origin: Origin,
    /// The SHA-256 of the certificate whose key it has, issued by an authority of the configuration.
    pub(crate) certificate: Option<Digest>,
}

/// An address as it counts for limits: of IPv6 the network of 64 bits, because a single customer has as many addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                Self(Ipv6Addr::from_bits(network).into())
            }
            address => Self(address),
        }
    }
}

/// What a request shows.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) peer: Peer,
    pub(crate) authorization: Authorization,
}

/// The header `Authorization`. Shows no token in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// There is none.
    Absent,
    /// A bearer token.
    Bearer(String),
    /// Another scheme, no token, or more than one header.
    Other,
}

impl Authorization {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Self::Absent,
            (Some(value), None) => value.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => return Self::Other,
        };
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
                Self::Bearer(token.trim().to_owned())
            }
            _ => Self::Other,
        }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Authorization::Absent => "Absent",
            Authorization::Bearer(_) => "Bearer(***)",
            Authorization::Other => "Other",
        })
    }
}

impl FromRequestParts<Arc<Gateway>> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Infallible> {
        // every connection is served with its peer; one without would count with all others of its kind
        let unknown = Peer {
            origin: Origin(Ipv4Addr::UNSPECIFIED.into()),
            certificate: None,
        };
        Ok(Self {
            peer: parts.extensions.get().copied().unwrap_or(unknown),
            authorization: Authorization::of(&parts.headers),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_counts_as_one_whatever_address_it_uses() {
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff::9"));
        assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
    }

    #[test]
    fn a_bearer_token_stands_in_one_header() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            Authorization::of(&headers)
        };
        assert_eq!(of(&[]), Authorization::Absent);
        assert_eq!(of(&["bearer abc"]), Authorization::Bearer("abc".to_owned()));
        for other in [
            &["Basic abc"][..],
            &["Bearer"],
            &["Bearer  "],
            &["Bearer a", "Bearer a"],
        ] {
            assert_eq!(of(other), Authorization::Other, "{other:?}");
        }
    }

    #[test]
    fn a_token_is_not_shown_to_whoever_prints_a_request() {
        let asking = Asking {
            peer: Peer {
                origin: Origin(Ipv4Addr::LOCALHOST.into()),
                certificate: None,
            },
            authorization: Authorization::Bearer("geheim".to_owned()),
        };
        let printed = format!("{asking:?} {asking:#?}");
        assert!(
            printed.contains("Bearer(***)") && !printed.contains("geheim"),
            "{printed}"
        );
    }
}
