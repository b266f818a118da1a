//! Validates octets against the schemas in `schemas/`.
//!
//! Each schema is compiled once for the whole test binary. A document type declaration is refused before anything
//! else: nothing that travels may have one. A schema states shape only; whether octets are canonical, or a signature
//! right, is the verifier's to say.

use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, anyhow, ensure};
use uppsala::{Parser, XsdValidator};

/// One of our schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// `envelope-1.xsd`: what gateways and the broker exchange.
    Envelope,
    /// `receipt-1.xsd`: batches of custody receipts.
    Receipt,
    /// `wohngeld-antrag-1.xsd`: the sample Fachstandard.
    Wohngeld,
}

/// A compiled schema, or why it is none.
type Compiled = LazyLock<Result<XsdValidator, String>>;

static ENVELOPE: Compiled = LazyLock::new(|| compile("envelope-1.xsd"));
static RECEIPT: Compiled = LazyLock::new(|| compile("receipt-1.xsd"));
static WOHNGELD: Compiled = LazyLock::new(|| compile("wohngeld-antrag-1.xsd"));

impl Schema {
    /// Fails with every violation where `octets` are not a document of this schema.
    pub fn validate(self, octets: &[u8]) -> anyhow::Result<()> {
        let schema = match self {
            Schema::Envelope => &ENVELOPE,
            Schema::Receipt => &RECEIPT,
            Schema::Wohngeld => &WOHNGELD,
        };
        let schema = schema.as_ref().map_err(|error| anyhow!("{error}"))?;
        let text = std::str::from_utf8(octets).context("not UTF-8")?;
        let document = Parser::new().with_forbid_dtd(true).parse(text)?;
        let violations: Vec<String> = schema.validate(&document).iter().map(ToString::to_string).collect();
        ensure!(violations.is_empty(), "{self:?}: {}", violations.join("; "));
        Ok(())
    }
}

fn compile(file: &str) -> Result<XsdValidator, String> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas")).join(file);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let document = Parser::new()
        .with_forbid_dtd(true)
        .parse(&text)
        .map_err(|error| format!("{file}: {error}"))?;
    XsdValidator::from_schema(&document).map_err(|error| format!("{file}: {error}"))
}
