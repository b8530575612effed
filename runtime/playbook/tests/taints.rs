//! Unknown and secret values in scripts.

use super::*;
use crate::value::{has_secret, has_unknown, shown};

/// The output of a planned step; `u` is a thing whose id is not known, `s` a secret.
fn planned(body: &str) -> Result<Value, String> {
    let script = format!(
        "let cfg = settings(#{{ s: secret(\"open-sesame-42\") }});
        step(\"net\", || cloud::box::thing(#{{ name: \"net\" }}));
        step(\"it\", |net| {{ let u = net.id; let s = cfg.s; {body} }});"
    );
    let bench = Bench::planning(&[("main.rhai", &script)]);
    let playbook = bench.load().map_err(|found| bench.shown(&found))?;
    playbook.run_all().map(|mut outputs| outputs.remove("it").unwrap()).map_err(|why| why.render(false))
}

#[test]
fn unknowns_pass_through_and_are_never_guessed() {
    for body in [
        "`${u}-x`",
        "u + \"x\"",
        "\"x\" + u",
        "1 + u",
        "u * 2.5",
        "u.foo.bar",
        "u[0]",
        "u == 1",
        "1 == u",
        "u == u",
        "`${u}` == \"a\"",
        "u != ()",
        "u > 3",
        "!u",
        "-u",
        "u.len()",
        "u.len",
        "u.split(\",\")[0]",
        "max(u, 3)",
        "u in [1, 2]",
        "1 in u",
        "\"a\" in u",
        "let x = 1; x += u; x",
        "let x = 1.5; x *= u; x",
        "let x = \"a\"; x += u; x",
        "let x = u; x += 1; x",
        "u?.foo",
        "`${u}`.len()",
        "`a${u}`.split(\".\")",
        "`${u}`.to_upper()",
        "`${u}`.contains(\"a\")",
        "`${u}`.sub_string(1)",
        "`${u}`.starts_with(\"a\")",
        "let x = `${u}`; x.trim(); x",
        "let x = `${u}`; x.replace(\"a\", \"b\"); x",
        "[1, u] == [1, 2]",
        "#{ a: u } == #{ a: 1 }",
        "[u, 1].contains(3)",
        "[u, 1].index_of(3)",
        "#{ a: u }.to_json()",
        "to_yaml([u])",
        "base64(u)",
        "sha256(`x${u}`)",
        "cidr_subnet(u, 8, 1)",
        "[u, \"b\"].join(\",\")",
        "get(u, \"x\", 1)",
        "parse_int(`${u}`)",
        "`${u}` - \"a\"",
        "[1, 2].map(|v| v + u)",
        "from_yaml(`a: ${u}`).a",
        "[u].map(|x| x)",
        "#{ a: u }.values()",
        "u ?? 1",
        "`${#{ a: `${u}` }.a}`",
        "trimmed(`${u} `)",
        "\"a\" < `${u}`",
    ] {
        let output = planned(body).unwrap_or_else(|why| panic!("{body}: {why}"));
        assert!(has_unknown(&output), "{body} gave {output}");
    }
}

#[test]
fn what_is_known_beside_unknowns_stays_known() {
    for (body, wanted) in [
        ("[1, u].len()", json!(2)),
        ("net.name", json!("net")),
        ("net.ids[1]", json!("fixed")),
        ("[net].filter(|n| n.name == \"net\").len()", json!(1)),
        ("`${u}` == \"\"", json!(false)),
        ("#{ a: u }.keys()", json!(["a"])),
        ("assert(u == 1, \"asked again in the run\"); 1", json!(1)),
        ("type_of(u)", json!("unknown")),
    ] {
        assert_eq!(planned(body).unwrap_or_else(|why| panic!("{body}: {why}")), wanted, "{body}");
    }
    assert_eq!(shown(&planned("`${u}-x`").unwrap()), "<net.id>-x");
}

#[test]
fn branching_on_an_unknown_names_the_way_out() {
    for body in [
        "if u { 1 } else { 2 }",
        "if u == 1 { 1 }",
        "while u { }",
        "u && true",
        "u || true",
        "if `${u}` == \"a\" { 1 }",
        "[1, 2].filter(|v| v == u)",
        "[u].find(|v| v == 1)",
        "[1].some(|v| v == u)",
        "[1].all(|v| v == u)",
        "if u in [1] { 1 }",
        "for x in u { print(x) }",
        "let x = [1, 2]; x.retain(|v| v == u)",
    ] {
        let why = planned(body).err().unwrap_or_else(|| panic!("{body} passed"));
        assert!(why.contains("not known"), "{body}: {why}");
        assert!(why.contains("main.rhai:3:"), "{body}: {why}");
    }
    assert!(planned("undefined_fn(u)").unwrap_err().contains("there is no function `undefined_fn`"));
}

#[test]
fn secrets_stay_secret() {
    for body in [
        "s",
        "`pw=${s}`",
        "s + \"x\"",
        "\"x\" + s",
        "s + s",
        "#{ a: s }",
        "[s]",
        "base64(s)",
        "base64(`a${s}`)",
        "sha256(s)",
        "to_json(#{ a: s })",
        "to_yaml(#{ a: `x${s}` })",
        "let x = \"a\"; x += s; x",
        "[s, \"b\"].join(\",\")",
        "trimmed(s)",
        "from_yaml(`a: ${s}`).a",
        "cfg.to_map()",
        "cfg",
        "s.to_string()",
    ] {
        let output = planned(body).unwrap_or_else(|why| panic!("{body}: {why}"));
        assert!(has_secret(&output), "{body} gave {output}");
        assert!(!shown(&output).to_string().contains("sesame"), "{body}");
    }
    assert!(has_secret(&planned("secret(\"made-in-a-step\")").unwrap()));
    assert!(has_secret(&planned("secret(s)").unwrap()));
    assert!(has_unknown(&planned("secret(u)").unwrap()));
    assert_eq!(planned("secret(\"\")").unwrap(), json!(""));
    assert_eq!(planned("s == \"\"").unwrap(), json!(false));
    assert_eq!(planned("s != ()").unwrap(), json!(true));
    assert_eq!(planned("s.is_empty()").unwrap(), json!(false));
}

#[test]
fn secrets_cannot_be_looked_into() {
    for body in [
        "s.len()",
        "s.len",
        "s == \"x\"",
        "\"x\" == s",
        "s == s",
        "s < \"x\"",
        "s.split(\"\")",
        "s.sub_string(0, 1)",
        "s[0]",
        "`${s}`.len()",
        "`${s}`.split(\"\")",
        "`${s}`.sub_string(0, 3)",
        "`${s}` == \"x\"",
        "\"x\" in `${s}`",
        "[s] == [1]",
        "`${s}`.to_chars()",
        "`${s}`.to_blob()",
        "let x = `${s}`; x.crop(1); x",
        "`${s}`.starts_with(\"o\")",
        "if s { 1 }",
        "`${s}` - \"o\"",
        "`${s}`.index_of(\"s\")",
        "s.to_upper()",
        "for c in s { print(c) }",
        "[s].contains(\"open\")",
        "parse_int(`${s}`)",
        "`${s}`.to_upper()",
    ] {
        let why = planned(body).err().unwrap_or_else(|| panic!("{body} passed: {:?}", planned(body)));
        assert!(!why.contains("sesame"), "{body}: {why}");
    }
}

#[test]
fn secrets_do_not_show_in_words_or_errors() {
    let script = "let cfg = settings(#{ s: secret(\"open-sesame-42\") });
        step(\"s\", || { print(cfg.s); print(`x ${cfg.s}`); warn(cfg.s); debug(cfg.s); print([cfg.s]); print(cfg); });
        step(\"f\", || fail(`bad ${cfg.s}`));";
    let bench = Bench::new(&[("main.rhai", script)]);
    let playbook = bench.load().unwrap();
    let cancel = CancellationToken::new();
    playbook.run_step("s", &BTreeMap::new(), &cancel, None).unwrap();
    let why = playbook.run_step("f", &BTreeMap::new(), &cancel, None).unwrap_err();
    assert!(why.render(false).contains("error: bad <secret>"), "{why}");
    let said = format!("{:?}", bench.host.said.lock().unwrap());
    assert!(!said.contains("sesame") && said.contains("x <secret>"), "{said}");
}

#[test]
fn secrets_reach_bindings_with_their_mark() {
    let script = "let cfg = settings(#{ s: secret(\"\") });
        step(\"s\", || cloud::box::thing(#{ name: \"a\", password: cfg.s }));";
    let mut bench = Bench::new(&[("main.rhai", script)]);
    bench.layers.push(SettingsLayer::from_set("s=given-by-hand").unwrap());
    bench.load().unwrap().run_all().unwrap();
    assert_eq!(bench.host.calls.lock().unwrap()[0].2["password"], "\u{e002}given-by-hand\u{e003}");
}
