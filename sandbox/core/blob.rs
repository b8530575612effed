//! Large bodies (objects of buckets) outside the document store: one file each, or in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bodies by id.
pub struct Blobs {
    dir: Option<PathBuf>,
    memory: Mutex<BTreeMap<String, Bytes>>,
}

impl Blobs {
    /// Bodies kept under `dir`, or in memory.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(dir: Option<&Path>) -> io::Result<Self> {
        if let Some(dir) = dir {
            fs::create_dir_all(dir)?;
        }
        Ok(Self { dir: dir.map(Path::to_owned), memory: Mutex::default() })
    }

    /// Keeps `body` and returns its id. Put the blob first, then the document that names it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, body: Bytes) -> io::Result<String> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        match &self.dir {
            Some(dir) => fs::write(dir.join(&id), &body)?,
            None => {
                self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), body);
            }
        }
        Ok(id)
    }

    /// The body of `id`.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn get(&self, id: &str) -> io::Result<Bytes> {
        if let Some(dir) = &self.dir {
            fs::read(dir.join(id)).map(Bytes::from)
        } else {
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.get(id).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        }
    }

    /// Forgets the body of `id`; one that is absent is fine.
    pub fn delete(&self, id: &str) {
        match &self.dir {
            // A body that cannot be removed only takes room.
            Some(dir) => drop(fs::remove_file(dir.join(id))),
            None => drop(self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_until_deleted() {
        let dir = tempfile::tempdir().unwrap();
        for blobs in [Blobs::open(None).unwrap(), Blobs::open(Some(dir.path())).unwrap()] {
            let id = blobs.put(Bytes::from_static(b"hello")).unwrap();
            assert_eq!(blobs.get(&id).unwrap(), "hello");
            blobs.delete(&id);
            assert!(blobs.get(&id).is_err());
        }
    }
}
