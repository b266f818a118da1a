//! Every mistake a client, a Fachverfahren or an operator can make, with a word in what is wrong. What the answer says is
//! kept, with its headers.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use viereck::demo::applications::{EINBUERGERUNG, HUSUM, KOELN, RATZEBURG, WOHNGELD};
use viereck::demo::site::RECEIVER_SH;

use super::life::{Lived, dressed, file, form, form_of, metadata};
use super::world::World;

/// What a gateway must have said in the end. The rest of its codes tell of its own state (503, 500), which no request brings
/// about, or of a routing table that this network does not have (choice-needed).
const PROVOKED: [&str; 19] = [
    "content-in-flight",
    "content-not-kept",
    "idempotency-key-missing",
    "idempotency-key-reused",
    "level-too-low",
    "method-not-allowed",
    "no-route",
    "not-connected",
    "not-found",
    "not-permitted",
    "payload-invalid",
    "quota-exceeded",
    "request-timeout",
    "schema-not-accepted",
    "too-large",
    "too-many-webhooks",
    "unauthenticated",
    "unsupported-encoding",
    "webhook-url-not-allowed",
];

struct Refused<'a> {
    world: &'a World,
    codes: BTreeSet<String>,
}

/// Makes them all.
pub(super) async fn provoke(world: &World, lived: &Lived) {
    let mut refused = Refused {
        world,
        codes: BTreeSet::new(),
    };
    refused.by_head().await;
    refused.by_metadata().await;
    refused.by_form(lived).await;
    refused.by_path(lived).await;
    refused.by_fachverfahren(lived).await;
    refused.by_operator().await;
    refused.by_octets().await;
    refused.by_quota().await;
    println!("refusals: {:?}", refused.codes);
    for code in PROVOKED {
        assert!(
            refused.codes.contains(code),
            "{code} was not provoked: {:?}",
            refused.codes
        );
    }
}

