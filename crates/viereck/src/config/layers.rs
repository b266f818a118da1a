//! The layers of a configuration, put on top of each other, with the origin of every value.
//!
//! Built-in defaults < file < `conf.d/*.toml` beside it, in the order of their names < `VIERECK__SECTION__KEY` < flags.
//! Tables are merged key by key; an array is replaced as a whole, or one element's key by its index
//! (`VIERECK__GATEWAY__0__LISTEN`). Guarantees: every value knows where it came from, every error where it stands.
//! Does not know what any key means.

use std::path::{Path, PathBuf};

use config::{ConfigError, Value, ValueKind};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path as KeyPath, Segment};
use toml::de::{DeTable, DeValue};

pub use super::layer::Setting;
use super::layer::{Settings, TomlText, variable};
use crate::failure::{Exit, Failure, Position};

/// The built-in defaults: the commented file that is also the reference.
pub const DEFAULTS: &str = include_str!("../../reference/viereck.toml");

/// What the origin of a built-in default is called.
pub const BUILT_IN: &str = "built in";

/// What a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file; without one, the other layers alone.
    pub file: Option<PathBuf>,
    /// The environment's variables; those that do not begin with `VIERECK__` are ignored.
    pub variables: Vec<(String, String)>,
    /// Flags of the command line that set a key.
    pub flags: Vec<Setting>,
}

/// All layers of one configuration.
#[derive(Debug)]
pub struct Layers {
    root: Value,
    files: Vec<(PathBuf, String)>,
}

impl Sources {
    /// This file and the variables of this process.
    pub fn of_process(file: Option<&Path>) -> Self {
        // A value that is not Unicode cannot be a configuration value; lossy, so that it is refused where it is used.
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        Self {
            file: file.map(Path::to_owned),
            variables: std::env::vars_os()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            flags: Vec::new(),
        }
    }
}

impl Layers {
    /// Reads all layers.
    pub fn read(sources: &Sources) -> Result<Self, Failure> {
        let mut files = Vec::new();
        if let Some(file) = &sources.file {
            files.push(read_toml(file)?);
            for extra in beside(file)? {
                files.push(read_toml(&extra)?);
            }
        }
        let mut builder = config::Config::builder().add_source(TomlText::new(BUILT_IN, DEFAULTS));
        for (file, text) in &files {
            builder = builder.add_source(TomlText::new(&file.display().to_string(), text));
        }
        let variables = sources
            .variables
            .iter()
            .filter_map(|(name, value)| variable(name, value));
        let root = builder
            .add_source(Settings(variables.collect()))
            .add_source(Settings(sources.flags.clone()))
            .build()
            .map_err(|error| invalid(&error.to_string()))?
            .cache;
        Ok(Self { root, files })
    }

    /// The merged values.
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Every single value with its key; tables in the order of their keys, arrays in their own.
    pub fn leaves(&self) -> Vec<(String, &Value)> {
        let mut leaves = Vec::new();
        collect_leaves(String::new(), &self.root, &mut leaves);
        leaves
    }

    /// Where the key stands; the nearest table around it when the key itself stands nowhere.
    pub fn position(&self, key: &str) -> Option<Position> {
        let segments: Vec<String> = segments(key);
        let mut best: Option<(usize, Position)> = None;
        for (file, text) in self.files.iter().rev() {
            let Some((depth, offset)) = find(text, &segments) else {
                continue;
            };
            if best.as_ref().is_none_or(|(deepest, _)| depth > *deepest) {
                best = Some((depth, Position::in_text(file, text, offset)));
            }
        }
        best.map(|(_, position)| position)
    }

    /// What set the value at `key`.
    pub fn origin(&self, key: &str) -> Option<&str> {
        origin_of(&self.root, &segments(key))
    }

    /// Reads `value`, which stands at `key`, as a `T`; an error names key and position.
    pub fn typed<T: DeserializeOwned>(&self, key: &str, value: Value) -> Result<T, Failure> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let key = join(key, error.path());
            let origin = self.origin(&key);
            let sentence = format!(
                "{}: {}.",
                if key.is_empty() { "configuration" } else { &key },
                cause(error.inner())
            );
            match origin.filter(|origin| !self.is_file(origin)) {
                Some(origin) => invalid(&format!("{sentence} It was set by {origin}.")),
                None => invalid(&sentence).at(self.position(&key)),
            }
        })
    }

    /// A finding about the value at `key`.
    pub fn refuse(&self, key: &str, sentence: &str) -> Failure {
        invalid(&format!("{key}: {sentence}")).at(self.position(key))
    }

    fn is_file(&self, origin: &str) -> bool {
        origin == BUILT_IN || self.files.iter().any(|(file, _)| file.display().to_string() == origin)
    }
}

