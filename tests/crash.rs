//! `kill -9` at every API call of the shipped playbook (made, changed, replaced, taken down), before it is sent, after it was
//! answered, and before the answer is recorded; then the same command again, which has to end as if nothing had happened.
//!
//! Calls are told apart by service, operation, step, resource and how many of the kind came before, so that a point means
//! the same in every run. Points are strung on chains: the process that goes on after one kill meets the next one. What
//! a chain does not reach, because it happened earlier than in the undisturbed run, is tried again: the first point of it
//! alone, the others as a chain.
//! `GITPOD_PLAY_CRASH_ALONE=1`: each point in a world of its own; `GITPOD_PLAY_CRASH_STRIDE=N`: only every N-th chain.

use crate::support::{
    ALLOW_DATABASE, AWS, Place,
    plain::text,
    world::{World, differences},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

const VERBS: usize = 4;
const INSTANTS: [&str; 3] = ["before", "answered", "unrecorded"];
/// Kills of one world before its end state is looked at.
const KILLS_A_CHAIN: usize = 10;
/// How often what a chain did not reach is tried again.
const TRIES_AGAIN: usize = 6;
/// Failures that are shown, differences of each, and characters of each of these.
const SHOWN: usize = 4;
const LINE: usize = 2000;

/// Where a process is killed, as the program's variable takes it.
type Point = String;

/// What an undisturbed run left.
#[derive(PartialEq)]
struct EndState {
    objects: Vec<String>,
    recorded: Vec<String>,
}

impl EndState {
    fn of(world: &World) -> Self {
        Self { objects: world.objects(), recorded: world.recorded() }
    }

    fn unlike(&self, other: &Self) -> Vec<String> {
        let recorded = differences(&self.recorded, &other.recorded);
        differences(&self.objects, &other.objects).into_iter().chain(recorded).collect()
    }
}

/// One verb: its name, its arguments, its points, what it ends with.
struct Verb {
    name: &'static str,
    args: Vec<&'static str>,
    points: Vec<Point>,
    end: EndState,
}

fn run_args() -> Vec<&'static str> {
    vec!["run", AWS, "--pace", "max", "--yes"]
}

/// A run that changes nearly everything in place, makes some of it under another name, and deletes what had the former one.
fn change_args() -> Vec<&'static str> {
    let settings = [
        "tags.team=change",
        "workspaces.max=20",
        "services.instance_type=m6i.2xlarge",
        "storage.user=gitpod-s3-other",
        "storage.policy=gitpod_s3_other_policy",
    ];
    [run_args(), settings.iter().flat_map(|setting| ["--set", *setting]).collect()].concat()
}

/// A run that deletes the database, with a last snapshot, and makes it again, likewise the domain's zone and its records.
fn replace_args() -> Vec<&'static str> {
    [
        change_args(),
        vec!["--set", "database.username=other", "--set", "domain=gitpod.example.org"],
        ALLOW_DATABASE.to_vec(),
    ]
    .concat()
}

fn destroy_args() -> Vec<&'static str> {
    vec!["destroy", AWS, "--pace", "max", "--yes", ALLOW_DATABASE[0], ALLOW_DATABASE[1]]
}

/// The verbs, in the order in which a world sees them.
fn verbs() -> [(&'static str, Vec<&'static str>); VERBS] {
    [("run", run_args()), ("change", change_args()), ("replace", replace_args()), ("destroy", destroy_args())]
}

