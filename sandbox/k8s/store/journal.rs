//! The journal of a cluster: one JSON line a change, written before the change is answered.
//!
//! A process that is killed loses nothing that it answered: the lines are with the system by then.
//! A line that was cut while being written is the last one, was never answered, and is left out.
//! Opening writes the journal anew with one line an object.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde_json::{Value, json};

use super::Key;

/// What a journal held when it was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The newest resource version.
    pub version: u64,
    /// How many addresses were given out.
    pub addresses: u32,
    /// The objects.
    pub objects: BTreeMap<Key, Value>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    pending: Vec<u8>,
}

fn line(version: u64, addresses: u32, key: &Key, object: Option<&Value>) -> Value {
    json!({"v": version, "a": addresses, "k": [key.resource, key.namespace, key.name], "o": object})
}

fn read(path: &Path) -> io::Result<Recovered> {
    let mut found = Recovered::default();
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let whole = bytes.ends_with(b"\n");
        let parsed = serde_json::from_slice::<Value>(&bytes);
        match parsed {
            Ok(change) if whole => replay(&mut found, change),
            // The process was killed while it wrote this line.
            _ if !whole => break,
            Ok(_) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        bytes.clear();
    }
    Ok(found)
}

fn replay(found: &mut Recovered, mut change: Value) {
    found.version = found.version.max(change["v"].as_u64().unwrap_or(0));
    let addresses = change["a"].as_u64().and_then(|a| u32::try_from(a).ok());
    found.addresses = found.addresses.max(addresses.unwrap_or(0));
    let part = |at: usize| change["k"][at].as_str().unwrap_or("").to_owned();
    let key = Key { resource: part(0), namespace: part(1), name: part(2) };
    match change["o"].take() {
        Value::Null => found.objects.remove(&key),
        object => found.objects.insert(key, object),
    };
}

impl Journal {
    /// Opens the journal at `path`, making it when there is none, and compacts it.
    ///
    /// # Errors
    /// When the file cannot be used, or a line other than the last is damaged.
    pub fn open(path: &Path) -> io::Result<(Self, Recovered)> {
        let found = read(path)?;
        let fresh = path.with_extension("new");
        // Secrets are in it: for its owner's eyes only.
        let private = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        let mut out = BufWriter::new(private);
        for (key, object) in &found.objects {
            writeln!(out, "{}", line(found.version, found.addresses, key, Some(object)))?;
        }
        if found.objects.is_empty() && found.version > 0 {
            let nothing = Key::new("", "", "");
            writeln!(out, "{}", line(found.version, found.addresses, &nothing, None))?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&fresh, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok((Self { file, pending: Vec::new() }, found))
    }

    /// Notes a change; it is written by the next [`Journal::flush`].
    pub fn note(&mut self, version: u64, addresses: u32, key: &Key, object: Option<&Value>) {
        self.pending.extend_from_slice(line(version, addresses, key, object).to_string().as_bytes());
        self.pending.push(b'\n');
    }

    /// Writes what was noted, in one call.
    ///
    /// # Errors
    /// When the file cannot be written; the changes stay noted.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::{Journal, Key};

    #[test]
    fn a_cut_last_line_is_left_out_and_the_rest_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let (a, b) = (Key::new("/configmaps", "x", "a"), Key::new("/configmaps", "x", "b"));
        journal.note(1, 0, &a, Some(&json!({"n": 1})));
        journal.note(2, 3, &b, Some(&json!({"n": 2})));
        journal.note(3, 3, &a, None);
        journal.flush().unwrap();
        // Never closed, as by a kill, and cut in the middle of the next line.
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"v\":4,\"a\":3,\"k\":[\"/configm").unwrap();
        let (_, found) = Journal::open(&path).unwrap();
        assert_eq!((found.version, found.addresses), (3, 3));
        assert_eq!(found.objects.into_iter().collect::<Vec<_>>(), [(b, json!({"n": 2}))]);
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert_eq!(lines, 1, "opening compacts");
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        std::fs::write(&path, "{oops\n{\"v\":1,\"a\":0,\"k\":[\"\",\"\",\"\"],\"o\":null}\n").unwrap();
        assert!(Journal::open(&path).is_err());
    }
}
