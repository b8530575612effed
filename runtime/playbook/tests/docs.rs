//! What docs/playbooks.md names. Its examples are run by `tests/tidy.rs`.

#[test]
fn the_manual_names_every_function() {
    let text = include_str!("../../../docs/playbooks.md");
    for name in [
        "step",
        "settings",
        "target",
        "extends",
        "replace",
        "wrap",
        "insert_before",
        "insert_after",
        "remove",
        ".after",
        ".timeout",
        ".retry",
        ".when",
        ".protect",
        "int_range",
        "choice",
        "cidr",
        "text_or_none",
        "open_map",
        "secret",
        "print",
        "warn",
        "fail",
        "assert",
        "get",
        "merge",
        "flatten",
        "join",
        "to_json",
        "from_json",
        "to_yaml",
        "from_yaml",
        "base64",
        "base64_decode",
        "sha256",
        "trimmed",
        "indent",
        "cidr_subnet",
        "cidr_contains",
        "read_file",
        "parallel",
    ] {
        assert!(text.contains(&format!("`{name}(")) || text.contains(&format!("{name}(")), "{name}");
    }
}
