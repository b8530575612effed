//! Numbered objects of one stack, on any object store.

use super::place::Place;
use crate::error::{Class, Error, Result};
use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, path::Path as Key};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Longest stack name; it becomes part of tags and labels.
const STACK_LENGTH: usize = 48;

/// The simulated clouds keep their state under this name, beside the stacks.
const RESERVED: &str = "sandbox";
/// Drafts older than this belong to no one who could still finish them.
const DRAFT_LIFE: Duration = Duration::from_mins(10);

/// The two sorts of numbered objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Records.
    Log,
    /// Snapshots.
    Snapshot,
}

impl Sort {
    fn folder(self) -> &'static str {
        match self {
            Sort::Log => "log",
            Sort::Snapshot => "snapshots",
        }
    }
}

/// What came of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there, durably.
    Done,
    /// Something is there already.
    Taken,
}

/// The objects of one stack.
pub struct Store {
    place: Place,
    stack: String,
    /// `None` as long as the folder does not exist.
    objects: Option<Arc<dyn ObjectStore>>,
}

impl Store {
    /// Opens it and makes nothing.
    pub fn open(place: &Place, stack: &str) -> Result<Self> {
        let fits = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        let ends = stack.starts_with('-') || stack.ends_with('-');
        if stack == RESERVED {
            return Err(Error::usage(format!("a stack cannot be called `{RESERVED}`")).hint("use another name"));
        }
        if stack.is_empty() || stack.len() > STACK_LENGTH || !stack.chars().all(fits) || ends {
            return Err(Error::usage(format!("`{stack}` is no name for a stack")).hint(format!(
                "use up to {STACK_LENGTH} small letters, digits and dashes, with a letter or digit at both ends"
            )));
        }
        Ok(Self { place: place.clone(), stack: stack.to_owned(), objects: place.open(false)? })
    }

    /// The stack's name.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// The stack's own folder, when it lies in one.
    pub fn folder(&self) -> Option<PathBuf> {
        Some(self.place.folder()?.join(&self.stack))
    }

    /// Where the holder called `nonce` shows that it lives: beside the state when that is a folder, so that all who see
    /// the state see it.
    pub fn alive_file(&self, nonce: &str) -> Option<PathBuf> {
        match self.folder() {
            Some(folder) => Some(folder.join(format!("holder-{nonce}.lock"))),
            None => {
                self.place.is_bucket().then(|| std::env::temp_dir().join(format!("gitpod-play-holder-{nonce}.lock")))
            }
        }
    }

    /// Makes what is needed to write, and removes drafts that a killed process left.
    pub fn prepare(&mut self) -> Result<()> {
        if self.objects.is_none() {
            self.objects = self.place.open(true)?;
        }
        let Some(folder) = self.folder() else { return Ok(()) };
        for sort in [Sort::Log, Sort::Snapshot] {
            let folder = folder.join(sort.folder());
            if !folder.is_dir() {
                make_durably(&folder).map_err(|error| self.unwritable(&error.to_string()))?;
            }
            sweep(&folder);
        }
        Ok(())
    }

    /// How a person would name the object.
    pub fn shown(&self, sort: Sort, number: u64) -> String {
        format!("{}/{}/{}/{}", self.place, self.stack, sort.folder(), file_name(number))
    }