impl Refused<'_> {
    fn word(&self, place: &str) -> String {
        self.world.canaries.word(&format!("refused: {place}"))
    }

    /// A request as the client makes it.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = Client::new().request(method, format!("{}{path}", self.world.sender()));
        request.bearer_auth(self.world.client_token())
    }

    fn submit(&self, form: Form) -> RequestBuilder {
        let key = uuid::Uuid::new_v4().to_string();
        self.request(Method::POST, "/v1/submissions")
            .header("Idempotency-Key", key)
            .multipart(form)
    }

    /// Sends it, and keeps the answer, which has to be a refusal.
    async fn send(&mut self, what: &str, request: RequestBuilder) {
        let answer = request.send().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.unwrap();
        let shown = String::from_utf8_lossy(&body);
        assert!(status.is_client_error(), "{what}: {status}: {shown}");
        self.world
            .refusals
            .keep(format!("{what}: {status} {headers:?}").as_bytes());
        self.world.refusals.keep(&body);
        let problem: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{what}: {error}: {shown}"));
        self.codes.insert(problem["code"].as_str().unwrap().to_owned());
    }

    async fn by_head(&mut self) {
        let good = || form(&metadata(WOHNGELD, HUSUM), "{}");
        let post = |world: &World| {
            Client::new()
                .post(format!("{}/v1/submissions", world.sender()))
                .multipart(good())
        };
        let stranger = post(self.world).bearer_auth(self.word("bearer token"));
        self.send("a token nobody has", dressed(self.world, stranger)).await;
        let basic = post(self.world).basic_auth(self.word("user"), Some(self.word("password")));
        self.send("another scheme", basic).await;
        let twice = post(self.world)
            .bearer_auth(self.word("bearer token"))
            .bearer_auth(self.word("second bearer token"));
        self.send("two tokens", twice).await;
        for key in [
            format!("{} {}", self.word("Idempotency-Key"), "x"),
            self.word("long Idempotency-Key").repeat(20),
        ] {
            let request = self
                .request(Method::POST, "/v1/submissions")
                .header("Idempotency-Key", key)
                .multipart(good());
            self.send("a key that is none", request).await;
        }
        let encoded = self
            .submit(good())
            .header("Content-Encoding", self.word("Content-Encoding"));
        self.send("an encoding", encoded).await;
        let request = self
            .request(Method::POST, "/v1/submissions")
            .header("Idempotency-Key", "k");
        let other = request
            .header("Content-Type", format!("text/{}", self.word("Content-Type")))
            .body(self.word("body"));
        self.send("no form", other).await;
        let request = self
            .request(Method::POST, "/v1/submissions")
            .header("Idempotency-Key", "k");
        let boundary = self.word("boundary");
        let broken = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{}",
            self.word("broken form")
        );
        let broken = request
            .header("Content-Type", format!("multipart/form-data; boundary={boundary}"))
            .body(broken);
        self.send("a form without an end", broken).await;
        let method = Method::from_bytes(self.word("method").as_bytes()).unwrap();
        let method = self.request(method, "/v1/submissions");
        self.send("a method", method).await;
    }

    async fn by_metadata(&mut self) {
        let mut all = vec![];
        let mut change = |place: &str, change: &dyn Fn(&mut Value, String)| {
            let mut changed = metadata(WOHNGELD, HUSUM);
            change(&mut changed, self.word(place));
            all.push((place.to_owned(), changed));
        };
        for key in [
            "leistung",
            "region",
            "payloadSchema",
            "mediaType",
            "caseId",
            "applicant",
            "replyChannel",
            "consents",
            "payment",
        ] {
            change(&format!("value of {key}"), &|said, word| said[key] = json!(word));
        }
        change("value of behoerde", &|said, word| {
            said["behoerde"] = json!(word);
            said.as_object_mut().unwrap().remove("region");
        });
        change("key", &|said, word| said[&word] = json!(1));
        change("key within applicant", &|said, word| {
            said["applicant"][&word] = json!(1)
        });
        change("level", &|said, word| said["applicant"]["level"] = json!(word));
        change("kind that is too long", &|said, word| {
            said["applicant"]["kind"] = json!(word.repeat(9))
        });
        change("clientReference that is too long", &|said, word| {
            said["clientReference"] = json!(word.repeat(30))
        });
        change("clientReference that is a list", &|said, word| {
            said["clientReference"] = json!([word])
        });
        change("mailbox that is too long", &|said, word| {
            said["replyChannel"] = json!({ "mailbox": word.repeat(30), "level": 3 })
        });
        change("channel without a level", &|said, word| {
            said["replyChannel"] = json!({ "mailbox": word })
        });
        change("consents that are texts", &|said, word| {
            said["consents"] = json!([word])
        });
        change("name of somebody with too low a level", &|said, word| {
            said["applicant"] = json!({ "kind": "person", "level": 1, "attributes": { "familyName": word } });
        });
        for (place, leistung, region) in [
            ("name of somebody without an authority", EINBUERGERUNG, "091620000000"),
            ("name of somebody in Ratzeburg", WOHNGELD, RATZEBURG),
        ] {
            change(place, &|said, word| {
                *said = metadata(leistung, region);
                said["applicant"]["attributes"]["familyName"] = json!(word);
            });
        }
        for (place, said) in all {
            let request = self.submit(form(&said, "{}"));
            self.send(&place, request).await;
        }
        let json = format!("{{\"leistung\": {}", self.word("metadata that is no JSON"));
        let part = Part::text(json).mime_str("application/json").unwrap();
        let request = self.submit(Form::new().part("metadata", part));
        self.send("metadata that is no JSON", request).await;
        let request = Client::new().post(format!("{}/v1/submissions", self.world.sender()));
        let said = metadata(WOHNGELD, KOELN);
        let other = self.world.corners.site.client_token("nur-wohngeld-sh").unwrap();
        let request = request
            .bearer_auth(other)
            .header("Idempotency-Key", "k")
            .multipart(form(&said, &self.word("payload of the other client")));
        self.send("another Land", request).await;
    }

    async fn by_form(&mut self, lived: &Lived) {
        let said = metadata(WOHNGELD, HUSUM);
        let part = |word: String| Part::text(word);
        let more = |name: String, part: Part| form(&said, "{}").part(name, part);
        let mut all = vec![
            (
                "name of a part",
                more(self.word("name of a part"), part(self.word("a part of no name"))),
            ),
            (
                "the same part twice",
                more("payload".to_owned(), part(self.word("second payload"))),
            ),
            (
                "no payload",
                Form::new().part("metadata", part(self.word("metadata alone"))),
            ),
            (
                "an empty payload",
                form_of(&said, file(&self.word("name of an empty payload"), "text/plain", "")),
            ),
            (
                "a name with a control character",
                form_of(
                    &said,
                    file(&format!("{}\t", self.word("name with a tab")), "text/plain", "{}"),
                ),
            ),
            (
                "a name that is too long",
                form_of(
                    &said,
                    file(&self.word("name that is too long").repeat(20), "text/plain", "{}"),
                ),
            ),
            (
                "too large a payload",
                form(&said, &self.word("payload that is too large").repeat(300_000)),
            ),
        ];
        for header in ["content-encoding", "content-transfer-encoding"] {
            let mut headers = HeaderMap::new();
            headers.insert(header, self.word(&format!("{header} of a part")).parse().unwrap());
            all.push((header, form_of(&said, part("{}".to_owned()).headers(headers))));
        }
        for (what, form) in all {
            let request = self.submit(form);
            self.send(what, request).await;
        }
        let key = self.world.canaries.word("Idempotency-Key");
        let request = self
            .request(Method::POST, "/v1/submissions")
            .header("Idempotency-Key", key);
        let request = request.multipart(form(&said, &self.word("payload under a key that was used")));
        self.send("a key that was used", request).await;
        let request = self.request(Method::DELETE, &format!("/v1/submissions/{}/content", lived.rejected));
        assert_eq!(request.send().await.unwrap().status(), 204);
        for submission in [&lived.rejected, &lived.witness] {
            let request = self.request(Method::GET, &format!("/v1/submissions/{submission}/content"));
            self.send("no content", request).await;
        }
        // nobody takes it over while this runs
        let waits = self
            .submit(form(
                &metadata(WOHNGELD, KOELN),
                &json!({ "name": self.word("payload that waits") }).to_string(),
            ))
            .send()
            .await
            .unwrap();
        let waits: Value = waits.json().await.unwrap();
        let path = format!("/v1/submissions/{}/content", waits["submissionId"].as_str().unwrap());
        let request = self.request(Method::GET, &path);
        self.send("content in flight", request).await;
    }

    async fn by_path(&mut self, lived: &Lived) {
        let word = self.word("path");
        for path in [
            format!("/v1/{word}"),
            format!("/{word}/../%2e%2e/{word}"),
            format!("/v1/submissions/{word}"),
            format!("/v1/submissions/{word}/events"),
            format!("/v1/submissions/{word}/content"),
            format!("/v1/webhooks/{word}"),
            format!("/v1/webhooks/{word}/deliveries"),
            format!("/v1/submissions/{}/{word}", lived.witness),
        ] {
            let request = self.request(Method::GET, &path);
            self.send(&path.replace(&word, "…"), request).await;
        }
        let word = self.word("query");
        for key in [
            "status", "since", "leistung", "behoerde", "overdue", "cursor", "limit", &word,
        ] {
            let request = self.request(Method::GET, &format!("/v1/submissions?{key}={word}"));
            self.send("a query of submissions", request).await;
            let request = self.request(Method::GET, &format!("/v1/routes?{key}={word}"));
            self.send("a query of routes", request).await;
        }
        for method in [Method::PATCH, Method::PUT] {
            let request = self
                .request(method, &format!("/v1/submissions/{word}"))
                .body(self.word("body of another method"));
            self.send("another method", request).await;
        }
        for path in ["enable", "test", "secret", "deliveries/x/redeliver"] {
            let request = self.request(Method::POST, &format!("/v1/webhooks/{word}/{path}"));
            self.send("a webhook nobody has", request).await;
        }
        for url in [
            self.word("URL that is none"),
            format!("ftp://{}.example/", self.word("host of another scheme")),
            format!(
                "https://{}:{}@example.org/",
                self.word("user in a URL"),
                self.word("password in a URL")
            ),
            format!("https://10.0.0.1/{}", self.word("path at a private address")),
            format!("https://example.org/#{}", self.word("fragment")),
        ] {
            let request = self.request(Method::POST, "/v1/webhooks").json(&json!({ "url": url }));
            self.send("a URL that is not called", request).await;
        }
        let strange = json!({ self.word("key of a webhook"): self.word("value of a webhook") });
        let request = self.request(Method::POST, "/v1/webhooks").json(&strange);
        self.send("a webhook without a URL", request).await;
        let hook = |place: &str| json!({ "url": format!("{}/{}", self.world.around.webhooks.1, self.world.canaries.word(place)) });
        let (second, third) = (hook("URL of a webhook"), hook("refused: URL of one webhook too many"));
        let made = self
            .request(Method::POST, "/v1/webhooks")
            .json(&second)
            .send()
            .await
            .unwrap();
        assert!(made.status().is_success());
        let request = self.request(Method::POST, "/v1/webhooks").json(&third);
        self.send("one webhook too many", request).await;
    }

    async fn by_fachverfahren(&mut self, lived: &Lived) {
        let token = self.world.corners.site.fachverfahren_token(RECEIVER_SH).unwrap();
        let reply = |case: &str, token: &str, metadata: Value, word: String| {
            let request = Client::new().post(format!("{}/v1/cases/{case}/replies", self.world.receiver()));
            let request = request
                .bearer_auth(token)
                .header("Idempotency-Key", uuid::Uuid::new_v4().to_string());
            request.multipart(form_of(&metadata, file(&word, "text/plain", &word)))
        };
        let good = || json!({ "kind": "bescheid", "title": self.word("title of a refused Bescheid") });
        let all = [
            (
                "a stranger",
                reply(
                    &lived.case,
                    &self.word("token of no Fachverfahren"),
                    good(),
                    self.word("Bescheid of a stranger"),
                ),
            ),
            (
                "a case that is none",
                reply(
                    &self.word("case that is none"),
                    &token,
                    good(),
                    self.word("Bescheid of no case"),
                ),
            ),
            (
                "a case nobody has",
                reply(
                    &uuid::Uuid::new_v4().to_string(),
                    &token,
                    good(),
                    self.word("Bescheid of no case"),
                ),
            ),
            (
                "another kind",
                reply(
                    &lived.case,
                    &token,
                    json!({ "kind": self.word("kind"), "title": "x" }),
                    "x".to_owned(),
                ),
            ),
            (
                "a day that is none",
                reply(
                    &lived.case,
                    &token,
                    json!({ "kind": "question", "title": "x", "dueDate": self.word("day") }),
                    "x".to_owned(),
                ),
            ),
            (
                "a message that is none",
                reply(
                    &lived.case,
                    &token,
                    json!({ "kind": "question", "title": "x", "inReplyTo": self.word("inReplyTo") }),
                    "x".to_owned(),
                ),
            ),
            (
                "a title that is too long",
                reply(
                    &lived.case,
                    &token,
                    json!({ "kind": "question", "title": self.word("long title").repeat(30) }),
                    "x".to_owned(),
                ),
            ),
            (
                "a key",
                reply(
                    &lived.case,
                    &token,
                    json!({ "kind": "question", "title": "x", self.word("key of a reply"): 1 }),
                    "x".to_owned(),
                ),
            ),
        ];
        for (what, request) in all {
            self.send(what, request).await;
        }
    }

    async fn by_operator(&mut self) {
        let word = self.word("an operator's mistake");
        let tokens = ["token of operator anna", "token of operator otto"].map(|who| self.world.canaries.word(who));
        for role in ["sender", "broker", "receiver"] {
            let at = self.world.operations_of(role);
            let client = Client::new();
            let get = |path: &str| client.get(format!("{at}{path}")).bearer_auth(&tokens[0]);
            let post = |path: &str, token: &str| client.post(format!("{at}{path}")).bearer_auth(token);
            let all = [
                (
                    "a stranger",
                    client
                        .get(format!("{at}/v1/parked"))
                        .bearer_auth(self.word("token of no operator")),
                ),
                (
                    "who may look only",
                    post("/v1/pause", &tokens[1]).json(&json!({ "reason": word })),
                ),
                ("a path", get(&format!("/v1/{word}"))),
                ("an id that is none", get(&format!("/v1/parked/{word}"))),
                (
                    "nothing parked",
                    get(&format!("/v1/parked/{}?custodian={word}", uuid::Uuid::new_v4())),
                ),
                ("a filter", get(&format!("/v1/messages?status={word}&client={word}"))),
                ("an unknown question", get(&format!("/v1/messages?{word}={word}"))),
                (
                    "a reference nobody used",
                    get(&format!("/v1/messages/find?reference={word}")),
                ),
                (
                    "a key nobody used",
                    get(&format!("/v1/messages/find?key={word}&client={word}")),
                ),
                ("a target", get(&format!("/v1/audit?since={word}"))),
                (
                    "no order",
                    post("/v1/pause", &tokens[0]).json(&json!({ "scope": word, "reason": word, word.as_str(): 1 })),
                ),
                (
                    "a reason of two lines",
                    post("/v1/pause", &tokens[0])
                        .json(&json!({ "scope": { "gateway": "gw-sh-1" }, "reason": format!("{word}\n{word}") })),
                ),
                (
                    "no JSON",
                    post("/v1/resume", &tokens[0])
                        .header("content-type", "application/json")
                        .body(word.clone()),
                ),
                (
                    "erase nothing",
                    post(&format!("/v1/messages/{word}/erase"), &tokens[0]).json(&json!({ "reason": "x" })),
                ),
                (
                    "no such job",
                    post(&format!("/v1/jobs/{word}/stop"), &tokens[0]).json(&json!({ "reason": "x" })),
                ),
            ];
            for (what, request) in all {
                let answer = request.send().await.unwrap();
                let (status, headers) = (answer.status(), answer.headers().clone());
                let body = answer.bytes().await.unwrap();
                // some of these are questions with an empty answer
                let refused = status.is_client_error() || what == "a filter" || what.contains("nobody used");
                assert!(refused, "{role}: {what}: {status}: {}", String::from_utf8_lossy(&body));
                self.world
                    .refusals
                    .keep(format!("{what}: {status} {headers:?}").as_bytes());
                self.world.refusals.keep(&body);
            }
        }
    }

    /// What is no HTTP at all, or stops half-way.
    async fn by_octets(&mut self) {
        let word = self.word("octets that are no HTTP");
        let token = self.world.client_token();
        let head = format!(
            "POST /v1/submissions HTTP/1.1\r\nhost: {word}\r\nauthorization: Bearer {token}\r\nidempotency-key: {word}\r\n"
        );
        let addresses = [self.world.corners.listen[0], self.world.corners.listen[1]];
        let operations = self.world.operations.values().copied();
        for address in addresses.into_iter().chain(operations) {
            for octets in [
                format!("{word}\r\n\r\n"),
                format!("GET /{word} HTTP/9.9\r\n{word}\r\n\r\n"),
                format!("GET / HTTP/1.1\r\nbad header {word}: 1\r\n\r\n"),
                format!("{head}content-length: {word}\r\n\r\n"),
                format!("{head}transfer-encoding: {word}\r\n\r\n{word}"),
                format!("{head}transfer-encoding: chunked\r\n\r\n{word}\r\n"),
                format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", word.repeat(1000)),
                format!("GET / HTTP/1.1\r\n{}\r\n", format!("{word}: 1\r\n").repeat(70)),
            ] {
                self.say(address, &octets, Duration::from_secs(4)).await;
            }
        }
        let boundary = self.word("boundary of a form that stops");
        let part = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"metadata\"\r\n\r\n{word}");
        let form = format!(
            "{head}content-type: multipart/form-data; boundary={boundary}\r\ncontent-length: 9999\r\n\r\n{part}"
        );
        let answer = self
            .say(self.world.corners.listen[0], &form, Duration::from_secs(20))
            .await;
        assert!(answer.contains("request-timeout"), "{answer}");
        self.codes.insert("request-timeout".to_owned());
    }

    /// What is answered, until the other side closes or for so long.
    async fn say(&self, address: std::net::SocketAddr, octets: &str, patience: Duration) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        // the other side may close before it has read everything
        let _broken = stream.write_all(octets.as_bytes()).await;
        let mut answer = vec![];
        let reading = stream.read_to_end(&mut answer);
        let _open = tokio::time::timeout(patience, reading).await;
        self.world.refusals.keep(&answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The other client has sixty requests a minute.
    async fn by_quota(&mut self) {
        let token = self.world.corners.site.client_token("nur-wohngeld-sh").unwrap();
        for _ in 0..80 {
            let request = Client::new()
                .post(format!("{}/v1/webhooks", self.world.sender()))
                .bearer_auth(&token);
            let url = format!("https://10.0.0.1/{}", self.word("URL beyond the quota"));
            let request = request.json(&json!({ "url": url }));
            self.send("beyond the quota", request).await;
            if self.codes.contains("quota-exceeded") {
                return;
            }
        }
    }
}
