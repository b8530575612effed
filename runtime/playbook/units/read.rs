//! Paths that scripts may name, and bytes that may be scripts.

use super::super::Diagnostic;
use std::{
    fs,
    io::Read as _,
    path::{Component, Path},
    sync::Arc,
};

/// An import path without `.rhai` that cannot lead out of a folder.
pub(super) fn safe(path: &str) -> Result<String, Diagnostic> {
    let outside = |why: &str| {
        let wrong = Diagnostic::usage(format!("`{path}` cannot be imported")).because(why.to_owned());
        Err(wrong.hint("imports stay inside the playbook's folder: copy the file there and import it by its name"))
    };
    if path.is_empty() || path.contains(['\0', '\\', ':']) {
        return outside("it is no path of names and `/`");
    }
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if path.starts_with('/') || !Path::new(path).components().all(plain) || path.split('/').any(|part| part == ".") {
        return outside("it leads outside the playbook's folder");
    }
    Ok(path.trim_end_matches(".rhai").trim_end_matches('/').to_owned())
}

/// Reads at most `largest_bytes` of a regular file.
pub(super) fn bounded(path: &Path, largest_bytes: usize) -> Result<Vec<u8>, String> {
    let about = fs::metadata(path).map_err(|why| why.to_string())?;
    if !about.is_file() {
        return Err("it is no regular file".into());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|why| why.to_string())?;
    file.take(largest_bytes as u64 + 1).read_to_end(&mut bytes).map_err(|why| why.to_string())?;
    if bytes.len() > largest_bytes {
        return Err(format!("it is larger than {largest_bytes} bytes"));
    }
    Ok(bytes)
}

/// The text of a script.
pub(super) fn script_text(bytes: &[u8]) -> Result<Arc<str>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text (UTF-8)".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\0') {
        return Err("it is a binary file".into());
    }
    if text.contains(|c| ('\u{e000}'..='\u{e003}').contains(&c)) {
        return Err("it holds characters that mark unknown and secret values".into());
    }
    Ok(text.into())
}
