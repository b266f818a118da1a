//! Where a message is sent to, and what its key says about where it came from.
//!
//! The three exchanges a program may write to, each with its own grammar of keys. The keys of `viereck.ingress` and
//! `viereck.receipts` name gateways; RabbitMQ checks who may write which, so they tell who wrote, not only what for.

use std::fmt;

use viereck_routing::{BehoerdeId, CustodianId, GatewayId, LeistungId};

/// Where a message is sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An envelope from this gateway to the broker: `viereck.ingress`, `submit.<gateway>`.
    Submit(GatewayId),
    /// A receipt batch from this gateway to the broker: `viereck.ingress`, `receipt.<gateway>`.
    Receipt(GatewayId),
    /// An envelope from the broker to whoever serves this reader: `viereck.route`.
    Route {
        /// The participant that reads it.
        reader: BehoerdeId,
        /// Given where there is a delivery for just this Leistung.
        leistung: Option<LeistungId>,
    },
    /// An envelope from the broker to this very gateway, whomever it serves by now: a second copy goes where the first one
    /// went. `viereck.route`, `gateway.<gateway>`.
    Gateway(GatewayId),
    /// A verified receipt batch on its way to the gateway concerned: `viereck.receipts`, `<from>.<to>`.
    Receipts {
        /// Whose batch it is.
        from: CustodianId,
        /// Whom it concerns.
        to: GatewayId,
    },
}

/// Under which delivery of a reader an envelope is routed: the key of one binding of `viereck.route`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteKey {
    /// The participant that reads.
    pub reader: BehoerdeId,
    /// Given where the delivery is for just this Leistung.
    pub leistung: Option<LeistungId>,
}

/// Who wrote a message, as far as its key tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An envelope this gateway submitted.
    Submit(GatewayId),
    /// A receipt batch this gateway wrote.
    Receipt(GatewayId),
    /// A receipt batch the broker passed on.
    Receipts {
        /// Whose batch it is.
        from: CustodianId,
        /// Whom it concerns.
        to: GatewayId,
    },
}

/// The exchanges a message can first be published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Exchange {
    Ingress,
    Route,
    Receipts,
}

impl Exchange {
    pub(crate) const ALL: [Self; 3] = [Self::Ingress, Self::Route, Self::Receipts];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingress => "viereck.ingress",
            Self::Route => "viereck.route",
            Self::Receipts => "viereck.receipts",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|exchange| exchange.name() == name)
    }
}

impl Address {
    pub(crate) fn exchange(&self) -> Exchange {
        match self {
            Self::Submit(_) | Self::Receipt(_) => Exchange::Ingress,
            Self::Route { .. } | Self::Gateway(_) => Exchange::Route,
            Self::Receipts { .. } => Exchange::Receipts,
        }
    }

    /// The routing key, as a delivery repeats it.
    pub fn key(&self) -> String {
        match self {
            Self::Submit(gateway) => format!("submit.{gateway}"),
            Self::Receipt(gateway) => format!("receipt.{gateway}"),
            Self::Route { reader, leistung: None } => reader.to_string(),
            Self::Route {
                reader,
                leistung: Some(leistung),
            } => format!("{reader}.{leistung}"),
            // no participant is called like that: their identifiers have a colon
            Self::Gateway(gateway) => format!("gateway.{gateway}"),
            Self::Receipts { from, to } => format!("{from}.{to}"),
        }
    }
}

impl From<RouteKey> for Address {
    fn from(key: RouteKey) -> Self {
        Self::Route {
            reader: key.reader,
            leistung: key.leistung,
        }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.leistung {
            None => write!(f, "{}", self.reader),
            Some(leistung) => write!(f, "{}.{leistung}", self.reader),
        }
    }
}

impl Origin {
    /// Reads the key of a message that was first published to `exchange`. Keys of `viereck.route` name no writer: the
    /// broker alone writes there.
    pub(crate) fn parse(exchange: Exchange, key: &str) -> Option<Self> {
        let (first, second) = key.split_once('.')?;
        let to: GatewayId = second.parse().ok()?;
        match exchange {
            Exchange::Ingress if first == "submit" => Some(Self::Submit(to)),
            Exchange::Ingress if first == "receipt" => Some(Self::Receipt(to)),
            Exchange::Receipts => Some(Self::Receipts {
                from: first.parse().ok()?,
                to,
            }),
            Exchange::Ingress | Exchange::Route => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(id: &str) -> GatewayId {
        id.parse().unwrap()
    }

    #[test]
    fn an_address_is_found_again_in_its_key() {
        let submit = Address::Submit(gateway("gw-sh-1"));
        assert_eq!(
            Origin::parse(submit.exchange(), &submit.key()),
            Some(Origin::Submit(gateway("gw-sh-1")))
        );
        let receipt = Address::Receipt(gateway("gw-sh-1"));
        assert_eq!(
            Origin::parse(receipt.exchange(), &receipt.key()),
            Some(Origin::Receipt(gateway("gw-sh-1")))
        );
        // A gateway may be called like a word of another exchange's grammar.
        let receipts = Address::Receipts {
            from: gateway("submit"),
            to: gateway("gw-nw-1"),
        };
        assert_eq!(
            Origin::parse(receipts.exchange(), &receipts.key()),
            Some(Origin::Receipts {
                from: gateway("submit"),
                to: gateway("gw-nw-1")
            })
        );
    }

    #[test]
    fn a_key_that_names_no_gateway_has_no_origin() {
        for key in [
            "",
            "submit",
            "submit.",
            "submit.GW",
            "submit.gw.x",
            "other.gw-1",
            ".gw-1",
            "submit..gw-1",
        ] {
            assert_eq!(Origin::parse(Exchange::Ingress, key), None, "{key}");
        }
        assert_eq!(Origin::parse(Exchange::Route, "submit.gw-1"), None);
        assert_eq!(Origin::parse(Exchange::Receipts, "Broker.gw-1"), None);
    }

    #[test]
    fn a_more_exact_delivery_has_the_longer_key() {
        let reader: BehoerdeId = "wgb:010540880000".parse().unwrap();
        let leistung: LeistungId = "99107023037000".parse().unwrap();
        let key = RouteKey {
            reader: reader.clone(),
            leistung: Some(leistung),
        };
        assert_eq!(key.to_string(), "wgb:010540880000.99107023037000");
        assert_eq!(Address::from(key.clone()).key(), key.to_string());
        assert_eq!(RouteKey { reader, leistung: None }.to_string(), "wgb:010540880000");
    }
}
