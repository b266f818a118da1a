//! PEM (RFC 7468) as everything here writes it: lines of 64 characters that end in a line feed.

use pem_rfc7468::LineEnding;

/// DER as PEM under a label such as `CERTIFICATE`.
pub fn pem(label: &str, der: &[u8]) -> String {
    // it fails for a label outside RFC 7468 and beyond the memory there is; the labels are ours
    pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}
