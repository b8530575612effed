//! Settings as they come in: YAML and TOML files with the line of each key, and `--set a.b=c`.

use super::super::{Diagnostic, Position};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs, io::Read as _, path::Path, sync::Arc};

/// A settings file has a few hundred lines; this is room for thousands.
const LARGEST_FILE_BYTES: u64 = 4 << 20;

/// Settings from one place: a file, or one `--set`.
#[derive(Debug, Clone)]
pub struct SettingsLayer {
    /// Where they come from, as the user knows it: `--set workspaces.max`, `acme.yaml`.
    pub origin: String,
    /// The settings, as a map.
    pub values: Value,
    /// Line and column of each key, by dotted path.
    pub positions: BTreeMap<String, (usize, usize)>,
    /// The text of the file for excerpts: its keys, without values. Nobody knows which of them are secret.
    pub source: Option<Arc<str>>,
    /// The values are words of the command line, still to be read as the default's type.
    pub untyped: bool,
}

impl SettingsLayer {
    /// Reads a YAML or TOML file (by its extension).
    pub fn from_file(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let refused = |why: String| Diagnostic::usage(format!("cannot read settings file `{name}`")).because(why);
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(|why| refused(why.to_string()))?;
        file.take(LARGEST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|why| refused(why.to_string()))?;
        if bytes.len() as u64 > LARGEST_FILE_BYTES {
            return Err(refused(format!("it is larger than {} MiB", LARGEST_FILE_BYTES >> 20)));
        }
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not text".into()))?;
        Self::from_text(&name, &text)
    }

    /// Reads the text of a file called `name`, whose extension says what it is.
    pub fn from_text(name: &str, text: &str) -> Result<Self, Diagnostic> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.contains(|c| c == '\0' || ('\u{e000}'..='\u{e003}').contains(&c)) {
            let wrong = Diagnostic::usage(format!("cannot read settings file `{name}`"));
            return Err(wrong.because("it holds characters that no text has"));
        }
        let source: Arc<str> = text.into();
        let extension = name.rsplit('.').next().unwrap_or_default().to_lowercase();
        let excerpts = keys_only(text);
        let (values, positions) = match extension.as_str() {
            "toml" => toml(name, &source, &excerpts)?,
            "yaml" | "yml" | "json" => yaml(name, &source, &excerpts)?,
            _ => {
                let wrong = Diagnostic::usage(format!("settings file `{name}` is of no known kind"));
                return Err(wrong.hint("name it `.yaml` or `.toml`"));
            }
        };
        if !values.is_object() {
            let wrong = Diagnostic::usage(format!("settings file `{name}` holds no map of settings"));
            return Err(wrong.at(Position::new(name, 1, 0), Some(excerpts)).hint("write `name: value` lines"));
        }
        Ok(Self { origin: name.to_owned(), values, positions, source: Some(excerpts), untyped: false })
    }

    /// Reads `a.b=c`. What the value means is decided by the default's type.
    pub fn from_set(text: &str) -> Result<Self, Diagnostic> {
        let (path, value) = text.split_once('=').unwrap_or((text, ""));
        // The value may be a secret.
        let shown = if text.contains('=') { format!("{path}=…") } else { path.to_owned() };
        let wrong =
            || Diagnostic::usage(format!("`--set {shown}` is no setting")).hint("write `--set name.part=value`");
        if !text.contains('=') {
            return Err(wrong());
        }
        let parts: Vec<&str> = path.trim().split('.').collect();
        if parts.iter().any(|part| part.is_empty()) || parts.len() > 16 {
            return Err(wrong());
        }
        if value.contains(|c| ('\u{e000}'..='\u{e003}').contains(&c)) {
            return Err(wrong());
        }
        let values = parts.iter().rev().fold(Value::String(value.to_owned()), |inner, part| {
            Value::Object(Map::from_iter([((*part).to_owned(), inner)]))
        });
        let origin = format!("--set {}", path.trim());
        Ok(Self { origin, values, positions: BTreeMap::new(), source: None, untyped: true })
    }

    /// Where the setting called `path` stands in this layer, or the nearest map around it.
    pub(crate) fn place(&self, path: &str) -> Option<Position> {
        self.source.as_ref()?;
        let mut path = path;
        loop {
            if let Some((line, column)) = self.positions.get(path) {
                return Some(Position::new(self.origin.as_str(), *line, *column));
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return Some(Position::new(self.origin.as_str(), 0, 0)),
            }
        }
    }
}

type Read = (Value, BTreeMap<String, (usize, usize)>);

