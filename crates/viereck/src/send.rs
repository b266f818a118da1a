//! `viereck send`: an ordinary client of a sender gateway's HTTP interface, for trials and support.
//!
//! It knows no more than any client does: a URL and a bearer token, which comes from a file or from the variable
//! `VIERECK_TOKEN`, never from the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Map, Value, json};
use viereck_routing::LeistungId;

use crate::envelope::media_type;
use crate::failure::{Exit, Failure, Position};
use crate::http_client;
use crate::output;
use crate::routes::PlaceFlags;

/// The variable that may hold the bearer token instead of a file.
const TOKEN_VARIABLE: &str = "VIERECK_TOKEN";

/// `viereck send`.
#[derive(Debug, Args)]
pub struct Send {
    /// The file that becomes the payload
    #[arg(value_name = "FILE")]
    payload: PathBuf,
    /// The Leistung applied for
    #[arg(long, value_name = "KEY")]
    leistung: LeistungId,
    #[command(flatten)]
    place: PlaceFlags,
    /// The sender gateway
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8001")]
    url: String,
    /// A file that holds the bearer token, or an access token; else the variable VIERECK_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authorities to trust for an https URL, PEM; those of the host if left out
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The schema of the payload; if left out, the only one that the authority accepts
    #[arg(long, value_name = "URN")]
    schema: Option<String>,
    /// The media type of the payload; if left out, by the file's extension
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    /// A JSON file with the rest of the metadata: applicant, replyChannel, consents, payment, clientReference
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// A file to attach; may be given several times
    #[arg(long, value_name = "FILE")]
    attachment: Vec<PathBuf>,
    /// The Idempotency-Key; a new one if left out
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// The gateway's answer as it came, one JSON document
    #[arg(long)]
    json: bool,
}

/// Posts one application and prints its ids.
pub async fn run(args: &Send) -> Result<(), Failure> {
    let gateway = Gateway::new(args)?;
    let place = args.place.place().map(|place| place.to_string()).unwrap_or_default();
    let schema = match &args.schema {
        Some(schema) => schema.clone(),
        None => gateway.only_schema(&args.leistung, &place).await?,
    };
    let media_type = args
        .media_type
        .clone()
        .unwrap_or_else(|| media_type(&args.payload).to_owned());
    let mut metadata = args.metadata.as_deref().map(object).transpose()?.unwrap_or_default();
    metadata.insert("leistung".to_owned(), json!(args.leistung));
    metadata.insert("region".to_owned(), json!(place));
    metadata.insert("payloadSchema".to_owned(), json!(schema));
    metadata.insert("mediaType".to_owned(), json!(media_type));
    let mut form = Form::new()
        .part(
            "metadata",
            typed(Part::text(Value::Object(metadata).to_string()), "application/json")?,
        )
        .part("payload", part(&args.payload, &media_type)?);
    for attachment in &args.attachment {
        form = form.part("attachment", part(attachment, self::media_type(attachment))?);
    }
    let answer = gateway.post(form, args.idempotency_key.as_deref()).await?;
    if args.json {
        return output::json(&answer);
    }
    let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or("?");
    output::text(&format!(
        "submissionId {}\ncaseId       {}\nbehoerde     {}\nstatus       {}\nfiledAt      {}\n",
        field("submissionId"),
        field("caseId"),
        field("behoerde"),
        field("status"),
        field("filedAt"),
    ))
}

/// The gateway that is posted to.
struct Gateway {
    http: Client,
    url: String,
    token: String,
}

impl Gateway {
    fn new(args: &Send) -> Result<Self, Failure> {
        Ok(Self {
            http: http_client::new(args.ca.as_deref(), Duration::from_secs(60))?,
            url: args.url.trim_end_matches('/').to_owned(),
            token: token(args.token_file.as_deref())?,
        })
    }

