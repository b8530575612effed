//! Bug of rival tools that must not be ours: a suggested clean-up command that fails. What is printed is run as printed.

use crate::support::{
    Ended, bounded, ended,
    hand::Hand,
    holding,
    quick::{MAX, play, play_ok},
    world::World,
};
use serde_json::json;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

const NET: &str = "target(\"aws\", #{ region: \"eu-west-1\" });\n";

/// A command as it is printed, in a shell in which `gitpod-play` is on the path.
pub fn pasted(world: &World, line: &str) -> Ended {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_gitpod-play"));
    let path = std::env::join_paths(
        program
            .parent()
            .map(PathBuf::from)
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let ours = world.place.command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(world.place.path()).stdin(Stdio::null());
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", path.expect("a path"));
    ended(bounded(command, Duration::from_mins(4)))
}

/// The command that is suggested: whole behind `hint: ` or `go on: `, or this one with the option in backticks.
pub fn suggested(args: &[&str], said: &Ended) -> String {
    let all = format!("{}\n{}", said.stdout, said.stderr);
    let whole = |rest: &&str| rest.starts_with("gitpod-play ") || rest.starts_with("kill ");
    if let Some(line) = all.lines().filter_map(|line| line.strip_prefix("hint: ")).find(whole) {
        return line.to_owned();
    }
    let option = all.split('`').find(|part| part.starts_with("--"));
    if let Some(option) = option {
        let args: Vec<String> = args.iter().map(|arg| gitpod_play::error::pasteable(arg)).collect();
        return format!("gitpod-play {} {option}", args.join(" "));
    }
    let line = all.lines().find_map(|line| line.strip_prefix("go on: "));
    line.unwrap_or_else(|| panic!("nothing is suggested\n{all}")).to_owned()
}

/// `args` do not do what they say; what is suggested then does.
fn suggestion_works(world: &World, args: &[&str], code: i32) -> Ended {
    let said = play(world, args);
    assert_eq!(said.code, code, "{args:?}\n{}{}", said.stdout, said.stderr);
    let line = suggested(&[args, &MAX].concat(), &said);
    let done = pasted(world, &line);
    assert_eq!(done.code, 0, "{line}\n{}{}", done.stdout, done.stderr);
    done
}

/// Bug of others: a suggested clean-up command that fails.
#[test]
fn every_command_that_is_suggested_works_as_printed() {
    let world = World::new();
    let vpc = |options: &str| {
        format!(
            "{NET}step(\"v\", || aws::ec2::vpc(#{{ name: \"v\", cidr: \"10.0.0.0/16\"{options} }})){};\n",
            if options.is_empty() { "" } else { ".protect()" }
        )
    };
    world.place.write("my book.rhai", &vpc(""));
    let book = ["my book.rhai", "--stack", "b"];

    // A run that failed.
    world.admin("POST", "faults", &json!([{ "service": "ec2", "operation": "CreateVpc", "count": 1, "action": { "error": { "code": "UnauthorizedOperation", "status": 403 } } }]).to_string());
    suggestion_works(&world, &[&["run"], &book[..], &["--yes"]].concat(), 1);

    // Protected: replaced, no longer declared, destroyed. Names that a shell would take apart.
    let zone = |step: &str| {
        format!(
            "{NET}step(\"z\", || {{ let z = aws::route53::zone(#{{ name: \"a.example.com\" }}); aws::route53::record(#{{ zone: z.id, name: \"*.a.example.com\", type: \"A\", ttl: 60, values: [\"192.0.2.1\"] }}) }}){step};\n"
        )
    };
    world.place.write("p.rhai", &zone(".protect()"));
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    let refused = play(&world, &["destroy", "p.rhai", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("hint: gitpod-play destroy p.rhai"), "{}", refused.stderr);
    world.place.write("p.rhai", "step(\"k\", || kept::value(#{ name: \"k\", value: 1 }));\n");
    let kept = play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert!(kept.stderr.contains("'*.a.example.com"), "{}", kept.stderr);
    suggestion_works(&world, &["destroy", "p.rhai", "--yes"], 1);

    world.place.write("q.rhai", &vpc(", tags: #{}").replace("\"v\"", "\"q-v\""));
    play_ok(&world, &["run", "q.rhai", "--yes"]);
    world.place.write("q.rhai", &vpc(", tags: #{}").replace("\"v\"", "\"q-v\"").replace("10.0.", "10.1."));
    let plan = play_ok(&world, &["plan", "q.rhai"]);
    assert!(suggested(&["plan", "q.rhai"], &plan).contains("--allow-delete q-v"), "{}", plan.stdout);
    suggestion_works(&world, &["run", "q.rhai", "--yes"], 1);
    world.place.write("q.rhai", "step(\"k\", || kept::value(#{ name: \"k\", value: 1 }));\n");
    let warned = suggestion_works(&world, &["run", "q.rhai", "--yes"], 0);
    assert!(warned.stderr.contains("1 deleted"), "{}", warned.stderr);

    // No longer declared, and nobody to ask.
    world.place.write("my book.rhai", "step(\"k\", || kept::value(#{ name: \"k\", value: 1 }));\n");
    let done = suggestion_works(&world, &["run", "my book.rhai", "--stack", "b"], 0);
    assert!(done.stderr.contains("deleted") || done.stderr.contains("nothing changed"), "{}", done.stderr);

    // Questions that nobody answers, names that are nearly right, several stacks.
    play(&world, &["run", "q.rhai", "--yes"]);
    let shown = suggestion_of(&world, &["state", "show"]);
    assert_eq!(shown.code, 0, "{}{}", shown.stdout, shown.stderr);
    let forgot = suggestion_of(&world, &["state", "rm", "kept::value/k", "--stack", "q"]);
    assert_eq!(forgot.code, 0, "{}{}", forgot.stdout, forgot.stderr);
    let docs = suggestion_of(&world, &["docs", "aws::ec2::vcp"]);
    assert_eq!(docs.code, 0, "{}{}", docs.stdout, docs.stderr);
}

/// The same for commands that know no pace.
fn suggestion_of(world: &World, args: &[&str]) -> Ended {
    let said = world.play(args, &[]);
    assert_ne!(said.code, 0, "{args:?}\n{}", said.stdout);
    pasted(world, &suggested(args, &said))
}

#[test]
fn what_is_suggested_about_others_things_about_signals_and_about_the_simulated_clouds_works() {
    let world = World::new();
    let hand = Hand::of(&world);
    hand.does(hand.iam.create_user().user_name("theirs").send());
    let script = |options: &str| {
        format!("{NET}step(\"u\", || aws::iam::user(#{{ name: \"theirs\", policies: []{options} }}));\n")
    };
    world.place.write("p.rhai", &script(""));
    let refused = play(&world, &["run", "p.rhai", "--yes"]);
    let added = refused.stderr.split('`').find(|part| part.starts_with("adopt")).expect("what to add");
    world.place.write("p.rhai", &script(&format!(", {added}")));
    play_ok(&world, &["run", "p.rhai", "--yes"]);

    // Interrupted.
    let held = format!("step(\"b\", |a| {});\n", holding("b"));
    world.place.write("slow.rhai", &format!("step(\"a\", || kept::value(#{{ name: \"k\", value: 1 }}));\n{held}step(\"c\", |b| kept::value(#{{ name: \"c\", value: 1 }}));\n"));
    let mut command = world.place.command(&["run", "slow.rhai", "--yes", "--allow-run", "sh"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    world.place.is_held("b");
    // In use meanwhile.
    let in_use = play(&world, &["run", "slow.rhai", "--yes", "--allow-run", "sh"]);
    assert!(in_use.code == 1 && in_use.stderr.contains("hint: wait until it is done"), "{}", in_use.stderr);
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().expect("kill").success());
    let stopped = ended(child.wait_with_output().expect("it ends"));
    assert_eq!(stopped.code, 130, "{}", stopped.stderr);
    world.place.lets_go("b");
    let done = pasted(&world, &suggested(&[], &stopped));
    assert_eq!(done.code, 0, "{}", done.stderr);

    // Last, because it ends the clouds.
    let reset = suggestion_of(&world, &["sandbox", "reset", "--yes"]);
    assert_eq!(reset.code, 0, "{}{}", reset.stdout, reset.stderr);
}