/// Plays a verb without disturbance; its calls, by the name that a point has for them. A run looks first whether it
/// would fail, as a plan does; no process dies of that, so that its calls are left out.
fn undisturbed(world: &World, name: &str, args: &[&'static str]) -> Result<Vec<String>, String> {
    let file = format!("{name}.jsonl");
    let mut looked: Vec<String> = Vec::new();
    if args[0] == "run" {
        let _ = std::fs::remove_file(world.place.path().join("look.jsonl"));
        let plan: Vec<&str> = args[1..].iter().copied().filter(|arg| *arg != "--yes").collect();
        let ended = world.play(&[&["plan"], &plan[..], &["--record", "look.jsonl"]].concat(), &[]);
        if ended.code != 0 {
            return Err(format!("an undisturbed plan failed: {}", ended.stderr));
        }
        looked = world.place.calls("look.jsonl").iter().map(named).collect();
    }
    let ended = world.play(&[args, &["--record", &file]].concat(), &[]);
    if ended.code != 0 {
        return Err(format!("an undisturbed `{name}` failed: {}", ended.stderr));
    }
    let mut calls = world.place.calls(&file);
    calls.sort_by(|a, b| a["at"].as_str().cmp(&b["at"].as_str()));
    if name == "replace" {
        // What other steps read, they read in the other runs, too.
        let writing: HashSet<Value> =
            calls.iter().filter(|it| it["write"] == true).map(|it| it["step"].clone()).collect();
        calls.retain(|call| writing.contains(&call["step"]));
    }
    Ok(calls.iter().map(named).filter(|name| !took(&mut looked, name)).collect())
}

/// Takes one `name` out of `names`; whether there was one.
fn took(names: &mut Vec<String>, name: &str) -> bool {
    let place = names.iter().position(|it| it == name);
    place.map(|place| names.swap_remove(place)).is_some()
}

/// `service operation step resource`; what is generated ends it. A cluster is looked up once for all steps, by the one that
/// comes first, which is another one from run to run.
fn named(call: &Value) -> String {
    let mut parts = ["service", "operation", "step", "resource"].map(|part| call[part].as_str().unwrap_or_default());
    if parts[1] == "DescribeCluster" && !parts[2].is_empty() && parts[3].is_empty() {
        parts[2] = "?";
    }
    let name = text(&parts.join(" "));
    match name.split_once('#') {
        Some((begin, _)) => format!("{begin}*"),
        None => name.trim_end().to_owned(),
    }
}

/// The points of the calls that both of two undisturbed runs made: how often is asked whether something is ready depends
/// on the machine.
fn points(one: &[String], other: &[String]) -> Vec<Point> {
    let count = |calls: &[String], name: &str| calls.iter().filter(|it| *it == name).count();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut points = Vec::new();
    for name in one {
        let nth = seen.entry(name).or_default();
        *nth += 1;
        // A manifest is fetched once and kept: no call to a cloud, and the next process makes it no more.
        if *nth <= count(other, name) && !name.starts_with("http ") {
            points.extend(INSTANTS.iter().map(|instant| format!("{instant}:{nth} {name}")));
        }
    }
    points
}

/// Creates of which the log knows the intent only when the process dies.
const HALF_MADE: [&str; 10] = [
    "s3 CreateBucket*",
    "iam CreateUser*",
    "iam CreateAccessKey*",
    "ec2 CreateVpc*",
    "ec2 AllocateAddress*",
    "ec2 CreateNatGateway*",
    "eks CreateCluster*",
    "eks CreateNodegroup*",
    "rds CreateDBInstance*",
    "route53 CreateHostedZone*",
];

#[test]
fn what_was_half_made_can_be_destroyed() {
    let _alone = crate::support::alone();
    let nothing = World::new().objects();
    let wrong = Mutex::new(Vec::new());
    on_all_processors(&HALF_MADE, |call| {
        let world = World::new();
        let killed = world.play(&run_args(), &[("GITPOD_PLAY_CRASH_AT", &format!("answered:1 {call}"))]);
        let destroyed = world.play(&destroy_args(), &[]);
        // A database that worked leaves its last snapshot.
        let left: Vec<String> =
            differences(&nothing, &world.objects()).into_iter().filter(|line| !line.starts_with("+ rds.")).collect();
        if (killed.code, destroyed.code) != (-1, 0) || !left.is_empty() || !world.recorded().is_empty() {
            let codes = (killed.code, destroyed.code);
            wrong.lock().expect("no panic").push(format!("{call}: {codes:?}\n{}\n{left:#?}", destroyed.stderr));
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What was found wrong, and what was not reached.
#[derive(Default)]
struct Found {
    killed: AtomicUsize,
    again: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    unreached: Mutex<Vec<Vec<Point>>>,
}

impl Found {
    fn wrong(&self, words: String) {
        self.wrong.lock().expect("no panic").push(words);
    }

    /// Kills `verb` at each of `chain`, lets it end, and compares. Whether the world is still of use.
    fn strain(&self, world: &World, verb: &Verb, chain: &[Point]) -> bool {
        let after = |at: usize| format!("`{}` after kills at {:#?}", verb.name, &chain[..at.min(chain.len())]);
        for (at, point) in chain.iter().enumerate() {
            let ended = world.play(&verb.args, &[("GITPOD_PLAY_CRASH_AT", point)]);
            match ended.code {
                -1 => drop(self.killed.fetch_add(1, Ordering::SeqCst)),
                0 => {
                    let (first, others) = (chain[at..=at].to_vec(), chain[at + 1..].to_vec());
                    let mut unreached = self.unreached.lock().expect("no panic");
                    unreached.extend([first, others].into_iter().filter(|chain| !chain.is_empty()));
                    break;
                }
                code => {
                    self.wrong(format!("{}, on the way to {point}: exit {code}\n{}", after(at), ended.stderr));
                    return false;
                }
            }
        }
        let ended = world.play(&verb.args, &[]);
        if ended.code != 0 {
            self.wrong(format!("{}: exit {}\n{}", after(chain.len()), ended.code, ended.stderr));
            return false;
        }
        let unlike = verb.end.unlike(&EndState::of(world));
        if !unlike.is_empty() {
            let unlike: Vec<String> = unlike.iter().take(SHOWN).map(|line| line.chars().take(LINE).collect()).collect();
            self.wrong(format!("{}: the end is another\n{}", after(chain.len()), unlike.join("\n")));
            return false;
        }
        if verb.args[0] == "run"
            && let Some(odd) = odd_secrets(world)
        {
            self.wrong(format!("{}: {odd}", after(chain.len())));
        }
        true
    }
}

/// What is wrong with the secrets that were handed out, if anything.
fn odd_secrets(world: &World) -> Option<String> {
    let decoded = |data: &Value, key: &str| {
        let bytes = STANDARD.decode(data[key].as_str().unwrap_or_default()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let aws = world.admin("GET", "state", "");
    let keys: Vec<&Value> = aws["/iam.key"].as_object()?.values().collect();
    let [key] = keys[..] else { return Some(format!("{} access keys", keys.len())) };
    let storage = world.secret("storage-s3");
    let (id, secret) = (decoded(&storage, "accessKeyId"), decoded(&storage, "secretAccessKey"));
    if key["AccessKeyId"] != id.as_str() || key["SecretAccessKey"] != secret.as_str() {
        return Some(format!("the access key in the cluster, `{id}`, is not the user's: {}", key["AccessKeyId"]));
    }
    let instance = aws["eu-west-1/rds.instance"].as_object()?.values().next()?;
    let password = decoded(&world.secret("database"), "password");
    if instance["_password"] != password.as_str() || password.is_empty() {
        return Some("the database's password is not the one in the cluster".to_owned());
    }
    let kept = revealed(&world.place, "random::password/database");
    (kept != password).then(|| "the recorded password is not the database's".to_owned())
}

/// A secret of the stack, by `state reveal` on a terminal (`script` lends one).
fn revealed(place: &Place, name: &str) -> String {
    let ours = place.command(&[]);
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} state reveal {name}", ours.get_program().to_string_lossy()), "/dev/null"]);
    command.current_dir(place.path()).stdin(std::process::Stdio::null());
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("script(1) is there: install the package bsdutils");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Every `chains`-th point to the same chain.
fn strung(points: &[Point], chains: usize) -> Vec<Vec<Point>> {
    (0..chains).map(|chain| points.iter().skip(chain).step_by(chains).cloned().collect()).collect()
}

/// Does `work` for each of `items`, on one thread more than there are processors.
pub fn on_all_processors<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from) + 1;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) {
                    work(item);
                }
            });
        }
    });
}

