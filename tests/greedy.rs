//! Playbooks that take all they can get: memory, threads, time, depth, output.

use crate::support::{Place, bounded, ended};
use std::time::{Duration, Instant};

type Case = (&'static str, String, &'static str);

/// What is done, the playbook, and what has to be said about it; nothing where it may come to its end.
fn cases() -> Vec<Case> {
    let many: Vec<String> = (0..3000).map(|n| format!("let v{n} = s + \"{n}\";")).collect();
    let many = many.join("\n");
    let doubled = "let s = \"x\"; while s.len() < 2000000 { s += s; }\n";
    let step = |body: &str| format!("step(\"a\", || {{ {body} }});");
    vec![
        ("a thousand texts", format!("{doubled}{many}step(\"a\", || 1);"), "memory"),
        (
            "texts in a recursion",
            format!(
                "fn f(n, s) {{ let t = s + `${{n}}`; if n < 60 {{ for i in 0..60 {{ f(n + 1, t); }} }} }}\n{}",
                step(&format!("{doubled} f(0, s);"))
            ),
            "computes for more than",
        ),
        ("a text in place of each letter", step(&format!("{doubled} s.replace(\"x\", s);")), "too large"),
        ("nothing replaced by much", step(&format!("{doubled} s.replace(\"\", s);")), "too large"),
        ("joined by much", step(&format!("{doubled} let l = []; l.pad(90000, \"\"); join(l, s).len();")), "too large"),
        ("padded lists of lists", step("let l = []; loop { l.pad(50000, 1); l = [l, l, l]; }"), "too large"),
        ("nested maps", step("let m = #{}; for i in 0..5000 { m = #{ m: m }; } merge(m, m)"), "nested up to 64 deep"),
        ("a deep list as output", step("let l = []; for i in 0..5000 { l = [l]; } l"), ""),
        (
            "threads that start threads",
            format!(
                "fn f() {{ parallel([|| f(), || f(), || f(), || f(), || f(), || f(), || f(), || f()]) }}\n{}",
                step("f()")
            ),
            "parallel",
        ),
        ("endless", step("let n = 0; loop { n += 1; }"), "does not come to an end"),
        ("endless and quiet", step("loop { }"), "does not come to an end"),
        ("deep", format!("fn f(n) {{ f(n + 1) }}\n{}", step("f(0)")), "too deep"),
        (
            "a flood",
            step("loop { print(\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"); }"),
            "print",
        ),
        ("a long last word", step(&format!("{doubled} fail(s);")), "bytes)"),
        (
            "laughs in YAML",
            step(
                "from_yaml(\"a: &a [x,x,x,x,x,x,x,x,x]\\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\")",
            ),
            "",
        ),
        ("deep JSON", step("let s = \"[\"; while s.len() < 1000000 { s += s; } from_json(s)"), "cannot read the text"),
    ]
}

#[test]
fn scripts_do_not_take_the_machine_down() {
    for (what, script, words) in cases() {
        let place = Place::new();
        place.write("p.rhai", &script);
        let began = Instant::now();
        let mut command = place.command(&["run", "p.rhai", "--yes"]);
        // The shell's limit is above ours: what passes it was not held by us.
        let program = command.get_program().to_string_lossy().into_owned();
        let environment: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        command = std::process::Command::new("bash");
        command.args(["-c", &format!("ulimit -v 8000000; exec {program} run p.rhai --yes")]);
        command.current_dir(place.path()).envs(environment);
        let stopped = ended(bounded(command, Duration::from_mins(3)));
        let shown: String = stopped.stderr.chars().take(3000).collect();
        println!(
            "greedy: {what}: exit {} after {:.1} s, {} bytes",
            stopped.code,
            began.elapsed().as_secs_f64(),
            stopped.stderr.len()
        );
        let ended_well = words.is_empty() && stopped.code == 0;
        assert!(ended_well || matches!(stopped.code, 1 | 2), "{what}: exit {}\n{shown}", stopped.code);
        assert!(stopped.stderr.contains(words), "{what}: `{words}` is not in\n{shown}");
        assert!(stopped.stderr.len() + stopped.stdout.len() < 3 << 20, "{what}: {} bytes", stopped.stderr.len());
    }
}