fn invalid(sentence: &str) -> Failure {
    Failure::new(Exit::Usage, "config-invalid", sentence)
        .help("`viereck config show --default` prints every key with its meaning.")
}

/// What a `config` error says without key and origin, which are told apart from it, and without the value itself, which
/// may be a secret.
fn cause(error: &ConfigError) -> String {
    match error {
        ConfigError::At { error, .. } => cause(error),
        ConfigError::NotFound(key) => format!("the key {} is missing", key.rsplit('.').next().unwrap_or(key)),
        ConfigError::Type { expected, .. } => format!("expected {expected}"),
        other => other.to_string(),
    }
}

fn read_toml(file: &Path) -> Result<(PathBuf, String), Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|error| Failure::of_file("read the configuration", file, &error))?;
    match DeTable::parse(&text) {
        Ok(_) => Ok((file.to_owned(), text)),
        Err(error) => {
            let position = error.span().map(|span| Position::in_text(file, &text, span.start));
            Err(invalid(&format!("This is not TOML: {}.", error.message())).at(position))
        }
    }
}

/// The files of `conf.d` beside `file`, in the order of their names.
fn beside(file: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = file.with_file_name("conf.d");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let refuse = |error| Failure::of_file("read the folder", &folder, &error);
    let entries: Result<Vec<_>, _> = std::fs::read_dir(&folder).map_err(refuse)?.collect();
    let mut files: Vec<PathBuf> = entries.map_err(refuse)?.iter().map(std::fs::DirEntry::path).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}

fn collect_leaves<'a>(key: String, value: &'a Value, leaves: &mut Vec<(String, &'a Value)>) {
    match &value.kind {
        ValueKind::Table(table) => {
            let mut keys: Vec<_> = table.iter().collect();
            keys.sort_by_key(|(name, _)| *name);
            for (name, value) in keys {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                collect_leaves(key, value, leaves);
            }
        }
        ValueKind::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                collect_leaves(format!("{key}[{index}]"), value, leaves);
            }
        }
        _ => leaves.push((key, value)),
    }
}

/// `gateway[0].listen` as `gateway`, `0`, `listen`.
fn segments(key: &str) -> Vec<String> {
    key.split(['.', '[', ']'])
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect()
}

fn join(key: &str, path: &KeyPath) -> String {
    let mut joined = key.to_owned();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => joined.push_str(&format!("[{index}]")),
            Segment::Map { key } if joined.is_empty() => joined.push_str(key),
            Segment::Map { key } => joined.push_str(&format!(".{key}")),
            // Variants of an enum are values, not keys; unknown segments have no name.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    joined
}

fn origin_of<'a>(root: &'a Value, segments: &[String]) -> Option<&'a str> {
    let mut value = root;
    for segment in segments {
        value = match &value.kind {
            ValueKind::Table(table) => table.get(segment)?,
            ValueKind::Array(array) => array.get(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    value.origin()
}

/// How many of `segments` stand in `text`, and at which octet the last of them does.
fn find(text: &str, segments: &[String]) -> Option<(usize, usize)> {
    let document = DeTable::parse(text).ok()?;
    let mut value = DeValue::Table(document.into_inner());
    let mut found = None;
    for (depth, segment) in segments.iter().enumerate() {
        let (offset, next) = match value {
            DeValue::Table(table) => {
                let entry = table.into_iter().find(|(key, _)| key.get_ref() == segment.as_str());
                let Some((key, value)) = entry else { break };
                (key.span().start, value.into_inner())
            }
            DeValue::Array(array) => {
                let element = segment
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| array.into_iter().nth(index));
                let Some(element) = element else { break };
                (element.span().start, element.into_inner())
            }
            _ => break,
        };
        found = Some((depth + 1, offset));
        value = next;
    }
    found
}
