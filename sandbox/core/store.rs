//! A transactional store of JSON documents with an append-only journal.
//!
//! Tables map an id to a document. A transaction is all or nothing: when its closure fails, every change is taken
//! back. Committed transactions are written to the journal as one line *before* the caller goes on, so that a
//! process killed right after an answer has lost nothing. A torn last line (killed while writing) is dropped on
//! load: its transaction was never answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// A document of a table.
pub type Doc = Value;

type Tables = BTreeMap<String, BTreeMap<String, Doc>>;

/// What a journal line holds: the last value of each document that a transaction touched, `null` where deleted.
type Line = Vec<(String, String, Option<Doc>)>;

/// The documents of one simulation, shared by all its services.
pub struct Store {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tables: Tables,
    journal: Option<File>,
    commits: u64,
    /// Held for the life of the store: a second process on the same folder is refused.
    _lock: Option<File>,
}

/// Why a transaction could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the journal of the simulation: {0}")]
pub struct StoreError(#[from] pub io::Error);

impl Store {
    /// A store that lives as long as the process.
    pub fn in_memory() -> Self {
        Self { inner: Mutex::new(Inner::default()) }
    }

    /// Opens the store of folder `dir` (made when missing) and compacts its journal.
    ///
    /// # Errors
    /// When another process has the folder open, or a line other than the last is unreadable.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let lock = OpenOptions::new().create(true).append(true).open(dir.join("lock"))?;
        lock.try_lock().map_err(|_| {
            let message = format!("`{}` is in use by another process: stop that one first", dir.display());
            io::Error::new(io::ErrorKind::ResourceBusy, message)
        })?;
        let path = dir.join("journal");
        let tables = if path.exists() { load(&path)? } else { Tables::new() };
        let fresh = dir.join("journal.new");
        let mut out = File::create(&fresh)?;
        for (name, table) in &tables {
            let line: Line = table.iter().map(|(id, doc)| (name.clone(), id.clone(), Some(doc.clone()))).collect();
            write_line(&mut out, &line)?;
        }
        out.sync_data()?;
        fs::rename(&fresh, &path)?;
        let journal = OpenOptions::new().append(true).open(&path)?;
        Ok(Self { inner: Mutex::new(Inner { tables, journal: Some(journal), commits: 0, _lock: Some(lock) }) })
    }

    /// Begins a transaction. Table names are seen through `scope` (a region): a name that starts with `/` is
    /// global, any other belongs to the scope. Dropped without [`Tx::commit`], everything is taken back.
    pub fn begin(&self, scope: &str) -> Tx<'_> {
        Tx { inner: self.lock(), scope: scope.to_owned(), undo: Vec::new(), hidden: BTreeSet::new() }
    }

    /// Runs `work` as one transaction of `scope`.
    ///
    /// # Errors
    /// What `work` returns (everything is taken back), or [`StoreError`] when the journal cannot be written.
    pub fn tx<T, E: From<StoreError>>(
        &self,
        scope: &str,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut tx = self.begin(scope);
        let value = work(&mut tx)?;
        tx.commit()?;
        Ok(value)
    }

    /// How many transactions have changed something since the store was opened.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// The scopes (regions) that have had documents.
    pub fn scopes(&self) -> BTreeSet<String> {
        let inner = self.lock();
        let names = inner.tables.keys().filter_map(|name| name.split_once('/'));
        names.map(|(scope, _)| scope.to_owned()).filter(|scope| !scope.is_empty()).collect()
    }

    /// Every table with its documents, for tests and people who look around.
    pub fn dump(&self) -> Value {
        json!(self.lock().tables)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn commit(&mut self, undo: &[Undo]) -> io::Result<()> {
        if undo.is_empty() {
            return Ok(());
        }
        self.commits += 1;
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let touched: BTreeSet<_> = undo.iter().map(|u| (&u.table, &u.id)).collect();
        let line: Line = touched
            .into_iter()
            .map(|(table, id)| (table.clone(), id.clone(), self.tables.get(table).and_then(|t| t.get(id)).cloned()))
            .collect();
        write_line(journal, &line)
    }

    fn roll_back(&mut self, undo: Vec<Undo>) {
        for Undo { table, id, before } in undo.into_iter().rev() {
            let rows = self.tables.entry(table).or_default();
            match before {
                Some(doc) => rows.insert(id, doc),
                None => rows.remove(&id),
            };
        }
    }
}

