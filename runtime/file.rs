//! Files that a playbook writes into its stack's folder.

use crate::{
    bind::{Ownership, Registry, Resource},
    cx::Cx,
    error::{Error, Result},
    value::{SECRET_CLOSE, SECRET_OPEN, has_secret},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

/// Writes a text file into the stack's folder, for people and other programs.
///
/// It is written whole or not at all, and again when somebody changed it. Secrets are refused, and so is any path that
/// leaves the folder.
///
/// - `name`: path in the stack's folder, such as `gitpod.config.yaml`.
/// - `content`: the whole text.
///
/// # Errors
/// A secret in the content, a path that leaves the folder, a disk that is full or read-only.
///
/// ```rhai
/// let file = file::write(#{ name: "notes.txt", content: "hello" });
/// ```
///
/// API operations: none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// Path in the stack's folder.
    pub name: String,
    /// The whole text.
    pub content: String,
}

/// The file as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// Path in the stack's folder.
    pub name: String,
    /// Path from where the command runs.
    pub path: String,
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
}

/// A file in the stack's folder.
pub struct FileWrite;

fn place(cx: &Cx, name: &str) -> Result<PathBuf> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !inside {
        return Err(
            Error::usage(format!("`{name}` leaves the stack's folder")).hint("give a path below it, without `..`")
        );
    }
    Ok(cx.run.folder.join(name))
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot write `{}`", path.display())).because(error.to_string())
}

fn write(path: &Path, content: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| failed(path, &error))?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    std::fs::write(&draft, content).map_err(|error| failed(path, &error))?;
    std::fs::rename(&draft, path).map_err(|error| failed(path, &error))
}

fn look(cx: &Cx, name: &str) -> Result<Option<Written>> {
    let path = place(cx, name)?;
    match std::fs::read(&path) {
        Ok(content) => {
            Ok(Some(Written { name: name.to_owned(), path: path.display().to_string(), sha256: digest(&content) }))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::failed(format!("cannot read `{}`", path.display())).because(error.to_string())),
    }
}

#[async_trait]
impl Resource for FileWrite {
    const KIND: &'static str = "file::write";
    type Args = WriteFile;
    type Observed = Written;
    const OWNERSHIP: Ownership = Ownership::Part;

    fn name(args: &Value) -> Option<String> {
        args["name"].as_str().map(str::to_owned)
    }

    fn check_raw(args: &Value) -> Result<()> {
        if has_secret(&args["content"]) {
            return Err(Error::usage("`file::write` takes no secret").hint("put secrets into `k8s::secret`"));
        }
        Ok(())
    }

    async fn find(_: &Cx, _: &WriteFile) -> Result<Option<Written>> {
        // The folder is ours alone: what lies there is written over.
        Ok(None)
    }

    async fn read(cx: &Cx, last: &Written) -> Result<Option<Written>> {
        look(cx, &last.name)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<crate::bind::Change> {
        let content = wanted["content"].as_str().unwrap_or_default().replace([SECRET_OPEN, SECRET_CLOSE], "");
        let new = digest(content.as_bytes());
        if observed["sha256"] == new.as_str() {
            return Vec::new();
        }
        vec![crate::bind::Change {
            field: "sha256".to_owned(),
            old: observed["sha256"].clone(),
            new: if crate::value::has_unknown(&wanted["content"]) { wanted["content"].clone() } else { new.into() },
            effect: crate::bind::Effect::Update,
        }]
    }

    async fn create(cx: &Cx, args: &WriteFile, _: &str) -> Result<Written> {
        let path = place(cx, &args.name)?;
        write(&path, &args.content)?;
        let sha256 = digest(args.content.as_bytes());
        Ok(Written { name: args.name.clone(), path: path.display().to_string(), sha256 })
    }

    async fn update(cx: &Cx, args: &WriteFile, _: &Written, _: &[crate::bind::Change]) -> Result<()> {
        write(&place(cx, &args.name)?, &args.content)
    }

    async fn delete(cx: &Cx, observed: &Written) -> Result<()> {
        let path = place(cx, &observed.name)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, &error)),
            _ => Ok(()),
        }
    }
}

/// Registers what this module has.
pub fn register(registry: &mut Registry) {
    registry.resource::<FileWrite>();
}
