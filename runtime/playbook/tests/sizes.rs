//! Large playbooks, and input that is no playbook at all.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

/// Time for `work`, in an unoptimised build on a busy machine; the figures of a release build are measured by
/// `cargo bench`.
fn within(most: Duration, what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let took = start.elapsed();
    println!("{what}: {took:?}");
    assert!(took < most, "{what} took {took:?}");
}

#[test]
fn ten_thousand_steps_are_declared_at_once() {
    let chain = "step(\"s0\", || 0); for n in 1..10000 { step(`s${n}`, || n).after(`s${n - 1}`); }";
    let bench = Bench::new(&[("main.rhai", chain)]);
    within(Duration::from_secs(10), "10,000 steps", || {
        let playbook = bench.load().unwrap();
        assert_eq!(playbook.steps.len(), 10_000);
        assert_eq!(playbook.code_digest("s1"), playbook.code_digest("s1"));
        assert_ne!(playbook.code_digest("s1"), playbook.code_digest("s2"), "captured values count");
    });
}

#[test]
fn ten_thousand_written_steps_take_time_in_proportion() {
    let write = |steps: usize| {
        let line = |n: usize| format!("// Step {n}.\nstep(\"s{n}\", || {{ {n} }});\n");
        Bench::new(&[("main.rhai", &(0..steps).map(line).collect::<String>())])
    };
    let time = |bench: &Bench| {
        let start = Instant::now();
        let steps = bench.load().unwrap().steps.len();
        (steps, start.elapsed())
    };
    let ((one, short), (ten, long)) = (time(&write(1000)), time(&write(10_000)));
    println!("{one} written steps: {short:?}; {ten}: {long:?}");
    assert!(long < short * 40, "{short:?} grew to {long:?}");
}

#[test]
fn six_hundred_lines_are_read_at_once() {
    let mut script = String::from("let cfg = settings(#{ name: \"x\" });\n");
    for number in 0..100 {
        script += &format!(
            "// Step {number}.\nfn helper{number}(x) {{\n    let y = `${{x}}-{number}`;\n    y\n}}\n\
             step(\"s{number}\", || cloud::box::thing(#{{ name: helper{number}(cfg.name) }}));\n"
        );
    }
    let bench = Bench::new(&[("main.rhai", &script)]);
    within(Duration::from_secs(4), "600 lines", || {
        let playbook = bench.load().unwrap();
        assert_eq!((playbook.steps.len(), playbook.check().len()), (100, 0));
    });
}

/// Pieces of scripts, put together in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "step(",
        "\"a\"",
        "\"b\"",
        ", ",
        "||",
        "|x|",
        "|a, b|",
        "{",
        "}",
        "(",
        ")",
        ");",
        "#{",
        "a: 1",
        "let x = ",
        "fn f(",
        "f(",
        "settings(",
        "cfg",
        ".a",
        ".b.c",
        "[",
        "]",
        "1",
        "-",
        "+",
        "=",
        "==",
        ";\n",
        "`${",
        "}`",
        "switch x ",
        "=> ",
        "_",
        "if true ",
        "for i in ",
        "loop ",
        "import \"a\" as a;",
        "extends(",
        "replace(",
        "wrap(",
        ".after(",
        ".timeout(\"1m\")",
        "return ",
        "throw ",
        "try ",
        "catch ",
        "// c\n",
        "/*",
        "*/",
        "é",
        "\u{1F600}",
        "\\",
        "\"",
        "'",
        "global::",
        "cloud::box::thing(",
        "const C = ",
        "get(x, \"a\", 1)",
        "parallel([",
        "secret(\"s\")",
        "target(\"c\", ",
        "while ",
        "break",
        "in ",
        "..",
        "?.",
        "??",
        "9999999999999999999",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_script_makes_the_loader_panic(script in pieces()) {
        let mut bench = Bench::new(&[]);
        bench.limits.operations_at_load = 2_000;
        bench.limits.operations_per_step = 2_000;
        bench.write("main.rhai", script.as_bytes());
        match bench.load() {
            Ok(playbook) => {
                playbook.check();
                for step in &playbook.steps {
                    playbook.code_digest(&step.name);
                    let _ = playbook.run_step(&step.name, &BTreeMap::new(), &CancellationToken::new(), None);
                }
            }
            Err(found) => prop_assert!(found.iter().all(|one| !one.message.contains("engine gave up")), "{}", bench.shown(&found)),
        }
    }

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bench = Bench::new(&[]);
        bench.write("main.rhai", &bytes);
        prop_assert!(bench.load().is_err());
        let text = String::from_utf8_lossy(&bytes);
        for name in ["a.yaml", "a.toml"] {
            if let Err(found) = SettingsLayer::from_text(name, &text) {
                found.render(true);
            }
        }
        let _ = SettingsLayer::from_set(&text);
    }
}
