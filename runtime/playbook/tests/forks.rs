//! Changing a playbook without copying it, and files that win over built-in ones.

use super::*;

const BASE: &str = r#"import "std/names" as names;
let cfg = settings(#{ name: "base", size: 1 });
step("network", || #{ id: `${names::of(cfg.name)}-${cfg.size}` });
step("database", |network| #{ id: `db-${network.id}` });
step("install", |database| `on ${database.id}`);
"#;

fn bench(main: &str) -> Bench {
    let mut bench = Bench::new(&[("main.rhai", main)]);
    bench.sources = Sources::default().with("playbooks/base", BASE).with("std/names", "fn of(x) { `n-${x}` }");
    bench
}

#[test]
fn forks_override_replace_wrap_insert_and_remove() {
    let playbook = bench(
        r#"extends("playbooks/base", #{ name: "acme" });
        let own = settings(#{ office: "here" });
        replace("database", || #{ id: own.office });
        wrap("network", |base| { let made = base.call(); made.id += "!"; made });
        insert_before("install", "firewall", |network| network.id);
        insert_after("network", "audit", |network| network.id);
        wrap("install", |base, firewall| `${base.call()} behind ${firewall}`);
        step("extra", || 1);
        remove("extra");
        "#,
    )
    .load()
    .unwrap();
    let names: Vec<&str> = playbook.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["network", "audit", "database", "firewall", "install"]);
    let install = playbook.steps.last().unwrap();
    assert_eq!(
        (&install.needs, &install.after),
        (&vec!["database".to_owned(), "firewall".into()], &vec!["firewall".into()])
    );
    assert_eq!(playbook.steps[2].needs, Vec::<String>::new());
    let outputs = playbook.run_all().unwrap();
    assert_eq!(outputs["network"], json!({ "id": "n-acme-1!" }));
    assert_eq!(outputs["install"], "on here behind n-acme-1!");
    assert!(playbook.settings.get("name").unwrap().origin.starts_with("extends at "));
}

#[test]
fn a_wrap_may_give_the_body_other_values() {
    let playbook =
        bench("extends(\"playbooks/base\"); wrap(\"install\", |base, network| base.call(#{ id: network.id }));").load();
    assert_eq!(playbook.unwrap().run_all().unwrap()["install"], "on n-base-1");
}

#[test]
fn changes_without_a_target_fail_loudly() {
    for (change, wanted) in [
        ("replace(\"databse\", || 1);", "`replace` finds no step `databse`"),
        ("wrap(\"databse\", |base| 1);", "`wrap` finds no step `databse`"),
        ("insert_before(\"databse\", \"x\", || 1);", "`insert_before` finds no step `databse`"),
        ("insert_after(\"databse\", \"x\", || 1);", "`insert_after` finds no step `databse`"),
        ("remove(\"databse\");", "`remove` finds no step `databse`"),
        ("step(\"database\", || 1);", "step `database` is declared twice"),
        ("wrap(\"database\", || 1);", "takes the former body as its first parameter"),
        ("remove(\"network\");", "step `database` needs `network`, which is no step"),
        ("extends(\"playbooks/bse\");", "there is no file `playbooks/bse.rhai` to import"),
    ] {
        let refused = bench(&format!("extends(\"playbooks/base\");\n{change}")).refused();
        assert!(refused.contains(wanted), "{change}: {refused}");
        if change.contains("databse") {
            assert!(refused.contains("did you mean `database`?"), "{refused}");
        }
        if change == "remove(\"network\");" {
            assert!(refused.contains("write `replace(\"network\", || ());`"), "{refused}");
        }
    }
}

#[test]
fn overrides_are_checked_like_all_settings() {
    let refused = bench("extends(\"playbooks/base\", #{ nam: \"x\", size: \"big\" });").refused();
    assert!(refused.contains("there is no setting `nam`") && refused.contains("did you mean `name`?"), "{refused}");
    assert!(refused.contains("setting `size` does not fit: a whole number is wanted"), "{refused}");
}

#[test]
fn a_file_of_the_users_wins_and_can_build_on_the_built_in_one() {
    let bench = bench("extends(\"playbooks/base\");");
    bench.write("std/names.rhai", b"import \"std/names\" as original; fn of(x) { `mine-${original::of(x)}` }");
    let playbook = bench.load().unwrap();
    assert_eq!(playbook.run_all().unwrap()["network"]["id"], "mine-n-base-1");
    let is_there = |file: &&std::path::PathBuf| file.exists();
    assert_eq!(playbook.files().iter().filter(is_there).count(), 2);
    assert!(playbook.files().iter().any(|file| file.ends_with("playbooks/base.rhai")), "it would win");
}

#[test]
fn built_in_playbooks_run_by_name() {
    let bench = bench("");
    let playbook = bench.load_path("playbooks/base.rhai").unwrap();
    assert_eq!(playbook.run_all().unwrap()["install"], "on db-n-base-1");
    assert!(playbook.files().is_empty());
    let missing = bench.load_path("playbooks/bsae.rhai").err().unwrap();
    assert_eq!(missing[0].hint.as_deref(), Some("did you mean `playbooks/base`?"));
}

#[test]
fn a_base_is_declared_once() {
    let playbook = bench("extends(\"playbooks/base\"); import \"playbooks/base\" as base; step(\"x\", || 1);").load();
    assert_eq!(playbook.unwrap().steps.len(), 4);
}
