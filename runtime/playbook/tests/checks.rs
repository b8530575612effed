//! Static checks, and digests of code.

use super::*;

fn refused(script: &str) -> String {
    Bench::new(&[("main.rhai", script), ("lib.rhai", "fn two(a, b) { a + b } fn name(cfg) { cfg.box.nmae }")]).refused()
}

#[test]
fn names_and_numbers_of_arguments_are_checked_before_a_step_runs() {
    for (body, wanted, place) in [
        ("let a = undefind(1); a", "there is no function `undefind`", "1:24"),
        ("prnt(1)", "there is no function `prnt`", "1:16"),
        ("bas64(\"x\")", "did you mean `base64`?", "1:16"),
        ("base64()", "`base64` takes 1 argument, not 0", "1:16"),
        ("[1].fliter(|x| x)", "did you mean `filter`?", "1:20"),
        ("own(1, 2)", "`own` takes 1 argument, not 2", "1:16"),
        ("lib::tow(1, 2)", "did you mean `lib::two`?", "1:21"),
        ("lib::two(1)", "it is `lib::two(a, b)`", "1:21"),
        ("lbi::two(1, 2)", "did you mean `lib`?", "1:21"),
        ("cloud::box::thign(#{})", "did you mean `cloud::box::thing`?", "1:28"),
        ("cloud::bx::thing(#{})", "did you mean `cloud::box::thing`?", "1:27"),
        ("cloud::box::thing(#{ name: \"a\" }, 1)", "takes 0 or 1 arguments, not 2", "1:28"),
        ("cloud::box::thing(#{ nmae: \"a\" })", "there is no field `nmae`", "1:37"),
        ("cloud::box::thing(#{ size: 1 })", "field `name` is missing", "1:28"),
        ("cloud::box::thing(#{ name: \"a\", items: [#{ kye: 1 }] })", "there is no field `items[0].kye`", "1:59"),
        ("cloud::box::thing()", "field `name` is missing", "1:28"),
    ] {
        let why = refused(&format!("step(\"it\", || {{{body}}}); import \"lib\" as lib; fn own(a) {{ a }}"));
        assert!(why.contains(wanted), "{body}: {why}");
        assert!(why.contains(&format!("main.rhai:{place}")), "{body}: {why}");
    }
}

#[test]
fn settings_that_do_not_exist_are_found_through_functions_and_variables() {
    let start = "import \"lib\" as lib; let cfg = settings(#{ box: #{ name: \"x\", deep: #{ a: 1 } }, tags: #{} }); ";
    for (script, wanted) in [
        ("step(\"s\", || cfg.box.nmae);", "there is no setting `box.nmae`"),
        ("step(\"s\", || cfg.bxo.name);", "there is no setting `bxo`"),
        ("step(\"s\", || cfg[\"bxo\"]);", "there is no setting `bxo`"),
        ("step(\"s\", || lib::name(cfg));", "there is no setting `box.nmae`"),
        ("fn f(b) { b.deep.b } step(\"s\", || f(cfg.box));", "there is no setting `box.deep.b`"),
        ("step(\"s\", || { let b = cfg.box; let d = b.deep; `x ${d.b}` });", "there is no setting `box.deep.b`"),
        ("step(\"s\", || [1].map(|n| cfg.nme + n));", "there is no setting `nme`"),
        ("step(\"s\", || if true { #{ a: [cfg.nme] } } else { 1 });", "there is no setting `nme`"),
    ] {
        let why = refused(&format!("{start}{script}"));
        assert!(why.contains(wanted), "{script}: {why}");
    }
    let fine = "step(\"s\", || { let t = cfg.tags.anything ?? 1; [t, cfg.box.name.len(), get(cfg, \"odd\", 1), cfg.keys()] });";
    let bench = Bench::new(&[("main.rhai", &format!("{}{fine}", start.replace("import \"lib\" as lib;", "")))]);
    assert!(bench.load().is_ok(), "{}", bench.refused());
}

#[test]
fn switch_works_on_settings_and_not_on_outputs() {
    let start = "let cfg = settings(#{ method: \"job\" }); step(\"a\", || cloud::box::thing(#{ name: \"a\" })); fn f(x) { switch x { 1 => 2, _ => 3 } } ";
    for body in [
        "step(\"b\", |a| switch a.id { \"x\" => 1, _ => 2 });",
        "step(\"b\", |a| f(a.id));",
        "step(\"b\", |a| { let m = #{}; m.x = a; switch m.x { 1 => 1, _ => 2 } });",
        "step(\"b\", || switch cloud::box::thing(#{ name: \"b\" }).id { 1 => 1, _ => 2 });",
        "step(\"b\", |a| { for i in a.ids { switch i { 1 => 1, _ => 2 } } });",
        "step(\"b\", |a| a.ids.map(|i| switch i { 1 => 1, _ => 2 }));",
        "step(\"b\", |a| switch `x${a.id}` { 1 => 1, _ => 2 });",
        "fn g(a) { switch a { 1 => 1, _ => 2 } } step(\"b\", g);",
    ] {
        let why = refused(&format!("{start}{body}"));
        assert!(why.contains("`switch` on an output"), "{body}: {why}");
    }
    let fine = "step(\"b\", |a| { let n = switch cfg.method { \"job\" => a.id, _ => 2 }; [n, f(1)] });";
    let bench = Bench::new(&[("main.rhai", &format!("{start}{fine}"))]);
    assert_eq!(bench.load().map_err(|why| bench.shown(&why)).unwrap().run_all().unwrap()["b"], json!(["id-a", 2]));
}

