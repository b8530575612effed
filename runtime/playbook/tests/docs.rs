//! The examples in docs/playbooks.md.

use super::*;

/// The blocks between "```rhai" and "```".
fn examples(text: &str) -> Vec<&str> {
    text.split("```rhai\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn examples_of_the_manual_load_and_plan() {
    let text = include_str!("../../../docs/playbooks.md");
    let examples = examples(text);
    assert_eq!(examples.len(), 3, "one of the examples is not tried here");
    let base = "settings(#{ cluster: #{ name: \"x\" } }); step(\"cluster\", || #{ arn: \"a\", endpoint: \"e\" });
        step(\"dns_zone\", || #{}); step(\"database\", |cluster| #{ host: cluster.arn });
        step(\"install\", |database, dns_zone| 1); step(\"welcome\", |install| 1);";
    for example in examples {
        // Their clouds are not here; what they call stands for it.
        let script = ["aws::rds::subnet_group", "aws::ec2::subnet"]
            .iter()
            .fold(example.to_owned(), |script, binding| script.replace(binding, "cloud::box::any"));
        let script = if script.contains("step(\"network\"") || script.contains("extends(") {
            script
        } else {
            format!("step(\"network\", || #{{ id: 1 }});\n{script}")
        };
        let mut bench = Bench::planning(&[("main.rhai", &script)]);
        let networks = "fn networks() { 1 } fn network(cfg) { #{ id: 1, private_subnets: [cfg.region] } }";
        bench.sources = Sources::default().with("playbooks/aws", base).with("std/aws/network", networks);
        let playbook = bench.load().unwrap_or_else(|found| panic!("{script}\n{}", bench.shown(&found)));
        assert!(playbook.check().is_empty());
        playbook.run_all().unwrap_or_else(|why| panic!("{script}\n{why}"));
    }
}

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
