//! Access tokens of an authorisation server: what counts, and everything that does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use axum::Router;
use axum::http::StatusCode;
use base64_simd::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::pki::Authority;
use super::submissions::{answer, form, metadata};
use crate::gateway::Gateway;
use crate::testing::{Network, SENDER, Serving, eventually, token};

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "https://gateway.example";

/// Who signs tokens.
enum Signer {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl Signer {
    fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn rsa(encoding: &'static dyn RsaEncoding) -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), encoding)
    }

    fn jwk(&self, kid: &str) -> Value {
        let base64 = |octets: &[u8]| URL_SAFE_NO_PAD.encode_to_string(octets);
        match self {
            Signer::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": x, "y": y })
            }
            Signer::Rsa(key, _) => {
                let (_, key) = x509_parser::public_key::RSAPublicKey::from_der(key.public_key().as_ref()).unwrap();
                let PublicKey::RSA(key) = PublicKey::RSA(key) else {
                    unreachable!()
                };
                let modulus = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
                json!({ "kty": "RSA", "kid": kid, "n": base64(modulus), "e": base64(key.exponent) })
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// A token with this head and these claims.
fn jwt(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode_to_string(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode_to_string(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn header(alg: &str, kid: &str) -> Value {
    json!({ "alg": alg, "kid": kid, "typ": "at+jwt" })
}

fn claims() -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "wenig", "client_id": "dienst-1", "jti": "1",
        "iat": now, "exp": now + 300, "scope": "openid viereck:submit viereck:read",
    })
}

/// The server that has the keys.
struct Server {
    url: String,
    keys: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(keys: &[Value]) -> Self {
        let keys = Arc::new(Mutex::new(Some(json!({ "keys": keys }))));
        let asked = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (shown, count) = (Arc::clone(&keys), Arc::clone(&asked));
        let answer = move || {
            count.fetch_add(1, Ordering::Relaxed);
            let keys = shown.lock().unwrap().clone();
            async move {
                match keys {
                    Some(keys) => (StatusCode::OK, keys.to_string()),
                    None => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
                }
            }
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, keys, asked }
    }

    fn show(&self, keys: Option<&[Value]>) {
        *self.keys.lock().unwrap() = keys.map(|keys| json!({ "keys": keys }));
    }
}

struct Fixture {
    gateway: Arc<Gateway>,
    serving: Serving,
    server: Server,
    _network: Network,
}

impl Fixture {
    async fn new(keys: &[Value], more: Value) -> Self {
        let network = Network::new();
        let named = network.changed(
            "laender/01-schleswig-holstein/clients.toml",
            "[\"alles\"]\n",
            "[\"alles\"]\noauth_client = \"dienst-1\"\n",
        );
        network.in_force.send_replace(named);
        let server = Server::start(keys).await;
        let mut oauth = json!({ "issuer": ISSUER, "audience": AUDIENCE, "jwks_url": server.url });
        for (key, more) in more.as_object().unwrap() {
            oauth[key] = more.clone();
        }
        let limits = json!({ "unauthenticated_per_minute": 1000 });
        let config = json!({ "oauth": oauth, "limits": limits }).to_string();
        let gateway = network.gateway(SENDER, &config).await;
        let serving = Serving::start(&gateway).await;
        Self {
            gateway,
            serving,
            server,
            _network: network,
        }
    }

    /// What a submission with this token is answered: status, code, challenge.
    async fn post(&self, token: &str) -> (u16, String, Option<String>) {
        let key = viereck_routing::MessageId::random().to_string();
        let request = self.serving.http.post(format!("{}/v1/submissions", self.serving.base));
        let request = request.bearer_auth(token).header("Idempotency-Key", key);
        let response = request.multipart(form(&metadata())).send().await.unwrap();
        let challenge = response.headers().get("www-authenticate");
        let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or("none").to_owned(), challenge)
    }

    /// Posts until the answer has this status, as when the pause between two fetches is over; its code.
    async fn comes_to(&self, wanted: u16, token: &str) -> String {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let (status, code, _) = self.post(token).await;
            if status == wanted {
                return code;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{status} {code}, and never {wanted}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn refused(&self, what: &str, token: &str) {
        let (status, code, challenge) = self.post(token).await;
        assert_eq!((status, code.as_str()), (401, "unauthenticated"), "{what}");
        assert_eq!(challenge.as_deref(), Some("Bearer error=\"invalid_token\""), "{what}");
    }
}

#[tokio::test]
async fn a_token_of_the_server_stands_for_the_client_that_it_was_issued_to() {
    let (ec, pkcs, pss) = (
        Signer::ec(),
        Signer::rsa(&RSA_PKCS1_SHA256),
        Signer::rsa(&RSA_PSS_SHA256),
    );
    // what is of no use here does no harm
    let strange = json!({ "kty": "EC", "crv": "secp256k1", "kid": "x", "x": "AA", "y": "AA" });
    let keys = [strange, ec.jwk("ec"), pkcs.jwk("pkcs"), pss.jwk("pss")];
    let here = Fixture::new(&keys, json!({})).await;
    for (alg, kid, signer) in [("ES256", "ec", &ec), ("RS256", "pkcs", &pkcs), ("PS256", "pss", &pss)] {
        let token = jwt(&header(alg, kid), &claims(), |message| signer.sign(message));
        assert_eq!(here.post(&token).await.0, 202, "{alg}");
    }
    let cases = here.gateway.journal.in_flight().await.unwrap();
    assert_eq!(cases.len(), 3);
    // the rights are those of the entry of client_id, and never those of the client that sub might name
    let list = here.serving.http.get(format!("{}/v1/submissions", here.serving.base));
    let (status, body) = answer(list.bearer_auth(token("alles"))).await;
    assert_eq!((status, body["submissions"].as_array().unwrap().len()), (200, 3));

    let sign = |claims: &Value| jwt(&header("ES256", "ec"), claims, |message| ec.sign(message));
    let mut azp = claims();
    azp["azp"] = azp["client_id"].take();
    assert_eq!(here.post(&sign(&azp)).await.0, 202);
    let mut aud = claims();
    aud["aud"] = json!(["https://other.example", AUDIENCE]);
    assert_eq!(here.post(&sign(&aud)).await.0, 202);
    let long = json!({ "alg": "ES256", "kid": "ec", "typ": "application/AT+JWT" });
    assert_eq!(
        here.post(&jwt(&long, &claims(), |message| ec.sign(message))).await.0,
        202
    );
    // the tokens of the routing table count as before
    assert_eq!(here.post(&token("alles")).await.0, 202);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_it_does_not_count() {
    let ec = Signer::ec();
    let public = ec.jwk("ec");
    let rsa = Signer::rsa(&RSA_PKCS1_SHA256);
    // what is not understood in a set spoils no other entry
    let strange = json!({ "kty": "EC", "crv": "P-256", "kid": 7, "x5c": "AA", "x": "AA", "y": "AA" });
    let keys = [strange, json!(7), public.clone(), rsa.jwk("rsa")];
    let here = Fixture::new(&keys, json!({})).await;
    let sign = |claims: &Value| jwt(&header("ES256", "ec"), claims, |message| ec.sign(message));
    let now = Timestamp::now().as_second();
    let changed = |key: &str, value: Value| {
        let mut claims = claims();
        claims[key] = value;
        sign(&claims)
    };
    assert_eq!(here.post(&sign(&claims())).await.0, 202);
    for (key, value) in [
        ("aud", json!("https://other.example")),
        ("aud", json!(null)),
        ("iss", json!("https://login.example/")),
        ("iss", json!(null)),
        ("iss", json!([ISSUER, "https://other.example"])),
        ("exp", json!(now - 61)),
        ("exp", json!(null)),
        ("exp", json!("soon")),
        ("nbf", json!(now + 90)),
        ("iat", json!(now + 90)),
        ("iat", json!(null)),
        ("client_id", json!(null)),
        ("client_id", json!("wenig")),
        ("client_id", json!("alles")),
        ("cnf", json!({ "jkt": "AA" })),
        ("cnf", json!({ "x5t#S256": "AA" })),
    ] {
        here.refused(&format!("{key} = {value}"), &changed(key, value.clone()))
            .await;
    }
    // clocks may differ by a minute
    assert_eq!(here.post(&changed("exp", json!(now - 30))).await.0, 202);
    assert_eq!(here.post(&changed("nbf", json!(now + 30))).await.0, 202);

    let es = |header: Value| jwt(&header, &claims(), |message| ec.sign(message));
    here.refused("no type", &es(json!({ "alg": "ES256", "kid": "ec" })))
        .await;
    here.refused("an ID token", &es(json!({ "alg": "ES256", "kid": "ec", "typ": "JWT" })))
        .await;
    let critical = json!({ "alg": "ES256", "kid": "ec", "typ": "at+jwt", "crit": ["b64"], "b64": false });
    here.refused("critical", &es(critical)).await;
    let foreign = Signer::ec();
    let stolen = jwt(&header("ES256", "ec"), &claims(), |message| foreign.sign(message));
    here.refused("a foreign key", &stolen).await;
    // the key of a token comes from the server and never from the token
    let brought = json!({ "alg": "ES256", "kid": "ec", "typ": "at+jwt", "jwk": foreign.jwk("ec") });
    let brought = jwt(&brought, &claims(), |message| foreign.sign(message));
    here.refused("a key of its own", &brought).await;
    here.refused(
        "unknown key",
        &jwt(&header("ES256", "other"), &claims(), |m| ec.sign(m)),
    )
    .await;
    for none in ["none", "None", "NONE"] {
        let unsigned = jwt(&header(none, "ec"), &claims(), |_| Vec::new());
        here.refused(none, &unsigned).await;
    }
    // a public key is no secret to be shared
    for secret in [public.to_string(), public["x"].as_str().unwrap().to_owned()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let forged = jwt(&header("HS256", "ec"), &claims(), |message| {
            hmac::sign(&key, message).as_ref().to_vec()
        });
        here.refused("HS256", &forged).await;
    }
    here.refused("another kind", &jwt(&header("RS256", "ec"), &claims(), |m| ec.sign(m)))
        .await;
    here.refused(
        "another size",
        &jwt(&header("RS512", "rsa"), &claims(), |m| rsa.sign(m)),
    )
    .await;
    let token = sign(&claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    for broken in [
        message,
        "",
        "a.b.c",
        "..",
        &format!("{token}."),
        &format!("{message}.AAAA"),
    ] {
        let broken = if broken.is_empty() { "x" } else { broken };
        here.refused(broken, broken).await;
    }
    // within the size of a head, and longer than a token may be; nothing of it is looked at
    let mut huge = claims();
    huge["padding"] = json!("x".repeat(7000));
    here.refused("huge", &sign(&huge)).await;
    let twice = here.serving.http.get(format!("{}/v1/submissions", here.serving.base));
    let (status, body) = answer(twice.bearer_auth(&token).bearer_auth(&token)).await;
    assert_eq!((status, body["code"].as_str()), (401, Some("unauthenticated")));
    assert_eq!(here.gateway.journal.in_flight().await.unwrap().len(), 3);
}

#[tokio::test]
async fn scopes_lessen_what_the_entry_permits() {
    let ec = Signer::ec();
    let here = Fixture::new(&[ec.jwk("ec")], json!({ "read_scope": "lesen" })).await;
    let with = |scope: Value| {
        let mut claims = claims();
        claims["scope"] = scope;
        jwt(&header("ES256", "ec"), &claims, |message| ec.sign(message))
    };
    let list = async |token: &str| {
        let list = here.serving.http.get(format!("{}/v1/submissions", here.serving.base));
        answer(list.bearer_auth(token)).await.0
    };
    for missing in [
        json!("lesen"),
        json!(""),
        json!("viereck:submitx"),
        json!("VIERECK:SUBMIT"),
    ] {
        let (status, code, challenge) = here.post(&with(missing.clone())).await;
        assert_eq!((status, code.as_str()), (403, "not-permitted"), "{missing}");
        let wanted = "Bearer error=\"insufficient_scope\", scope=\"viereck:submit\"";
        assert_eq!(challenge.as_deref(), Some(wanted));
    }
    assert_eq!(here.post(&with(json!("viereck:submit"))).await.0, 202);
    assert_eq!(list(&with(json!("viereck:submit"))).await, 403);
    assert_eq!(list(&with(json!("lesen"))).await, 200);
}

#[tokio::test]
async fn keys_are_changed_by_the_server_and_kept_while_it_is_away() {
    let (old, new, later) = (Signer::ec(), Signer::ec(), Signer::ec());
    let here = Fixture::new(&[old.jwk("old")], json!({ "unknown_key_seconds": 1 })).await;
    let by = |signer: &Signer, kid: &str| jwt(&header("ES256", kid), &claims(), |message| signer.sign(message));
    assert_eq!(here.post(&by(&old, "old")).await.0, 202);
    // a token without an id stands for the only key
    let bare = json!({ "alg": "ES256", "typ": "at+jwt" });
    assert_eq!(
        here.post(&jwt(&bare, &claims(), |message| old.sign(message))).await.0,
        202
    );
    // a new key is found by the first token that names it
    here.server.show(Some(&[old.jwk("old"), new.jwk("new")]));
    here.comes_to(202, &by(&new, "new")).await;
    // with two keys it has to be named
    here.refused("no id", &jwt(&bare, &claims(), |message| old.sign(message)))
        .await;
    // the server is away: the keys are kept, and nobody can say of one that it is wrong
    here.server.show(None);
    let code = here.comes_to(503, &by(&later, "later")).await;
    assert_eq!(code, "issuer-unavailable");
    assert_eq!(here.post(&by(&old, "old")).await.0, 202);
    assert_eq!(here.post(&by(&new, "new")).await.0, 202);
    // back with another key, the old ones are taken back
    here.server.show(Some(&[later.jwk("later")]));
    here.comes_to(202, &by(&later, "later")).await;
    here.refused("taken back", &by(&old, "old")).await;
}

#[tokio::test]
async fn unknown_keys_do_not_make_the_server_work() {
    let ec = Signer::ec();
    let here = Fixture::new(&[ec.jwk("ec")], json!({})).await;
    let server = Arc::clone(&here.server.asked);
    eventually("the keys are fetched", || server.load(Ordering::Relaxed) == 1).await;
    for number in 0..20 {
        let kid = format!("unknown-{number}");
        here.refused(&kid, &jwt(&header("ES256", &kid), &claims(), |m| ec.sign(m)))
            .await;
    }
    assert_eq!(server.load(Ordering::Relaxed), 1, "fetched again within thirty seconds");
}

#[tokio::test]
async fn without_any_keys_nobody_can_say_whether_a_token_counts() {
    let ec = Signer::ec();
    let mut other_operations = ec.jwk("ec");
    other_operations["key_ops"] = json!(["encrypt"]);
    for wrong in [
        json!([]),
        json!([{ "kty": "oct", "k": "AAAA", "kid": "ec" }]),
        json!([other_operations]),
    ] {
        let here = Fixture::new(wrong.as_array().unwrap(), json!({})).await;
        let (status, code, _) = here.post(&jwt(&header("ES256", "ec"), &claims(), |m| ec.sign(m))).await;
        assert_eq!((status, code.as_str()), (503, "issuer-unavailable"));
        assert_eq!(here.post(&token("alles")).await.0, 202, "the table's own tokens do");
    }
}

#[tokio::test]
async fn a_file_of_keys_is_read_at_the_start_and_a_type_jwt_is_taken_where_it_is_said() {
    let ec = Signer::ec();
    let network = Network::new();
    let named = network.changed(
        "laender/01-schleswig-holstein/clients.toml",
        "[\"alles\"]\n",
        "[\"alles\"]\noauth_client = \"dienst-1\"\n",
    );
    network.in_force.send_replace(named);
    let file = network.folder.path().join("jwks.json");
    let oauth = json!({ "issuer": ISSUER, "audience": AUDIENCE, "jwks_file": file, "typ": "JWT" });
    let config = json!({ "oauth": oauth }).to_string();
    let unread = crate::readable(&crate::testing::config(SENDER, &config)).unwrap_err();
    assert!(unread.to_string().starts_with("jwks-unreadable: "), "{unread}");
    std::fs::write(&file, "{}").unwrap();
    let malformed = crate::readable(&crate::testing::config(SENDER, &config)).unwrap_err();
    assert!(malformed.to_string().starts_with("jwks-malformed: "), "{malformed}");
    std::fs::write(&file, json!({ "keys": [ec.jwk("ec")] }).to_string()).unwrap();
    let gateway = network.gateway(SENDER, &config).await;
    let serving = Serving::start(&gateway).await;
    let post = async |typ: Value| {
        let header = json!({ "alg": "ES256", "kid": "ec", "typ": typ });
        let token = jwt(&header, &claims(), |message| ec.sign(message));
        let request = serving.http.post(format!("{}/v1/submissions", serving.base));
        let request = request.bearer_auth(token).header("Idempotency-Key", typ.to_string());
        answer(request.multipart(form(&metadata()))).await.0
    };
    assert_eq!(post(json!("JWT")).await, 202);
    assert_eq!(post(json!("at+jwt")).await, 202);
    assert_eq!(post(json!("logout+jwt")).await, 401);
}

#[test]
fn a_token_that_is_bound_to_a_certificate_counts_with_that_certificate() {
    // by the parts, because the whole needs a connection: see tls
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ec = Signer::ec();
        let here = Fixture::new(&[ec.jwk("ec")], json!({})).await;
        let authority = Authority::new("authority");
        let (own, other) = (authority.client("own").sha256, authority.client("other").sha256);
        let mut bound = claims();
        bound["cnf"] = json!({ "x5t#S256": URL_SAFE_NO_PAD.encode_to_string(own.octets()) });
        let token = jwt(&header("ES256", "ec"), &bound, |message| ec.sign(message));
        let oauth = here.gateway.access.oauth.as_ref().unwrap();
        assert_eq!(oauth.verify(&token, Some(&own)).await.unwrap().client, "dienst-1");
        assert!(oauth.verify(&token, Some(&other)).await.is_err());
        assert!(oauth.verify(&token, None).await.is_err());
        // bound to something else as well, which nobody here can check
        bound["cnf"]["jkt"] = json!("AA");
        let token = jwt(&header("ES256", "ec"), &bound, |message| ec.sign(message));
        assert!(oauth.verify(&token, Some(&own)).await.is_err());
    });
}