fn write_line(out: &mut File, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    out.write_all(&bytes)
}

fn load(path: &Path) -> io::Result<Tables> {
    let mut tables = Tables::new();
    let mut reader = BufReader::new(File::open(path)?);
    let mut text = Vec::new();
    let mut number = 0;
    loop {
        text.clear();
        number += 1;
        if reader.read_until(b'\n', &mut text)? == 0 {
            return Ok(tables);
        }
        let line: Line = match serde_json::from_slice(&text) {
            Ok(line) if text.ends_with(b"\n") => line,
            _ if reader.fill_buf()?.is_empty() => return Ok(tables),
            _ => {
                let message = format!("`{}` line {number} is damaged: delete the folder to start anew", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        };
        for (table, id, doc) in line {
            let rows = tables.entry(table).or_default();
            match doc {
                Some(doc) => rows.insert(id, doc),
                None => rows.remove(&id),
            };
        }
    }
}

struct Undo {
    table: String,
    id: String,
    before: Option<Doc>,
}

/// One transaction: reads see its own writes.
pub struct Tx<'a> {
    inner: MutexGuard<'a, Inner>,
    scope: String,
    undo: Vec<Undo>,
    hidden: BTreeSet<(String, String)>,
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        self.inner.roll_back(undo);
    }
}

impl Tx<'_> {
    /// Keeps what was done: in the journal first, then for the readers.
    ///
    /// # Errors
    /// When the journal cannot be written; everything is taken back then.
    pub fn commit(mut self) -> Result<(), StoreError> {
        self.inner.commit(&self.undo)?;
        self.undo.clear();
        Ok(())
    }

    /// Whether this transaction has changed anything so far.
    pub fn dirty(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Makes documents invisible to this transaction's reads, by full table name and id: eventual consistency.
    pub fn hide(&mut self, documents: BTreeSet<(String, String)>) {
        self.hidden = documents;
    }

    /// Full table name and id of each document that this transaction has made.
    pub fn made(&self) -> BTreeSet<(String, String)> {
        let new = self.undo.iter().filter(|u| u.before.is_none());
        new.map(|u| (u.table.clone(), u.id.clone())).collect()
    }

    fn shown(&self, table: &str, id: &str) -> bool {
        self.hidden.is_empty() || !self.hidden.contains(&(table.to_owned(), id.to_owned()))
    }

    fn full(&self, table: &str) -> String {
        if table.starts_with('/') { table.to_owned() } else { format!("{}/{table}", self.scope) }
    }

    /// Document `id` of `table`.
    pub fn get(&self, table: &str, id: &str) -> Option<&Doc> {
        let table = self.full(table);
        self.inner.tables.get(&table)?.get(id).filter(|_| self.shown(&table, id))
    }

    /// All documents of `table` in the order of their ids.
    pub fn scan(&self, table: &str) -> impl Iterator<Item = (&String, &Doc)> {
        let table = self.full(table);
        let rows = self.inner.tables.get(&table).into_iter().flatten();
        rows.filter(move |(id, _)| self.shown(&table, id))
    }

    /// Clones of the documents of `table` for which `keep` holds.
    pub fn select(&self, table: &str, keep: impl Fn(&Doc) -> bool) -> Vec<Doc> {
        self.scan(table).map(|(_, doc)| doc).filter(|doc| keep(doc)).cloned().collect()
    }

    /// Whether any document of `table` satisfies `test`.
    pub fn any(&self, table: &str, test: impl Fn(&Doc) -> bool) -> bool {
        self.scan(table).any(|(_, doc)| test(doc))
    }

    /// Creates or replaces document `id`.
    pub fn put(&mut self, table: &str, id: &str, doc: Doc) {
        let table = self.full(table);
        let before = self.inner.tables.entry(table.clone()).or_default().insert(id.to_owned(), doc);
        self.undo.push(Undo { table, id: id.to_owned(), before });
    }

    /// Changes document `id` in place; `false` when there is none.
    pub fn update(&mut self, table: &str, id: &str, change: impl FnOnce(&mut Doc)) -> bool {
        let table = self.full(table);
        let Some(doc) = self.inner.tables.get_mut(&table).and_then(|rows| rows.get_mut(id)) else { return false };
        let before = doc.clone();
        change(doc);
        if *doc != before {
            self.undo.push(Undo { table, id: id.to_owned(), before: Some(before) });
        }
        true
    }

    /// Removes document `id` and returns it.
    pub fn delete(&mut self, table: &str, id: &str) -> Option<Doc> {
        let table = self.full(table);
        let before = self.inner.tables.get_mut(&table)?.remove(id)?;
        self.undo.push(Undo { table, id: id.to_owned(), before: Some(before.clone()) });
        Some(before)
    }

    /// Removes the documents of `table` for which `test` holds; returns how many.
    pub fn delete_where(&mut self, table: &str, test: impl Fn(&Doc) -> bool) -> usize {
        let ids: Vec<String> = self.scan(table).filter(|(_, doc)| test(doc)).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.delete(table, id);
        }
        ids.len()
    }

    /// A new id of AWS's long form: `vpc` gives `vpc-` and 17 hexadecimal digits.
    pub fn new_id(&self, prefix: &str) -> String {
        format!("{prefix}-{}", hex_digits(17))
    }
}

