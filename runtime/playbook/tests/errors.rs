//! What users read when something is wrong: compared letter by letter where it matters.

use super::*;

#[test]
fn a_failing_binding_shows_place_cause_hint_and_callers() {
    let bench = Bench::new(&[
        ("main.rhai", "import \"std/db\" as db;\n\nstep(\"database\", || {\n    db::database(\"broken\")\n});\n"),
        ("std/db.rhai", "fn database(name) {\n    cloud::box::thing(#{ name: name })\n}\n"),
    ]);
    let why = bench.load().unwrap().run_all().unwrap_err();
    assert_eq!(why.class, Class::Invalid);
    assert_eq!(
        bench.shown(&[why]),
        "\
error: cannot create thing `broken`: storage quota exceeded
  --> std/db.rhai:2:17, step `database`
   |
 2 |     cloud::box::thing(#{ name: name })
   |                 ^^^^^
  `database` called from main.rhai:4:9
  cause: Box CreateThing: QuotaExceeded (request 7f3a)
hint: raise the quota
"
    );
}

#[test]
fn wrong_fields_name_the_nearest_one() {
    let bench =
        Bench::new(&[("main.rhai", "step(\"s\", || {\n    let a = #{ nmae: \"x\" };\n    cloud::box::thing(a)\n});")]);
    assert_eq!(
        bench.shown(&[bench.load().unwrap().run_all().unwrap_err()]),
        "\
error: `cloud::box::thing`: there is no field `nmae`
  --> main.rhai:3:17, step `s`
   |
 3 |     cloud::box::thing(a)
   |                 ^^^^^
hint: did you mean `name`?
"
    );
}

#[test]
fn mistakes_while_running_are_reworded() {
    for (body, wanted) in [
        ("cloud::box::thing(#{ name: 1 })", "`cloud::box::thing`: bad argument at `name`"),
        ("cloud::box::thing(#{ name: \"x\", items: [#{ kye: \"a\" }] })", "there is no field `items[0].kye`"),
        ("cloud::box::thing(#{ name: \"a name that is far too long\" })", "at most 20 characters"),
        ("cloud::box::thing(1)", "takes one map"),
        ("cloud::box::thing(#{ name: || 1 })", "a function at `name` is no data"),
        ("cloud::box::thnig(#{ name: \"a\" })", "did you mean `cloud::box::thing`?"),
        ("cluod::box::thing(#{ name: \"a\" })", "there is no module `cluod"),
        ("let a = #{}; a.b", "there is no property `b`"),
        ("\"a\".lne()", "there is no function `lne`"),
        ("1 + #{}", "`+` does not work on a whole number and a map"),
        ("let x = 1; if x { }", "`true` or `false` is wanted here, not a whole number"),
        ("[1][5]", "out of bounds"),
        ("throw \"mine\"", "error: mine"),
        ("fail(\"mine\", \"do this\")", "hint: do this"),
        ("assert(false, \"must hold\")", "error: must hold"),
        ("1 / 0", "division by zero"),
        ("step(\"x\", || 1)", "`step` cannot be called inside a step"),
        ("timestamp()", "does not exist in playbooks"),
        ("sleep(1)", "does not exist in playbooks"),
        ("read_file(\"/etc/passwd\")", "outside the playbook's folder"),
        ("|| 1", "the output of a step must be data: a function is no data"),
        ("let f = |x| x; f.call()", "a closure is called with too few"),
    ] {
        let why = eval(body).err().unwrap_or_else(|| panic!("{body} passed")).render(false);
        assert!(why.contains(wanted), "{body}: {why}");
        assert!(why.contains("main.rhai:1:"), "{body} has no place: {why}");
        // What can be seen without running the step is refused before there is one.
        let seen_before = why.contains("there is no f") || why.contains("there is no m");
        assert!(seen_before || why.contains("step `it`"), "{body}: {why}");
    }
}

#[test]
fn mistakes_while_reading_are_reworded() {
    for (script, wanted) in [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("// nothing", "declares no steps"),
        ("let a = ;", "main.rhai:1:9"),
        ("step(\"a\", || {", "expecting `}`"),
        ("step(\"a\", || { b });", "there is no variable `b`"),
        ("step(\"a\", f); fn f() { 1 }", "stands above the line"),
        ("let x = 1; fn f() { x } step(\"a\", f);", "functions see only their parameters"),
        ("step(\"a\", |b| 1); step(\"b\", |a| 1);", "steps need each other: a → b → a"),
        ("step(\"a\", |a| 1);", "steps need each other: a → a"),
        ("step(\"network\", || 1); step(\"b\", |netwrok| 1);", "did you mean `network`?"),
        ("step(\"a\", || 1).after(\"b\");", "step `a` comes after `b`, which is no step"),
        ("step(\"a\", || 1).timeout(\"soon\");", "`soon` is no duration"),
        ("step(\"a\", || 1).retry(-1);", "`.retry` takes a number from 0 to 100"),
        ("step(\"a/b\", || 1);", "without `/`"),
        ("step(\"\", || 1);", "a step needs a name"),
        ("cloud::box::thing(#{ name: \"x\" });", "can be called inside a step only"),
        ("let c = settings(#{ a: 1 }); c.b;", "there is no setting `b`"),
        ("let c = settings(#{ a: 1 }); c.a = 2;", "cannot be changed by a script"),
        ("settings(#{ a: 1 }); settings(#{ a: \"x\" });", "declared twice, with different types"),
        ("settings(#{ a: int_range(1, 20, 9) });", "from 1 to 9 is wanted"),
        ("settings(#{ a: choice(\"x\", [\"y\"]) });", "one of `\"y\"` is wanted"),
        ("settings(#{ a: cidr(\"10.0.0.1/8\") });", "range of addresses"),
        ("import \"nothing\" as n;", "there is no file `nothing.rhai` to import"),
        ("import \"../x\" as n;", "leads outside the playbook's folder"),
        ("import \"/etc/x\" as n;", "leads outside the playbook's folder"),
        ("import \"a/../../x\" as n;", "leads outside the playbook's folder"),
        ("import \"c:\\\\x\" as n;", "cannot be imported"),
        ("import \"main\" as me;", "there is no file `main.rhai`"),
        ("eval(\"1\");", "eval"),
        ("loop {}", "the script does not come to an end"),
        ("fn f() { f() } f();", "the script calls too deep"),
        ("let a = []; loop { a.push(1); }", "a value grew too large"),
        ("let a = \"x\"; loop { a += a; }", "a value grew too large"),
        ("let a = #{}; for i in 0..1000000 { a[`k${i}`] = a; }", "a value grew too large"),
        ("let a = []; loop { a = [a]; }", "a value grew too large"),
        ("for i in 0..1000000 { step(`s${i}`, || 1); }", "more than 50 steps"),
    ] {
        let mut bench = Bench::new(&[("main.rhai", script)]);
        bench.limits.steps = 50;
        bench.limits.operations_at_load = 100_000;
        bench.limits.list_items = 5_000;
        bench.limits.map_keys = 5_000;
        let why = bench.refused();
        assert!(why.contains(wanted), "{script}: {why}");
    }
}

#[test]
fn files_that_are_no_scripts_are_refused() {
    let bench = Bench::new(&[]);
    assert!(bench.refused().contains("there is no playbook `main.rhai`"));
    for (bytes, wanted) in
        [(&b"\x7fELF\0\0"[..], "binary"), (b"\xff\xfe", "not text"), ("\u{e000}".as_bytes(), "mark unknown")]
    {
        bench.write("main.rhai", bytes);
        let why = bench.refused();
        assert!(why.contains(wanted), "{why}");
    }
    bench.write("main.rhai", &vec![b' '; (4 << 20) + 1]);
    assert!(bench.refused().contains("larger than"));
    let folder = bench.folder.path().display().to_string();
    assert!(bench.load_path(&folder).err().unwrap()[0].message.contains("is a folder"));
    assert!(bench.load_path("").is_err());
}

#[test]
fn nesting_without_end_is_refused() {
    for text in [
        "(".repeat(100_000),
        "[".repeat(100_000),
        format!("let a = {}", "-".repeat(100_000)),
        "{".repeat(100_000),
        "if true {".repeat(50_000),
        "step(\"a\", || ".repeat(10_000),
        "#{a:".repeat(10_000),
        "`${".repeat(10_000),
    ] {
        assert!(Bench::new(&[("main.rhai", &text)]).load().is_err());
    }
    let deep = format!("step(\"a\", || {{ let x = {}1{}; x }});", "(".repeat(20), ")".repeat(20));
    assert!(Bench::new(&[("main.rhai", &deep)]).load().is_ok());
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_the_folder() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.rhai"), "fn f() {}").unwrap();
    let bench = Bench::new(&[("main.rhai", "import \"x\" as x; step(\"a\", || 1);")]);
    std::os::unix::fs::symlink(outside.path().join("x.rhai"), bench.folder.path().join("x.rhai")).unwrap();
    assert!(bench.refused().contains("`x` lies outside the playbook's folder"));
}

#[test]
fn files_that_import_each_other_are_named() {
    let bench = Bench::new(&[
        ("main.rhai", "import \"a\" as a;"),
        ("a.rhai", "import \"b\" as b;"),
        ("b.rhai", "import \"a\" as a;"),
    ]);
    let why = bench.refused();
    assert!(why.contains("files import each other: a.rhai → b.rhai → a.rhai"), "{why}");
}

#[test]
fn mistakes_in_imported_files_stand_there() {
    let bench = Bench::new(&[("main.rhai", "import \"a\" as a;"), ("a.rhai", "fn f() {\n  let x = ;\n}")]);
    let why = bench.refused();
    assert!(why.contains("--> a.rhai:2:11"), "{why}");
}

#[test]
fn wrong_settings_are_all_shown() {
    let mut bench = Bench::new(&[("main.rhai", "let c = settings(#{ a: #{ b: 1 } }); step(\"s\", || c.a.b);")]);
    bench.layers.push(SettingsLayer::from_text("x.yaml", "a:\n  b: x\n  c: 1\n").unwrap());
    bench.layers.push(SettingsLayer::from_set("q=1").unwrap());
    assert_eq!(
        bench.refused(),
        "\
error: setting `a.b` does not fit: a whole number is wanted, not `\"x\"`
  --> x.yaml:2:3
   |
 2 |   b: …
   |   ^
error: there is no setting `a.c`
  --> x.yaml:3:3
   |
 3 |   c: …
   |   ^
hint: did you mean `a.b`?
error: there is no setting `q`
  cause: given by `--set q`
hint: `gitpod-play settings PLAYBOOK` lists all settings
"
    );
}

#[test]
fn steps_stop_when_they_are_told_to() {
    let mut bench = Bench::new(&[(
        "main.rhai",
        "step(\"s\", || { loop {} }); step(\"p\", || { loop { print(\"0123456789\"); } });",
    )]);
    bench.limits.printed_bytes = 1000;
    let playbook = bench.load().unwrap();
    let cancel = CancellationToken::new();
    let soon = Instant::now() + std::time::Duration::from_millis(30);
    let why = playbook.run_step("s", &BTreeMap::new(), &cancel, Some(soon)).unwrap_err();
    assert_eq!(why.class, Class::TimedOut);
    let why = playbook.run_step("p", &BTreeMap::new(), &cancel, None).unwrap_err();
    assert!(why.message.contains("prints more than"), "{why}");
    let later = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        later.cancel();
    });
    assert_eq!(playbook.run_step("s", &BTreeMap::new(), &cancel, None).unwrap_err().class, Class::Interrupted);
    assert!(playbook.run_step("nobody", &BTreeMap::new(), &cancel, None).is_err());
}
