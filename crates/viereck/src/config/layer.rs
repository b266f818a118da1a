//! One layer of a configuration: a file's text, variables, flags; each value with the origin it is told with.

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

/// One key set outside a file.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key, e.g. `table.folder` or `gateway[0].listen`.
    pub key: String,
    /// Its value; a number or a truth value is understood from its text.
    pub value: String,
    /// What set it, as the user wrote it.
    pub origin: String,
}

/// A variable `VIERECK__SECTION__KEY` as a setting; a segment of digits is an index.
pub(super) fn variable(name: &str, value: &str) -> Option<Setting> {
    let mut key = String::new();
    for segment in name.strip_prefix("VIERECK__")?.split("__") {
        let is_index = (1..=3).contains(&segment.len()) && segment.bytes().all(|octet| octet.is_ascii_digit());
        match (is_index, key.is_empty()) {
            (true, _) => key.push_str(&format!("[{segment}]")),
            (false, true) => key.push_str(&segment.to_lowercase()),
            (false, false) => key.push_str(&format!(".{}", segment.to_lowercase())),
        }
    }
    Some(Setting {
        key,
        value: value.to_owned(),
        origin: name.to_owned(),
    })
}

/// Settings as a layer. The crate's own source for variables knows neither indices nor which variable it was.
#[derive(Debug, Clone)]
pub(super) struct Settings(pub(super) Vec<Setting>);

impl Source for Settings {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |setting: &Setting| Value::new(Some(&setting.origin), setting.value.clone());
        Ok(self
            .0
            .iter()
            .map(|setting| (setting.key.clone(), value(setting)))
            .collect())
    }
}

/// The text of a file that is read already, under a name of our choosing.
#[derive(Debug, Clone)]
pub(super) struct TomlText {
    origin: String,
    text: String,
}

impl TomlText {
    pub(super) fn new(origin: &str, text: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            text: text.to_owned(),
        }
    }
}

impl Source for TomlText {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let values = File::from_str(&self.text, FileFormat::Toml).collect()?;
        Ok(values
            .into_iter()
            .map(|(key, value)| (key, with_origin(value, &self.origin)))
            .collect())
    }
}

fn with_origin(value: Value, origin: &String) -> Value {
    let kind = match value.kind {
        ValueKind::Table(table) => ValueKind::Table(
            table
                .into_iter()
                .map(|(key, value)| (key, with_origin(value, origin)))
                .collect(),
        ),
        ValueKind::Array(array) => {
            ValueKind::Array(array.into_iter().map(|value| with_origin(value, origin)).collect())
        }
        single => single,
    };
    Value::new(Some(origin), kind)
}