/// `count` random lower-case hexadecimal digits, at most 32.
pub fn hex_digits(count: usize) -> String {
    uuid::Uuid::new_v4().simple().to_string().chars().rev().take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), StoreError>;

    #[test]
    fn a_failed_transaction_leaves_nothing() {
        let store = Store::in_memory();
        store
            .tx("r", |tx| -> Outcome {
                tx.put("t", "a", json!(1));
                Ok(())
            })
            .unwrap();
        let failed = store.tx("r", |tx| -> Outcome {
            tx.put("t", "a", json!(2));
            tx.put("t", "b", json!(3));
            tx.update("t", "b", |doc| *doc = json!(4));
            tx.delete("t", "a");
            Err(io::Error::other("no").into())
        });
        assert!(failed.is_err());
        assert_eq!(store.dump()["r/t"], json!({"a": 1}));
        assert_eq!(store.commits(), 1);
    }

    #[test]
    fn what_was_committed_is_found_again_without_closing() {
        let dir = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store
            .tx("r", |tx| -> Outcome {
                tx.put("t", "a", json!({"x": 1}));
                tx.put("/g", "b", json!(2));
                Ok(())
            })
            .unwrap();
        store
            .tx("r", |tx| -> Outcome {
                tx.delete("/g", "b");
                Ok(())
            })
            .unwrap();
        // What a kill would leave: the file as it is now, and a torn line.
        let mut bytes = fs::read(dir.path().join("journal")).unwrap();
        bytes.extend_from_slice(br#"[["r/t","torn",{"#);
        fs::write(copy.path().join("journal"), bytes).unwrap();
        let again = Store::open(copy.path()).unwrap();
        assert_eq!(again.dump(), json!({"/g": {}, "r/t": {"a": {"x": 1}}}));
    }

    #[test]
    fn a_second_owner_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Store::open(dir.path()).unwrap();
        let error = Store::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("in use"), "{error}");
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal"), "nonsense\n[]\n").unwrap();
        assert!(Store::open(dir.path()).is_err());
    }
}