    async fn only_schema(&self, leistung: &LeistungId, place: &str) -> Result<String, Failure> {
        let parameter = if place.len() == 8 { "ags" } else { "ars" };
        let request = self
            .http
            .get(format!(
                "{}/v1/routes?leistung={leistung}&{parameter}={place}",
                self.url
            ))
            .bearer_auth(&self.token);
        let answer = self.answer(request.send().await).await?;
        let schemas: Vec<&str> = answer["accepts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        match schemas[..] {
            [only] => Ok(only.to_owned()),
            [] => Err(Failure::new(
                Exit::Findings,
                "no-route",
                "Nobody there accepts an application for this Leistung.",
            )
            .help("`viereck routes explain` tells why.")),
            _ => Err(Failure::new(
                Exit::Usage,
                "schema-missing",
                "The authority accepts more than one schema.",
            )
            .help(format!("Choose one with --schema: {}.", schemas.join(", ")))),
        }
    }

    async fn post(&self, form: Form, key: Option<&str>) -> Result<Value, Failure> {
        let key = key.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        let request = self
            .http
            .post(format!("{}/v1/submissions", self.url))
            .bearer_auth(&self.token)
            .header("Idempotency-Key", key)
            .multipart(form);
        self.answer(request.send().await).await
    }

    /// The JSON of a success; a problem as the failure that it is.
    async fn answer(&self, response: Result<Response, reqwest::Error>) -> Result<Value, Failure> {
        let unreachable = |error: reqwest::Error| {
            let sentence = format!("{} cannot be reached: {}", self.url, error.without_url());
            Failure::new(Exit::Unreachable, "gateway-unreachable", sentence)
                .help("Is the sender gateway running there?")
        };
        let response = response.map_err(unreachable)?;
        let status = response.status();
        let body: Value = serde_json::from_slice(&response.bytes().await.map_err(unreachable)?).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        let field = |name: &str| body.get(name).and_then(Value::as_str);
        let told = field("detail").or(field("title")).unwrap_or("no further word");
        let code = field("code").unwrap_or("no code");
        let code = field("reason").map_or_else(|| code.to_owned(), |reason| format!("{code}: {reason}"));
        let sentence = format!("The gateway answered {} ({code}): {told}", status.as_u16());
        let failure = Failure::new(exit(status), "gateway-refused", sentence);
        Err(match field("hint") {
            Some(hint) => failure.help(hint),
            None => failure,
        })
    }
}

fn exit(status: StatusCode) -> Exit {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::NotPermitted,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT => Exit::Conflict,
        StatusCode::TOO_MANY_REQUESTS => Exit::Unreachable,
        status if status.is_client_error() => Exit::Findings,
        _ => Exit::Unreachable,
    }
}

fn token(file: Option<&Path>) -> Result<String, Failure> {
    let text = match file {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| Failure::of_file("read the token", file, &error))?
        }
        None => std::env::var(TOKEN_VARIABLE).map_err(|_| {
            Failure::new(Exit::Usage, "token-missing", "There is no bearer token.")
                .help(format!("Name its file with --token-file, or set {TOKEN_VARIABLE}."))
        })?,
    };
    Ok(text.trim().to_owned())
}

fn object(file: &Path) -> Result<Map<String, Value>, Failure> {
    let text = std::fs::read(file).map_err(|error| Failure::of_file("read the metadata", file, &error))?;
    // serde's own message would repeat what stands there, which is about people.
    serde_json::from_slice(&text).map_err(|error| {
        let position = Position {
            file: file.to_owned(),
            line: error.line(),
            column: error.column(),
        };
        Failure::new(Exit::Usage, "metadata-invalid", "The metadata are no JSON object.").at(position)
    })
}

fn part(path: &Path, media_type: &str) -> Result<Part, Failure> {
    let octets = std::fs::read(path).map_err(|error| Failure::of_file("read", path, &error))?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    typed(Part::bytes(octets).file_name(name), media_type)
}

fn typed(part: Part, media_type: &str) -> Result<Part, Failure> {
    part.mime_str(media_type).map_err(|_| {
        Failure::new(
            Exit::Usage,
            "media-type-invalid",
            format!("{media_type} is no media type."),
        )
    })
}