    /// The numbers above `after`, in order. Whatever else lies there is not ours and is passed over.
    pub async fn list(&self, sort: Sort, after: u64) -> Result<Vec<u64>> {
        let Some(objects) = &self.objects else { return Ok(Vec::new()) };
        let prefix = self.place.key(&format!("{}/{}", self.stack, sort.folder()));
        let found: Vec<_> = objects
            .list_with_offset(Some(&prefix), &self.key(sort, after))
            .try_collect()
            .await
            .map_err(|error| failure(&format!("cannot list the state of stack `{}`", self.stack), &error))?;
        let mut numbers: Vec<u64> = found
            .iter()
            .filter(|meta| meta.location.prefix_matches(&prefix))
            .filter_map(|meta| number_of(meta.location.filename()?))
            .filter(|number| *number > after)
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The object's bytes; `None` when it is not there.
    pub async fn get(&self, sort: Sort, number: u64) -> Result<Option<Bytes>> {
        let Some(objects) = &self.objects else { return Ok(None) };
        let failed =
            |error: &object_store::Error| failure(&format!("cannot read `{}`", self.shown(sort, number)), error);
        match objects.get(&self.key(sort, number)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|error| failed(&error)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Puts it unless something is there. After an error it may be there or not.
    pub async fn put_new(&self, sort: Sort, number: u64, text: String) -> Result<Put> {
        let Some(objects) = &self.objects else { return Err(self.unwritable("the folder does not exist")) };
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match objects.put_opts(&self.key(sort, number), text.into(), options).await {
            Ok(_) => Ok(Put::Done),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(Put::Taken),
            Err(error) => {
                let message = format!("cannot write `{}`", self.shown(sort, number));
                Err(failure(&message, &error))
            }
        }
    }

    /// Leaves the object, with nothing in it.
    pub async fn empty(&self, sort: Sort, number: u64) -> Result<()> {
        let Some(objects) = &self.objects else { return Ok(()) };
        let emptied = objects.put(&self.key(sort, number), String::new().into()).await;
        emptied.map(drop).map_err(|error| failure(&format!("cannot empty `{}`", self.shown(sort, number)), &error))
    }

    /// Deletes it; success when it is not there.
    pub async fn delete(&self, sort: Sort, number: u64) -> Result<()> {
        let Some(objects) = &self.objects else { return Ok(()) };
        match objects.delete(&self.key(sort, number)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(&format!("cannot delete `{}`", self.shown(sort, number)), &error)),
        }
    }

    fn key(&self, sort: Sort, number: u64) -> Key {
        self.place.key(&format!("{}/{}/{}", self.stack, sort.folder(), file_name(number)))
    }

    fn unwritable(&self, why: &str) -> Error {
        Error::failed(format!("cannot write to the state `{}`", self.place)).because(why).hint(hint_for(why))
    }
}

/// Makes the folder, and its place in each folder above it, so that a power cut does not take it back.
fn make_durably(folder: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.is_dir()).collect();
    std::fs::create_dir_all(folder)?;
    for parent in missing.iter().filter_map(|made| made.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // Not every system can sync a folder; those that cannot have no need to.
        let _ = std::fs::File::open(parent).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Removes drafts (`0000000007.json#1`) that are older than any put can last. They are never read.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_draft = entry.file_name().to_string_lossy().contains(".json#");
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if is_draft && age.is_some_and(|age| age > DRAFT_LIFE) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn file_name(number: u64) -> String {
    format!("{number:010}.json")
}

fn number_of(file: &str) -> Option<u64> {
    let digits = file.strip_suffix(".json")?;
    (digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The error of a store, with what a person can do about it.
pub(super) fn failure(message: &str, error: &object_store::Error) -> Error {
    let mut causes = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !causes.iter().any(|known| known.contains(&text)) {
            causes.push(text);
        }
        source = cause.source();
    }
    let cause = causes.join(": ");
    let hint = hint_for(&cause);
    // What is no answer of the server may pass: connections, timeouts, 5xx.
    let class = match error {
        object_store::Error::Generic { .. } => Class::Passing,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Class::Denied,
        _ => Class::Failed,
    };
    Error::new(class, message).because(cause).hint(hint)
}

fn hint_for(cause: &str) -> &'static str {
    let cause = cause.to_ascii_lowercase();
    if cause.contains("no space left") || cause.contains("quota exceeded") {
        "free some space, then run the same command again; what was recorded is kept"
    } else if cause.contains("read-only") {
        "the disk is read-only: make it writable or name another place with `--state`"
    } else if cause.contains("169.254.") || cause.contains("metadata") {
        "there are no credentials for the bucket: set them as variables, for example by \
         `eval \"$(aws configure export-credentials --format env)\"`"
    } else if cause.contains("denied") || cause.contains("forbidden") {
        "check who may write there, or name another place with `--state`"
    } else {
        "check the place given with `--state`, then run the same command again; what was recorded is kept"
    }
}