/// Two worlds without disturbance: what both end with, and the points of all verbs.
fn references() -> [Verb; VERBS] {
    let played = || {
        let world = World::new();
        verbs().map(|(name, args)| {
            let calls = undisturbed(&world, name, &args).unwrap_or_else(|error| panic!("{error}"));
            if name != "destroy" {
                assert_eq!(odd_secrets(&world), None);
            }
            (calls, EndState::of(&world))
        })
    };
    let (one, other) = (played(), played());
    let pairs: Vec<_> = one.into_iter().zip(other).collect();
    let verbs = verbs().into_iter().zip(pairs).map(|((name, args), ((calls, end), (calls_again, end_again)))| {
        assert_eq!(end.unlike(&end_again), Vec::<String>::new(), "two times `{name}` end alike");
        assert!(name != "destroy" || end.recorded.is_empty(), "{:?}", end.recorded);
        Verb { name, args, points: points(&calls, &calls_again), end }
    });
    verbs.collect::<Vec<_>>().try_into().unwrap_or_else(|_| unreachable!("a pair for each verb"))
}

#[test]
fn killed_at_every_call_it_ends_as_if_nothing_had_happened() {
    let _alone = crate::support::alone();
    let began = Instant::now();
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<usize>().ok();
    let alone = number("GITPOD_PLAY_CRASH_ALONE") == Some(1);
    let verbs = references();
    let most = verbs.iter().map(|verb| verb.points.len()).max().unwrap_or(0);
    let chains = if alone { most } else { most / KILLS_A_CHAIN + 1 };
    let stride = number("GITPOD_PLAY_CRASH_STRIDE").unwrap_or(1).max(1);
    let all: [_; VERBS] = std::array::from_fn(|at| strung(&verbs[at].points, chains));
    let worlds: Vec<[&Vec<Point>; VERBS]> =
        (0..chains).step_by(stride).map(|chain| std::array::from_fn(|at| &all[at][chain])).collect();
    let found: [Found; VERBS] = Default::default();
    on_all_processors(&worlds, |chains| {
        let world = World::new();
        let _ = (0..VERBS).all(|at| found[at].strain(&world, &verbs[at], chains[at]));
    });
    for _ in 0..TRIES_AGAIN {
        for (at, verb) in verbs.iter().enumerate() {
            let missed = std::mem::take(&mut *found[at].unreached.lock().expect("no panic"));
            found[at].again.fetch_add(missed.len(), Ordering::SeqCst);
            on_all_processors(&missed, |chain| {
                let world = World::new();
                if verbs[..at].iter().any(|before| world.play(&before.args, &[]).code != 0) {
                    found[at].wrong("an undisturbed run failed".to_owned());
                }
                found[at].strain(&world, verb, chain);
            });
        }
    }
    if stride > 1 {
        let points = verbs.iter().map(|verb| verb.points.len()).sum::<usize>();
        println!("crash: of {chains} chains every {stride}th; all points: {points}");
    }
    report(&verbs, &found, &worlds, began);
}

