//! Declaring and running steps.

use super::*;
use std::time::Duration;

const PLAYBOOK: &str = r#"//! A box of things.
//!
//! More about it.
import "std/names" as names;
const TAG = "ours";
let cfg = settings(#{
    name: "box",              // what it is called
    sizes: #{ small: 1, large: int_range(1, 5, 9) },
    labels: open_map(#{ a: "b" }),
});
target("cloud", #{ region: "here" });

// The first
// thing.
step("first", || cloud::box::thing(#{ name: names::of(cfg.name), size: cfg.sizes.small }));

/// Makes the second one.
fn second(first) {
    #{ made: cloud::box::thing(#{ name: `${first.id}-2` }), tag: global::TAG }
}
step("second", second).timeout("1h30m").retry(2).when(cfg.sizes.large > 3).protect();

for zone in ["a", "b"] {
    step(`zone-${zone}`, |first| `${first.id}/${zone}`).after("second");
}

step("last", |zone_a, zone_b| [zone_a, zone_b]);
"#;

fn bench() -> Bench {
    Bench::new(&[
        ("main.rhai", PLAYBOOK),
        ("std/names.rhai", "const P = \"n\"; fn of(x) { `${global::P}-${inner(x)}` } fn inner(x) { x }"),
    ])
}

#[test]
fn a_playbook_declares_steps_settings_and_targets() {
    let playbook = bench().load().unwrap();
    assert_eq!(playbook.title, "A box of things.");
    assert_eq!(playbook.targets["cloud"], json!({ "region": "here" }));
    let names: Vec<&str> = playbook.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "zone-a", "zone-b", "last"]);
    let second = &playbook.steps[1];
    assert_eq!(
        (second.timeout, second.retry, second.when, second.protect),
        (Some(Duration::from_mins(90)), 2, true, true)
    );
    assert_eq!(second.doc, "Makes the second one.");
    assert_eq!(playbook.steps[0].doc, "The first\nthing.");
    assert_eq!(playbook.steps[2].needs, ["first"]);
    assert_eq!(playbook.steps[2].after, ["second"]);
    assert_eq!(playbook.steps[4].needs, ["zone-a", "zone-b"]);
    assert_eq!(playbook.steps[0].at.line, 15);
    let name = playbook.settings.get("name").unwrap();
    assert_eq!((name.description.as_str(), name.kind.as_str()), ("what it is called", "text"));
    assert_eq!(playbook.files().len(), 2);
}

#[test]
fn steps_run_with_the_outputs_they_need() {
    let bench = bench();
    let playbook = bench.load().unwrap();
    let outputs = playbook.run_all().unwrap();
    assert_eq!(outputs["first"]["id"], "id-n-box");
    assert_eq!(outputs["second"]["made"]["name"], "id-n-box-2");
    assert_eq!(outputs["second"]["tag"], "ours");
    // Each closure of the loop keeps its own value.
    assert_eq!(outputs["last"], json!(["id-n-box/a", "id-n-box/b"]));
    let calls = bench.host.calls.lock().unwrap();
    assert_eq!((calls[0].0.as_str(), calls[0].1.as_str()), ("first", "cloud::box::thing"));
    assert!(calls[0].3.ends_with("main.rhai:15:30"), "{}", calls[0].3);
}

#[test]
fn reads_of_settings_are_noted_per_step() {
    let playbook = bench().load().unwrap();
    let cancel = CancellationToken::new();
    let outcome = playbook.run_step("first", &BTreeMap::new(), &cancel, None).unwrap();
    assert_eq!(
        outcome.settings_read,
        BTreeMap::from([("name".into(), json!("box")), ("sizes.small".into(), json!(1))])
    );
    let outputs = BTreeMap::from([("first".to_owned(), outcome.output)]);
    assert!(playbook.run_step("zone-a", &outputs, &cancel, None).unwrap().settings_read.is_empty());
}

#[test]
fn looking_at_a_setting_is_no_change_of_it() {
    let looks = "let c = settings(#{ l: [\"a\"], s: \"x\", box: #{ l: [\"b\"] } });\n\
                 step(\"s\", || [c.l.len(), c.box.l.len(), c.s.len(), c.l.contains(\"a\")]);";
    let playbook = Bench::new(&[("main.rhai", looks)]).load().unwrap();
    let outcome = playbook.run_step("s", &BTreeMap::new(), &CancellationToken::new(), None).unwrap();
    assert_eq!(outcome.output, json!([1, 1, 1, true]));
    let changes = "let c = settings(#{ l: [\"a\"] });\nstep(\"s\", || { c.l.push(\"b\"); });";
    let playbook = Bench::new(&[("main.rhai", changes)]).load().unwrap();
    let refused = playbook.run_step("s", &BTreeMap::new(), &CancellationToken::new(), None).unwrap_err();
    assert!(refused.message.contains("cannot be changed by a script"), "{refused}");
}

#[test]
fn settings_are_laid_over_each_other() {
    let mut bench = bench();
    bench.layers.push(SettingsLayer::from_text("a.yaml", "name: file\nsizes: { large: 2 }").unwrap());
    bench.layers.push(SettingsLayer::from_set("name=word").unwrap());
    let playbook = bench.load().unwrap();
    assert_eq!(playbook.settings.get("name").unwrap().origin, "--set name");
    assert_eq!(playbook.run_all().unwrap()["first"]["name"], "n-word");
    assert!(!playbook.steps[1].when, "`.when` sees the settings that hold");
}

#[test]
fn many_threads_run_steps_of_one_playbook() {
    let text = "const C = 1; fn f(x) { x + global::C }
        for n in 0..64 { step(`s${n}`, || { let sum = 0; for i in 0..200 { sum += f(i); } sum + n }); }";
    let playbook = Bench::new(&[("main.rhai", text)]).load().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let playbook = &playbook;
            scope.spawn(move || {
                for n in (thread..64).step_by(8) {
                    let outcome =
                        playbook.run_step(&format!("s{n}"), &BTreeMap::new(), &CancellationToken::new(), None);
                    assert_eq!(outcome.unwrap().output, json!(20_100 + n));
                }
            });
        }
    });
}