/// Each line of `text` up to its first `:` or `=`.
fn keys_only(text: &str) -> Arc<str> {
    let line = |line: &str| match line.find([':', '=']) {
        Some(at) if line[at + 1..].trim().is_empty() => line.to_owned(),
        Some(at) => format!("{} …", &line[..=at]),
        None if line.trim().is_empty() || line.trim_start().starts_with(['#', '[']) => line.to_owned(),
        None => format!("{}…", &line[..line.len() - line.trim_start().len()]),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n").into()
}

fn yaml(name: &str, source: &Arc<str>, excerpts: &Arc<str>) -> Result<Read, Diagnostic> {
    let value: Value = serde_norway::from_str(source).map_err(|mistake| {
        let wrong = Diagnostic::usage(format!("settings file `{name}` is no valid YAML")).because(mistake.to_string());
        match mistake.location() {
            Some(place) => wrong.at(Position::new(name, place.line(), place.column()), Some(excerpts.clone())),
            None => wrong,
        }
    })?;
    // An empty file says nothing; that is fine.
    Ok((if value.is_null() { Value::Object(Map::new()) } else { value }, yaml_places(source)))
}

/// Where the keys of a block map stand. Keys inside `{…}` are found at the line of the key around them.
fn yaml_places(text: &str) -> BTreeMap<String, (usize, usize)> {
    let mut places = BTreeMap::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let body = line.trim_start();
        let indent = line.chars().count() - body.chars().count();
        let Some((key, rest)) = body.split_once(':') else { continue };
        let key = key.trim().trim_matches(['"', '\'']);
        let odd = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
        if key.is_empty() || key.contains(odd) || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
            continue;
        }
        open.retain(|(outer, _)| *outer < indent);
        let path = open.last().map_or_else(|| key.to_owned(), |(_, parent)| format!("{parent}.{key}"));
        places.entry(path.clone()).or_insert((number + 1, indent + 1));
        open.push((indent, path));
    }
    places
}

fn toml(name: &str, source: &Arc<str>, excerpts: &Arc<str>) -> Result<Read, Diagnostic> {
    let wrong = |mistake: &toml::de::Error| {
        let refused = Diagnostic::usage(format!("settings file `{name}` is no valid TOML"));
        let refused = refused.because(mistake.message().to_owned());
        match mistake.span() {
            Some(span) => {
                let (line, column) = line_and_column(source, span.start);
                refused.at(Position::new(name, line, column), Some(excerpts.clone()))
            }
            None => refused,
        }
    };
    let table: toml::Table = toml::from_str(source).map_err(|mistake| wrong(&mistake))?;
    let values = serde_json::to_value(table).unwrap_or(Value::Null);
    let spanned = toml::de::DeTable::parse(source).map_err(|mistake| wrong(&mistake))?;
    let mut places = BTreeMap::new();
    toml_places(source, spanned.get_ref(), "", &mut places);
    Ok((values, places))
}

fn toml_places(
    source: &str,
    table: &toml::de::DeTable<'_>,
    parent: &str,
    places: &mut BTreeMap<String, (usize, usize)>,
) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = if parent.is_empty() { name.to_string() } else { format!("{parent}.{name}") };
        places.insert(path.clone(), line_and_column(source, key.span().start));
        if let toml::de::DeValue::Table(inner) = value.get_ref() {
            toml_places(source, inner, &path, places);
        }
    }
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_keys_have_lines() {
        let text = "# ours\ncluster:\n  name: acme\n  tags: { a: b }\n\nworkspaces:\n  max: 20\n";
        let layer = SettingsLayer::from_text("acme.yaml", text).unwrap();
        assert_eq!(layer.values["workspaces"]["max"], json!(20));
        assert_eq!(layer.positions["workspaces.max"], (7, 3));
        assert_eq!(layer.place("cluster.tags.a").unwrap().to_string(), "acme.yaml:4:3");
        assert_eq!(layer.place("nothing").unwrap().to_string(), "acme.yaml");
    }

    #[test]
    fn toml_keys_have_lines() {
        let layer = SettingsLayer::from_text("acme.toml", "[cluster]\nname = \"acme\"\nworkspaces.max = 3\n").unwrap();
        assert_eq!(layer.values["cluster"], json!({ "name": "acme", "workspaces": { "max": 3 } }));
        assert_eq!(layer.positions["cluster.name"], (2, 1));
        assert_eq!(layer.positions["cluster.workspaces.max"], (3, 12));
    }

    #[test]
    fn bad_files_say_where() {
        let wrong = SettingsLayer::from_text("a.yaml", "a: 1\nb: [1,\n").unwrap_err();
        assert!(wrong.position.is_some_and(|place| place.line >= 2), "the line is named");
        let wrong = SettingsLayer::from_text("a.toml", "a = 1\nb = = 2\n").unwrap_err();
        assert_eq!(wrong.position.unwrap().line, 2);
        assert!(SettingsLayer::from_text("a.yaml", "- 1\n").unwrap_err().message.contains("no map"));
        assert!(SettingsLayer::from_text("a.ini", "a=1").unwrap_err().hint.unwrap().contains(".yaml"));
        assert!(SettingsLayer::from_text("a.yaml", "a: \"\0\"").is_err());
        assert_eq!(SettingsLayer::from_text("a.yaml", "").unwrap().values, json!({}));
    }

    #[test]
    fn words_of_the_command_line_nest() {
        let layer = SettingsLayer::from_set("a.b=c=d").unwrap();
        assert_eq!((layer.values, layer.origin.as_str()), (json!({ "a": { "b": "c=d" } }), "--set a.b"));
        for bad in ["a", "=x", "a..b=1", ".a=1"] {
            assert!(SettingsLayer::from_set(bad).is_err(), "{bad}");
        }
    }
}
