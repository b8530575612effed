//! Files that a playbook writes into its stack's folder.

use crate::{
    bind::{Ownership, Registry, Resource},
    cx::Cx,
    error::{Error, Result, pasteable},
    value::{SECRET_CLOSE, SECRET_OPEN, has_secret},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    io::{ErrorKind, Write as _},
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
/// Stands on no API.
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

/// What the program keeps in the folder for itself; a playbook that wrote there could lose the stack.
const RESERVED: [&str; 4] = ["log", "snapshots", "sandbox", "cache"];

fn place(folder: &Path, name: &str) -> Result<PathBuf> {
    let below = Path::new(name);
    let inside = below.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !inside {
        return Err(
            Error::usage(format!("`{name}` leaves the stack's folder")).hint("give a path below it, without `..`")
        );
    }
    let first = below.components().next().map(|part| part.as_os_str().to_string_lossy()).unwrap_or_default();
    if RESERVED.contains(&first.as_ref()) || first.starts_with("holder-") {
        return Err(Error::usage(format!("`{first}` in the stack's folder is not the playbook's to write"))
            .hint("give the file another name"));
    }
    let path = folder.join(below);
    // A link that came with a playbook must not lead out of the folder, nor may the folder be one. What stands above a
    // folder that is given from the root is the caller's.
    let ours = |place: &Path| !place.as_os_str().is_empty() && (folder.is_relative() || place.starts_with(folder));
    for place in path.ancestors().take_while(|place| ours(place)) {
        if place.is_symlink() {
            return Err(Error::usage(format!("`{}` is a link, which may leave the stack's folder", place.display()))
                .hint(format!("rm {}", pasteable(&place.display().to_string()))));
        }
    }
    Ok(path)
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// What is said of a file that cannot be written.
pub fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot write `{}`", path.display())).because(error.to_string())
}

fn write(path: &Path, content: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| failed(path, &error))?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    // Made anew: what lies there may be a link to somewhere else.
    let _ = std::fs::remove_file(&draft);
    let written = std::fs::File::options().write(true).create_new(true).open(&draft).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&draft, path)).map_err(|error| {
        let _ = std::fs::remove_file(&draft);
        failed(path, &error)
    })
}

fn look(folder: &Path, name: &str) -> Result<Option<Written>> {
    let path = place(folder, name)?;
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
    const REPEATABLE: bool = true;

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
        look(&cx.run.folder, &last.name)
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
        let path = place(&cx.run.folder, &args.name)?;
        write(&path, &args.content)?;
        let sha256 = digest(args.content.as_bytes());
        Ok(Written { name: args.name.clone(), path: path.display().to_string(), sha256 })
    }

    async fn update(cx: &Cx, args: &WriteFile, _: &Written, _: &[crate::bind::Change]) -> Result<()> {
        write(&place(&cx.run.folder, &args.name)?, &args.content)
    }

    async fn delete(cx: &Cx, observed: &Written) -> Result<()> {
        let path = place(&cx.run.folder, &observed.name)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_in_the_folder_and_out_of_what_is_kept_there() {
        let folder = tempfile::tempdir().unwrap();
        let wrong =
            ["", "../x", "a/../../x", "/etc/x", "log/0000000001.json", "snapshots/x", "holder-1.lock", "./log/x"];
        for name in wrong {
            assert!(place(folder.path(), name).is_err(), "`{name}` was taken");
        }
        assert_eq!(place(folder.path(), "a/b.txt").unwrap(), folder.path().join("a/b.txt"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_folder_is_refused() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("file"), folder.path().join("file")).unwrap();
        for name in ["link/deep/x", "file"] {
            let refused = place(folder.path(), name).unwrap_err();
            assert!(refused.message.contains("is a link"), "{refused}");
        }
        let linked = outside.path().join("stack");
        std::os::unix::fs::symlink(folder.path(), &linked).unwrap();
        assert!(place(&linked, "x").is_err(), "the folder itself is a link");
        // A link in the place of the draft is not written through.
        std::os::unix::fs::symlink(outside.path().join("target"), folder.path().join("b.txt.draft")).unwrap();
        write(&place(folder.path(), "b.txt").unwrap(), "b").unwrap();
        assert!(!outside.path().join("target").exists());
    }

    #[test]
    fn a_file_is_written_whole_and_changes_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = place(folder.path(), "a/b.txt").unwrap();
        write(&path, "one").unwrap();
        assert_eq!(look(folder.path(), "a/b.txt").unwrap().unwrap().sha256, digest(b"one"));
        assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
        let observed = serde_json::json!({ "sha256": digest(b"one") });
        assert!(FileWrite::diff(&serde_json::json!({ "content": "one" }), &observed).is_empty());
        assert_eq!(FileWrite::diff(&serde_json::json!({ "content": "two" }), &observed)[0].new, digest(b"two"));
        assert!(look(folder.path(), "gone.txt").unwrap().is_none());
        assert!(write(&path.join("under-a-file"), "x").unwrap_err().message.contains("cannot write"));
    }

    #[test]
    fn secrets_are_refused() {
        let secret = crate::secret::Secret::new("not-for-a-file").marked();
        assert!(FileWrite::check_raw(&serde_json::json!({ "content": format!("x {secret}") })).is_err());
        assert!(FileWrite::check_raw(&serde_json::json!({ "content": "x" })).is_ok());
    }
}
