//! What the demonstration files, and how: as any client would, over HTTP.

use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::samples::{self, Document};
use crate::failure::{Exit, Failure};

/// One application to be filed.
pub struct Application {
    /// What it is, for the story.
    pub about: &'static str,
    /// The Leistung.
    pub leistung: &'static str,
    /// The place, as ARS.
    pub region: &'static str,
    /// The schema of the payload.
    pub schema: &'static str,
    /// The payload.
    pub payload: Document,
    /// What is attached.
    pub attachments: Vec<Document>,
    /// The mailbox that the Bescheid shall reach.
    pub mailbox: Uuid,
}

/// What the gateway said to it.
pub enum Filed {
    /// It is the gateway's now.
    Promised(Receipt),
    /// Refused with this code; nothing was stored.
    Refused {
        /// The stable code.
        code: String,
        /// What the gateway says to it.
        detail: String,
        /// Whether the same request may be taken later.
        may_pass: bool,
    },
}

/// The gateway's answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Names the application from now on.
    pub submission_id: String,
    /// Its case.
    pub case_id: String,
    /// The authority that is competent.
    pub behoerde: String,
}

/// Wohngeld.
pub const WOHNGELD: &str = "99107023037000";
/// Einbürgerung.
pub const EINBUERGERUNG: &str = "99099002067003";
/// Führungszeugnis.
pub const FUEHRUNGSZEUGNIS: &str = "99049001001000";

/// Niebüll in Schleswig-Holstein, which decides on Wohngeld itself.
pub const NIEBUELL: &str = "010545489088";
/// Husum, a town of the same Kreis.
pub const HUSUM: &str = "010540056056";
/// Ratzeburg, in the Kreis that is not connected.
pub const RATZEBURG: &str = "010530100100";
/// Köln in Nordrhein-Westfalen.
pub const KOELN: &str = "053150000000";
/// Münster.
pub const MUENSTER: &str = "055150000000";
/// Kiel.
pub const KIEL: &str = "010020000000";

/// The applications of the demonstration: XML and JSON, with and without attachment, two Länder and the Bund, one that
/// the table refuses and one that the Fachverfahren rejects.
pub fn all() -> Result<Vec<Application>, Failure> {
    let reader = |id: &str| {
        id.parse()
            .map_err(|error| Failure::new(Exit::Unexpected, "sample-invalid", format!("{id}: {error}")))
    };
    let niebuell = samples::wohngeld_xml(1, &reader("wgb:010540880000")?);
    let muenster = samples::wohngeld_xml(3, &reader("wgb:055150000000")?);
    let kiel = samples::einbuergerung(4, &reader("ebb:010020000000")?);
    let einbuergerung = samples::einbuergerung(5, &reader("ebb:055150000000")?);
    let zeugnis = samples::fuehrungszeugnis(6);
    Ok(vec![
        application(
            "Wohngeld in Niebüll, XML",
            WOHNGELD,
            NIEBUELL,
            samples::WOHNGELD,
            niebuell,
        ),
        Application {
            about: "Wohngeld in Köln, JSON",
            ..wohngeld_json(2, KOELN)
        },
        Application {
            attachments: vec![samples::mietvertrag(3)],
            ..application(
                "Wohngeld in Münster, XML and a PDF of 2 MiB",
                WOHNGELD,
                MUENSTER,
                samples::WOHNGELD,
                muenster,
            )
        },
        application(
            "Einbürgerung in Kiel, XML",
            EINBUERGERUNG,
            KIEL,
            samples::EINBUERGERUNG,
            kiel,
        ),
        application(
            "Einbürgerung in Münster, XML",
            EINBUERGERUNG,
            MUENSTER,
            samples::EINBUERGERUNG,
            einbuergerung,
        ),
        application(
            "Führungszeugnis from the Bund, JSON",
            FUEHRUNGSZEUGNIS,
            HUSUM,
            samples::FUEHRUNGSZEUGNIS,
            zeugnis,
        ),
        Application {
            about: "Wohngeld in Husum with a code that no list knows",
            payload: samples::wohngeld_json_with_unknown_code(7),
            ..wohngeld_json(7, HUSUM)
        },
        Application {
            about: "Wohngeld in Ratzeburg, whose Kreis is not connected",
            ..wohngeld_json(8, RATZEBURG)
        },
    ])
}

