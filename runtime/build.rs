//! Lists `stdlib/` and `playbooks/` as texts, so that the binary carries them.

use std::{env, fmt::Write as _, fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("..").canonicalize()?;
    let mut list = String::from("static EMBEDDED: &[(&str, &str)] = &[\n");
    for (folder, prefix) in [("stdlib", "std"), ("playbooks", "playbooks")] {
        // Relative, and the texts are copied: several checkouts may share a target folder.
        println!("cargo::rerun-if-changed=../{folder}");
        let folder = root.join(folder);
        if folder.is_dir() {
            collect(&folder, prefix, &mut list)?;
        }
    }
    list.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("embedded.rs"), list)
}

fn collect(folder: &Path, prefix: &str, list: &mut String) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            collect(&path, &format!("{prefix}/{name}"), list)?;
        } else if let Some(stem) = name.strip_suffix(".rhai") {
            let text = fs::read_to_string(&path)?;
            let _ = writeln!(list, "    ({:?}, {text:?}),", format!("{prefix}/{stem}"));
        }
    }
    Ok(())
}
