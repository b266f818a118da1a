//! Runs the TLS scanner that is not ours: PyPI's `sslyze`, in the folder that `tests/run` makes.
//!
//! What it could not find out counts as a weakness: a scan that broke off must not look like one that found nothing.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

/// The interpreter with the scanner.
pub struct Sslyze {
    program: PathBuf,
}

/// Mozilla's recommendations, which the scanner compares with on its own.
#[derive(Debug, Clone, Copy)]
pub enum TlsConfiguration {
    /// TLS 1.3 alone.
    Modern,
    /// TLS 1.2 too.
    Intermediate,
}

/// What the scanner found.
pub struct Scan {
    found: Value,
    /// Its last words, when what it found is not as recommended.
    objections: Option<String>,
}

/// A weakness: the scan, the field of its result, and what stands there when there is none.
const HARMLESS: [(&str, &str, &[&str]); 7] = [
    ("tls_compression", "supports_compression", &["false"]),
    ("tls_1_3_early_data", "supports_early_data", &["false"]),
    ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", &["false"]),
    ("heartbleed", "is_vulnerable_to_heartbleed", &["false"]),
    (
        "robot",
        "robot_result",
        &["\"NOT_VULNERABLE_RSA_NOT_SUPPORTED\"", "\"NOT_VULNERABLE_NO_ORACLE\""],
    ),
    (
        "session_renegotiation",
        "is_vulnerable_to_client_renegotiation_dos",
        &["false"],
    ),
    ("tls_extended_master_secret", "supports_ems_extension", &["true"]),
];

/// What there is in TLS 1.2 only, so that the scanner cannot look for it elsewhere.
const OF_TLS12: [&str; 2] = ["session_renegotiation", "tls_extended_master_secret"];

impl Sslyze {
    /// The interpreter that `tests/run` prepared.
    pub fn find() -> anyhow::Result<Self> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let program = root.join("target/interop/sslyze/bin/python");
        if !program.exists() {
            bail!("{} is not there: run tests/run --only prepare", program.display());
        }
        Ok(Self { program })
    }

    /// Scans a server on this host by the name `localhost`, whose certificate is of the authorities in `ca`.
    pub fn scan(&self, address: SocketAddr, ca: &Path, wanted: TlsConfiguration) -> anyhow::Result<Scan> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("scan.json");
        let wanted = match wanted {
            TlsConfiguration::Modern => "modern",
            TlsConfiguration::Intermediate => "intermediate",
        };
        let mut command = Command::new(&self.program);
        command.args(["-m", "sslyze", "--mozilla_config", wanted]);
        // beside what the comparison asks for
        command.args(["--certinfo", "--early_data", "--fallback", "--resum", "--ems"]);
        command.arg("--certinfo_ca_file").arg(ca).arg("--json_out").arg(&out);
        command.arg(format!("localhost:{}{{{}}}", address.port(), address.ip()));
        let output = command.output().with_context(|| format!("starting {command:?}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = std::fs::read_to_string(&out)
            .with_context(|| format!("{said}{}", String::from_utf8_lossy(&output.stderr)))?;
        let whole: Value = serde_json::from_str(&text)?;
        let result = &whole["server_scan_results"][0];
        if result["scan_status"] != "COMPLETED" {
            bail!("the scan did not end: {result}");
        }
        // the comparison is at the end of what it says
        let from = said.find("COMPLIANCE").unwrap_or_default();
        Ok(Scan {
            found: result["scan_result"].clone(),
            objections: (!output.status.success()).then(|| said[from..].to_owned()),
        })
    }
}

impl Scan {
    /// The suites that are accepted of a version, sorted; a version whose scan failed has a suite of that name.
    pub fn suites(&self, version: &str) -> Vec<String> {
        let scan = &self.found[format!("{version}_cipher_suites")];
        let Some(accepted) = scan["result"]["accepted_cipher_suites"].as_array() else {
            return vec![format!("not scanned: {}", scan["error_reason"])];
        };
        let name = |suite: &Value| suite["cipher_suite"]["name"].as_str().unwrap_or_default().to_owned();
        let mut suites: Vec<String> = accepted.iter().map(name).collect();
        suites.sort();
        suites
    }

    /// The curves on which keys are agreed on.
    pub fn curves(&self) -> Vec<String> {
        let curves = self.found["elliptic_curves"]["result"]["supported_curves"].as_array();
        let name = |curve: &Value| curve["name"].as_str().unwrap_or_default().to_owned();
        curves.into_iter().flatten().map(name).collect()
    }

    /// What is weak, or was not found out.
    pub fn weaknesses(&self) -> Vec<String> {
        let mut weak: Vec<String> = Vec::new();
        let without_tls12 = self.suites("tls_1_2").is_empty();
        for (scan, field, harmless) in HARMLESS {
            if without_tls12 && OF_TLS12.contains(&scan) {
                continue;
            }
            let found = self.found[scan]["result"][field].to_string();
            if !harmless.contains(&found.as_str()) {
                weak.push(format!(
                    "{scan}: {field} is {found}, {}",
                    self.found[scan]["error_reason"]
                ));
            }
        }
        if !without_tls12 {
            let resumed = &self.found["session_resumption"]["result"];
            for field in ["session_id_resumption_result", "tls_ticket_resumption_result"] {
                if resumed[field] != "NOT_SUPPORTED" {
                    weak.push(format!("session_resumption: {field} is {}", resumed[field]));
                }
            }
        }
        weak.extend(self.objections.clone());
        weak
    }

    /// What was found, in a few lines.
    pub fn table(&self) -> String {
        let mut table = String::new();
        for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"] {
            let suites = self.suites(version);
            let suites = match suites.is_empty() {
                true => "no".to_owned(),
                false => suites.join(" "),
            };
            let _ = writeln!(table, "  {version:<10} {suites}");
        }
        let _ = writeln!(table, "  curves     {}", self.curves().join(" "));
        let weak = self.weaknesses();
        let _ = write!(
            table,
            "  weak       {}",
            if weak.is_empty() {
                "nothing".to_owned()
            } else {
                weak.join("; ")
            }
        );
        table
    }
}
