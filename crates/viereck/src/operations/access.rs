//! Who may look and who may act at the operations interface: bearer tokens of operators.
//!
//! Only SHA-256 digests of tokens are kept, and they are compared in constant time, all of them for every request. The
//! name that belongs to a token is what stands in the audit trail, so nobody chooses a name of their own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use viereck_custody::Actor;
use viereck_routing::Digest;

use super::problem::{Code, Problem};
use crate::failure::{Exit, Failure};

/// Somebody who may use the interface: `[[operations.operator]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The name in the audit trail.
    pub name: String,
    /// The SHA-256 of the bearer token, in hexadecimal digits.
    pub token_sha256: Option<Digest>,
    /// A file that holds the same.
    pub token_sha256_file: Option<PathBuf>,
    /// What the token permits.
    #[serde(default)]
    pub may: May,
}

/// What a token permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum May {
    /// To see what there is.
    Look,
    /// To change things too.
    #[default]
    Act,
}

/// The operators of one process.
#[derive(Debug)]
pub(crate) struct Access(Vec<Known>);

#[derive(Debug)]
struct Known {
    actor: Actor,
    token: Digest,
    may: May,
}

impl Access {
    /// Reads the digests that stand in files.
    pub(crate) fn load(operators: &[Operator]) -> Result<Self, Failure> {
        let mut names = BTreeSet::new();
        let mut known = Vec::new();
        for operator in operators {
            let refuse = |sentence: &str| {
                let sentence = format!("operations.operator {:?}: {sentence}", operator.name);
                Failure::new(Exit::Usage, "config-invalid", sentence)
                    .help("`viereck config show --default` prints every key with its meaning.")
            };
            let actor = Actor::operator(&operator.name).map_err(|unfit| refuse(&unfit.to_string()))?;
            if !names.insert(&operator.name) {
                return Err(refuse("the name is used twice."));
            }
            let token = match (&operator.token_sha256, &operator.token_sha256_file) {
                (Some(digest), None) => *digest,
                (None, Some(file)) => {
                    let text = std::fs::read_to_string(file)
                        .map_err(|error| Failure::of_file("read the digest of a token in", file, &error))?;
                    let malformed =
                        "its file does not hold the SHA-256 of a token as 64 lower-case hexadecimal digits.";
                    text.trim().parse().map_err(|_| refuse(malformed))?
                }
                _ => return Err(refuse("exactly one of token_sha256 and token_sha256_file is set.")),
            };
            known.push(Known {
                actor,
                token,
                may: operator.may,
            });
        }
        Ok(Self(known))
    }

    /// The operator that this request comes from, if the token permits `wanted`.
    pub(crate) fn operator(&self, headers: &HeaderMap, wanted: May) -> Result<Actor, Problem> {
        let shown = Digest::of(bearer(headers)?.as_bytes());
        let mut found = None;
        for known in &self.0 {
            if verify_slices_are_equal(shown.octets(), known.token.octets()).is_ok() {
                found = Some(known);
            }
        }
        let known = found.ok_or_else(|| Problem::of(Code::Unauthenticated))?;
        match (known.may, wanted) {
            (May::Act, _) | (May::Look, May::Look) => Ok(known.actor.clone()),
            (May::Look, May::Act) => Err(Problem::of(Code::NotPermitted)),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::of(Code::Unauthenticated));
    };
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .unwrap_or_default();
    match scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        true => Ok(token.trim()),
        false => Err(Problem::of(Code::Unauthenticated)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, token: &str, may: May) -> Operator {
        Operator {
            name: name.to_owned(),
            token_sha256: Some(Digest::of(token.as_bytes())),
            token_sha256_file: None,
            may,
        }
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_says_who_it_is_and_what_is_permitted() {
        let operators = [operator("anna", "aaa", May::Act), operator("otto", "ooo", May::Look)];
        let access = Access::load(&operators).unwrap();
        let ask = |values: &[&str], wanted| access.operator(&headers(values), wanted);
        assert_eq!(ask(&["Bearer aaa"], May::Act).unwrap().as_str(), "operator:anna");
        assert_eq!(ask(&["bearer ooo"], May::Look).unwrap().as_str(), "operator:otto");
        assert_eq!(ask(&["Bearer ooo"], May::Act).unwrap_err().code, Code::NotPermitted);
        for wrong in [
            &[][..],
            &["Bearer x"],
            &["Basic aaa"],
            &["Bearer "],
            &["Bearer aaa", "Bearer aaa"],
        ] {
            assert_eq!(
                ask(wrong, May::Look).unwrap_err().code,
                Code::Unauthenticated,
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn names_are_one_each_and_fit_the_trail() {
        for wrong in [
            vec![operator("anna", "a", May::Act), operator("anna", "b", May::Act)],
            vec![operator("Anna\n", "a", May::Act)],
            vec![Operator {
                token_sha256: None,
                ..operator("anna", "a", May::Act)
            }],
        ] {
            assert_eq!(Access::load(&wrong).unwrap_err().code, "config-invalid");
        }
    }
}