/// The applicant `number` applies for Wohngeld, in JSON; the Bescheid goes to a mailbox of its own.
pub fn wohngeld_json(number: u32, region: &'static str) -> Application {
    application(
        "Wohngeld, JSON",
        WOHNGELD,
        region,
        samples::WOHNGELD_JSON,
        samples::wohngeld_json(number),
    )
}

fn application(
    about: &'static str,
    leistung: &'static str,
    region: &'static str,
    schema: &'static str,
    payload: Document,
) -> Application {
    Application {
        about,
        leistung,
        region,
        schema,
        payload,
        attachments: vec![],
        mailbox: Uuid::new_v4(),
    }
}

/// A client of the sender gateway.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    gateway: String,
    token: String,
}

impl Client {
    /// A client of the gateway at `gateway`, e.g. `http://127.0.0.1:8001`.
    pub fn new(gateway: String, token: String) -> Self {
        Self {
            http: reqwest::Client::new(),
            gateway,
            token,
        }
    }

    /// Files one application.
    pub async fn file(&self, application: &Application) -> Result<Filed, Failure> {
        self.file_as(application, &Uuid::new_v4().to_string()).await
    }

    /// Files one application under a key of the client's own.
    pub async fn file_as(&self, application: &Application, key: &str) -> Result<Filed, Failure> {
        let metadata = json!({
            "leistung": application.leistung,
            "region": application.region,
            "payloadSchema": application.schema,
            "mediaType": application.payload.media_type,
            "applicant": { "kind": "person", "level": 4, "attributes": { "familienname": "Beispiel" } },
            "replyChannel": { "mailbox": application.mailbox, "level": 3 },
        });
        let metadata = Part::text(metadata.to_string())
            .mime_str("application/json")
            .map_err(unreachable)?;
        let mut form = Form::new()
            .part("metadata", metadata)
            .part("payload", part(&application.payload)?);
        for attachment in &application.attachments {
            form = form.part("attachment", part(attachment)?);
        }
        let request = self
            .http
            .post(format!("{}/v1/submissions", self.gateway))
            .bearer_auth(&self.token);
        let response = request
            .header("Idempotency-Key", key)
            .multipart(form)
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let body: Value = response.json().await.map_err(unreachable)?;
        if status.is_success() {
            let receipt = serde_json::from_value(body).map_err(|error| {
                Failure::new(
                    Exit::Unexpected,
                    "answer-unreadable",
                    format!("The gateway's answer: {error}"),
                )
            })?;
            return Ok(Filed::Promised(receipt));
        }
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Ok(Filed::Refused {
            code: field("code"),
            detail: field("detail"),
            may_pass: status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429),
        })
    }

    /// What the gateway answers to a GET, e.g. of `/v1/submissions/…`, waiting up to `seconds` for a change.
    pub async fn get(&self, path: &str, seconds: u8) -> Result<Value, Failure> {
        let request = self
            .http
            .get(format!("{}{path}", self.gateway))
            .bearer_auth(&self.token);
        let response = request
            .header("Prefer", format!("wait={seconds}"))
            .send()
            .await
            .map_err(unreachable)?;
        response.json().await.map_err(unreachable)
    }
}

fn part(document: &Document) -> Result<Part, Failure> {
    Part::stream(document.octets.clone())
        .file_name(document.name)
        .mime_str(document.media_type)
        .map_err(unreachable)
}

fn unreachable(error: reqwest::Error) -> Failure {
    Failure::new(
        Exit::Unreachable,
        "gateway-unreachable",
        format!("The gateway did not answer: {}", error.without_url()),
    )
}