#[test]
fn unused_variables_are_found_by_check_only() {
    let script =
        "let cfg = settings(#{ a: 1 }); const C = 1; let never = 2; let _quiet = 3; fn f(x) { let y = x; global::C }
        step(\"s\", || { let z = cfg.a; let used = 1; || used; f(1) }); import \"lib\" as _lib;";
    let bench = Bench::new(&[("main.rhai", script), ("lib.rhai", "const T = 1; const U = 2; fn t() { global::T }")]);
    let found = bench.load().map_err(|why| bench.shown(&why)).unwrap().check();
    let texts: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(texts, ["unused variable `U`", "unused variable `never`", "unused variable `y`", "unused variable `z`"]);
}

#[test]
fn closures_in_variables_and_maps_are_no_unknown_functions() {
    let script = "step(\"s\", || { let f = |x| x + 1; let m = #{ twice: |x| x * 2 }; [f.call(1), m.twice(2)] });";
    let bench = Bench::new(&[("main.rhai", script)]);
    assert_eq!(bench.load().map_err(|why| bench.shown(&why)).unwrap().run_all().unwrap()["s"], json!([2, 4]));
}

const MAIN: &str = r#"import "lib/one" as one;
const SIZE = 3;
fn own(x) { x + 1 }
fn named() { own(2) }
fn pointed() { 5 }
let cfg = settings(#{ name: "x" });
let captured = 1;
step("a", || {
    let n = one::helper(cfg.name);
    `${n}-${captured}`
});
step("b", |a| own(a));
step("c", || [1, 2].map(|x| { x + global::SIZE }));
step("d", || switch cfg.name { "x" => 1, _ => 2 });
step("e", named);
step("f", || Fn("pointed").call());
"#;
const ONE: &str = "import \"lib/two\" as two;\nfn helper(x) { two::deep(x) + \"!\" }\nfn other() { 1 }\n";
const TWO: &str = "fn deep(x) { `<${x}>` }\n";

fn digests(main: &str, one: &str, two: &str) -> Vec<String> {
    let bench = Bench::new(&[("main.rhai", main), ("lib/one.rhai", one), ("lib/two.rhai", two)]);
    let playbook = bench.load().map_err(|why| bench.shown(&why)).unwrap();
    playbook.steps.iter().map(|step| playbook.code_digest(&step.name)).collect()
}

/// The steps whose digests differ from those of the unchanged playbook.
fn changed(main: &str, one: &str, two: &str) -> String {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let (before, after) = (digests(MAIN, ONE, TWO), digests(main, one, two));
    names.iter().zip(before.iter().zip(&after)).filter(|(_, (a, b))| a != b).map(|(name, _)| *name).collect()
}

#[test]
fn digests_change_with_the_code_that_a_step_runs() {
    assert!(digests(MAIN, ONE, TWO).iter().all(|digest| digest.len() == 32));
    let edit = |from: &str, to: &str| {
        assert!(MAIN.contains(from), "{from}");
        changed(&MAIN.replace(from, to), ONE, TWO)
    };
    assert_eq!(changed(MAIN, ONE, TWO), "");
    assert_eq!(edit("step(\"a\"", "// a comment\n\n\nstep(\"a\""), "");
    assert_eq!(edit("    let n", "    // why\n\n    let  n "), "");
    assert_eq!(edit("\"x\" => 1, _", "\"x\"  =>  1 , /* one */ _").replace('d', ""), "");
    assert_eq!(edit("-${captured}", "+${captured}"), "a");
    assert_eq!(edit("captured = 1", "captured = 2"), "a");
    assert_eq!(edit("x + 1 }", "x + 2 }"), "be");
    assert_eq!(edit("SIZE = 3", "SIZE = 4"), "c");
    assert_eq!(edit("{ x + global", "{ x * global"), "c");
    assert_eq!(edit("\"x\" => 1", "\"y\" => 1"), "d");
    assert_eq!(edit("own(2)", "own(3)"), "e");
    assert_eq!(edit("{ 5 }", "{ 6 }"), "f");
    assert_eq!(edit("name: \"x\"", "name: \"y\""), "");
    assert_eq!(changed(MAIN, &ONE.replace("\"!\"", "\"?\""), TWO), "a");
    assert_eq!(changed(MAIN, &ONE.replace("fn other() { 1 }", "fn other() { 2 }"), TWO), "");
    assert_eq!(changed(MAIN, ONE, &TWO.replace('<', "{")), "a");
}

#[test]
fn wraps_and_recursion_have_digests() {
    let rounds =
        "fn even(n) { if n == 0 { true } else { odd(n - 1) } } fn odd(n) { if n == 0 { false } else { even(n - 1) } }";
    let one = digests(&format!("{rounds} step(\"a\", || even(4)); wrap(\"a\", |base| base.call());"), ONE, TWO);
    let two = digests(&format!("{rounds} step(\"a\", || even(4)); wrap(\"a\", |base| !base.call());"), ONE, TWO);
    let three = digests(
        &format!("{} step(\"a\", || even(4)); wrap(\"a\", |base| base.call());", rounds.replace("false", "()")),
        ONE,
        TWO,
    );
    assert_ne!(one, two);
    assert_ne!(one, three);
}