#[test]
fn functions_do_what_their_names_say() {
    for (body, wanted) in [
        ("get(#{ a: 1 }, \"b\", 2)", json!(2)),
        ("base64(\"hi\")", json!("aGk=")),
        ("base64_decode(base64(\"hi\"))", json!("hi")),
        ("sha256(\"\").len()", json!(64)),
        ("from_yaml(to_yaml(#{ a: [1, \"x\"], b: () }))", json!({ "a": [1, "x"], "b": null })),
        ("from_json(to_json(#{ a: [1.5, true] }))", json!({ "a": [1.5, true] })),
        ("#{ a: 1 }.to_json()", json!("{\"a\":1}")),
        ("[\"a\", 1].join(\"-\")", json!("a-1")),
        ("cidr_subnet(\"10.0.0.0/16\", 8, 1)", json!("10.0.1.0/24")),
        ("merge(#{ a: #{ b: 1, c: 2 } }, #{ a: #{ c: 3 } })", json!({ "a": { "b": 1, "c": 3 } })),
        ("flatten([[1], 2, [3, 4]])", json!([1, 2, 3, 4])),
        ("indent(\"a\\n\\nb\", 2)", json!("  a\n\n  b")),
        ("[3, 1, 2].filter(|x| x > 1)", json!([3, 2])),
        ("[3, 1, 2].filter(|x, i| i > 0)", json!([1, 2])),
        ("[1, 2].map(|x| x * 2)", json!([2, 4])),
        ("[1, 2].some(|x| x == 2) && [1, 2].all(|x| x > 0)", json!(true)),
        ("let a = \" x \"; a.trim(); a", json!("x")),
        ("\"a,b\".split(\",\")", json!(["a", "b"])),
        ("\"abc\".to_upper() + \"abc\".sub_string(1, 1)", json!("ABCb")),
        ("\"b\" in [\"a\", \"b\"]", json!(true)),
        ("\"abc\"[1]", json!("b")),
        ("parallel([|| 1, || 2 + 3])", json!([1, 5])),
        ("assert(true, \"x\"); ()", json!(null)),
        ("let m = (); try { fail(\"no\"); } catch (e) { m = e.message; } m", json!("no")),
        (
            "let m = (); try { cloud::box::thing(#{ name: \"broken\" }); } catch (e) { m = e.cause; } m",
            json!("Box CreateThing: QuotaExceeded (request 7f3a)"),
        ),
    ] {
        assert_eq!(eval(body).unwrap_or_else(|why| panic!("{body}: {why}")), wanted, "{body}");
    }
}

#[test]
fn print_and_warn_reach_the_host() {
    let bench = Bench::new(&[("main.rhai", "print(\"reading\"); step(\"s\", || { print(1); warn(\"hot\"); });")]);
    bench.load().unwrap().run_all().unwrap();
    let said = bench.host.said.lock().unwrap().clone();
    let wanted = [("", "reading"), ("s", "1"), ("s", "warning: hot")];
    assert_eq!(said, wanted.map(|(step, text)| (step.to_owned(), text.to_owned())));
}

#[test]
fn files_are_read_inside_the_folder_only() {
    let files = [("main.rhai", "step(\"s\", || read_file(\"data/a.txt\"));"), ("data/a.txt", "hello")];
    let bench = Bench::new(&files);
    assert_eq!(bench.load().unwrap().run_all().unwrap()["s"], "hello");
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("b.txt");
    std::fs::write(&path, "far").unwrap();
    let script = format!("step(\"s\", || read_file({:?}));", path.display().to_string());
    let mut bench = Bench::new(&[("main.rhai", &script)]);
    let refused = bench.load().unwrap().run_all().unwrap_err().render(false);
    assert!(refused.contains("outside the playbook's folder") && refused.contains("add `--allow-read"), "{refused}");
    bench.allow_read.push(outside.path().to_owned());
    assert_eq!(bench.load().unwrap().run_all().unwrap()["s"], "far");
}