/// Whether the point is a read that was made before in the same run.
fn is_further_look(point: &str) -> bool {
    let words: Vec<&str> = point.split([':', ' ']).collect();
    let [_, nth, _, operation, ..] = words[..] else { return false };
    let reads = ["GET", "Describe", "Get", "List", "Head"].iter().any(|begin| operation.starts_with(begin));
    reads && nth != "1"
}

fn report(verbs: &[Verb; VERBS], found: &[Found; VERBS], worlds: &[[&Vec<Point>; VERBS]], began: Instant) {
    let mut unreached: Vec<Point> = Vec::new();
    for (at, verb) in verbs.iter().enumerate() {
        let tried: usize = worlds.iter().map(|chains| chains[at].len()).sum();
        let missed = found[at].unreached.lock().expect("no panic").concat();
        // A second look at something that was ready at the first one this time is no call of the run.
        let (looks, others): (Vec<Point>, Vec<Point>) = missed.into_iter().partition(|point| is_further_look(point));
        let killed = found[at].killed.load(Ordering::SeqCst);
        println!("crash: {killed} of {} points ({})", tried - looks.len(), verb.name);
        looks.iter().for_each(|look| println!("crash: was ready before: {look}"));
        unreached.extend(others);
    }
    let again: usize = found.iter().map(|it| it.again.load(Ordering::SeqCst)).sum();
    println!(
        "crash: {} worlds, {again} more for what they did not reach, {} s",
        worlds.len(),
        began.elapsed().as_secs()
    );
    let wrong: Vec<String> = found.iter().flat_map(|it| it.wrong.lock().expect("no panic").clone()).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(SHOWN)].join("\n\n"));
    assert_eq!(unreached, Vec::<Point>::new(), "never reached");
}
