//! The command line as a client of an operations interface.
//!
//! The address comes from `[operations]` of the configuration, the token from a file, never from the command line itself.
//! What is told back is the interface's own problem: its code decides the exit code.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::problem::{Body, Code};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::http_client;

/// The variable that may name the file of the token.
const TOKEN_FILE: &str = "VIERECK_OPERATOR_TOKEN_FILE";

/// How long an answer may take; a doctor looks for a while.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the operations interface is reached.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Reach {
    /// The operations interface, if not the one of [operations] in the configuration
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A file that holds an operator's bearer token; else the file that VIERECK_OPERATOR_TOKEN_FILE names
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The authorities to trust for it, PEM; those of the host if left out
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl Reach {
    /// Whether a token was named for whoever asks.
    pub(crate) fn has_token(&self) -> bool {
        self.token_file.is_some() || std::env::var_os(TOKEN_FILE).is_some()
    }
}

/// A client with an address and a token.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// The client that `reach` and the configuration make.
    pub(crate) fn new(config: &Config, reach: &Reach) -> Result<Self, Failure> {
        let url = match (&reach.url, &config.operations) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(settings)) => {
                let mut address = settings.listen;
                if address.ip().is_unspecified() {
                    address.set_ip(match address.is_ipv4() {
                        true => std::net::Ipv4Addr::LOCALHOST.into(),
                        false => std::net::Ipv6Addr::LOCALHOST.into(),
                    });
                }
                let scheme = if settings.tls.is_some() { "https" } else { "http" };
                format!("{scheme}://{address}")
            }
            (None, None) => {
                let sentence = "The configuration has no operations interface.";
                return Err(Failure::new(Exit::Usage, "operations-missing", sentence)
                    .help("Add [operations] with listen and an operator to it, or name the interface with --url."));
            }
        };
        Ok(Self {
            http: http_client::new(reach.ca.as_deref(), PATIENCE)?,
            url,
            token: token(reach)?,
        })
    }

    /// Asks.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.url)).map_err(|_| {
            Failure::new(Exit::Usage, "url-invalid", format!("{} is no URL.", self.url)).help("Write http://host:port.")
        })?;
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        self.answer(self.http.get(url)).await
    }

    /// Acts.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.http.request(Method::POST, format!("{}{path}", self.url));
        self.answer(request.json(body)).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let unreachable = |error: reqwest::Error| {
            let sentence = format!("{} cannot be reached: {}", self.url, error.without_url());
            Failure::new(Exit::Unreachable, "operations-unreachable", sentence)
                .help("Is the process running, and does it listen there?")
        };
        let response = request.bearer_auth(&self.token).send().await.map_err(unreachable)?;
        let status = response.status();
        let octets = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&octets).map_err(|_| not_ours(&self.url));
        }
        let problem: Body = serde_json::from_slice(&octets).map_err(|_| not_ours(&self.url))?;
        let code = Code::of(&problem.code).ok_or_else(|| not_ours(&self.url))?;
        let sentence = match problem.detail {
            Some(detail) => format!("{}: {detail}.", problem.title),
            None => format!("{}.", problem.title),
        };
        Err(Failure::new(code.exit(), code.as_str(), sentence).help(problem.hint))
    }
}

fn not_ours(url: &str) -> Failure {
    let sentence = format!("{url} answers, but not as an operations interface of this version.");
    Failure::new(Exit::Unexpected, "answer-malformed", sentence)
        .help("Is it the port of [operations], and are both of the same version?")
}

fn token(reach: &Reach) -> Result<String, Failure> {
    let file = match &reach.token_file {
        Some(file) => file.clone(),
        None => std::env::var_os(TOKEN_FILE).map(PathBuf::from).ok_or_else(|| {
            Failure::new(Exit::NotPermitted, "token-missing", "There is no operator's token.")
                .help(format!("Name its file with --token-file, or set {TOKEN_FILE}."))
        })?,
    };
    let text = std::fs::read_to_string(&file).map_err(|error| Failure::of_file("read the token", &file, &error))?;
    Ok(text.trim().to_owned())
}
