//! A stack is looked for in the clouds that it stands on, by those whose it is; and a person at the terminal can always stop.

use crate::support::{AWS, Place, quick::play_ok, until, world::World};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

const NETWORK: &str = r#"target("aws", #{ region: "eu-west-1" });
step("v", || aws::ec2::vpc(#{ name: "v", cidr: "10.0.0.0/16" }));
"#;

/// The clouds of `world` as if they were live ones.
fn live(world: &World) -> (String, Vec<(&'static str, String)>) {
    let serving: Value =
        serde_json::from_str(&world.place.read(".gitpod-play/sandbox/serving.json")).expect("a notice");
    let text = |field: &str| serving[field].as_str().expect("a text").to_owned();
    let keys = vec![("AWS_ACCESS_KEY_ID", text("access_key")), ("AWS_SECRET_ACCESS_KEY", text("secret_key"))];
    (format!("aws={}", text("aws_url")), keys)
}

#[test]
fn a_stack_is_not_looked_for_in_other_clouds() {
    let world = World::new();
    let (endpoint, keys) = live(&world);
    let place = Place::new();
    place.write("p.rhai", NETWORK);
    let live = |verb: &str| {
        let mut command = place.command(&[verb, "p.rhai", "--yes", "--target", "live", "--endpoint", &endpoint]);
        command.envs(keys.iter().map(|(name, value)| (name, value)));
        crate::support::ended(crate::support::bounded(command, Duration::from_mins(1)))
    };
    let run = live("run");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let shown = run.stderr.find("account 111122223333 as arn:aws:").expect("the account is shown");
    assert!(shown < run.stderr.find("aws::ec2::vpc/v").expect("the plan"), "first: {}", run.stderr);
    let before = place.resources();
    for verb in ["destroy", "run", "plan", "watch"] {
        let mut args = vec![verb, "p.rhai"];
        args.extend((verb != "plan").then_some("--yes"));
        let refused = place.play(&args);
        assert_eq!(refused.code, 2, "{verb}: {}", refused.stderr);
        assert!(refused.stderr.contains("stands on the live clouds"), "{}", refused.stderr);
        assert!(refused.stderr.contains("--target live"), "{}", refused.stderr);
    }
    assert_eq!(place.resources(), before, "nothing is forgotten");
    let destroy = live("destroy");
    assert_eq!(destroy.code, 0, "{}", destroy.stderr);
    assert!(destroy.stderr.contains("account 111122223333"), "{}", destroy.stderr);
    // What is empty may go anywhere.
    place.play_ok(&["run", "p.rhai", "--pace", "max"]);
    let refused = live("run");
    assert!(refused.code == 2 && refused.stderr.contains("--stack p-live"), "{}", refused.stderr);
}

#[test]
fn the_account_that_a_playbook_names_is_the_only_one() {
    let world = World::new();
    let named =
        |account: &str| NETWORK.replace("\"eu-west-1\" }", &format!("\"eu-west-1\", account: \"{account}\" }}"));
    world.place.write("p.rhai", &named("999999999999"));
    for verb in ["plan", "run"] {
        let refused = world.play(&[verb, "p.rhai", "--pace", "max"], &[]);
        assert_eq!(refused.code, 1, "{verb}: {}", refused.stderr);
        assert!(refused.stderr.contains("the playbook names 999999999999"), "{}", refused.stderr);
    }
    assert_eq!(world.recorded(), Vec::<String>::new());
    world.place.write("p.rhai", &named("111122223333"));
    play_ok(&world, &["run", "p.rhai"]);
}

/// A command on a terminal of its own, which `script` lends.
struct AtTerminal {
    script: Child,
    shown: Arc<Mutex<String>>,
}

impl AtTerminal {
    fn start(place: &Place, args: &str) -> Self {
        let ours = place.command(&[]);
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{} {args}", ours.get_program().to_string_lossy()), "/dev/null"]);
        command.current_dir(place.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut script = command.spawn().expect("script(1) is there: install the package bsdutils");
        let shown = Arc::new(Mutex::new(String::new()));
        let (into, mut out) = (shown.clone(), script.stdout.take().expect("an output"));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                into.lock().expect("no panic").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { script, shown }
    }

    fn shows(&self, words: &str) {
        until(words, Duration::from_mins(1), || self.shown.lock().expect("no panic").contains(words));
    }

    fn types(&mut self, keys: &str) {
        self.script.stdin.as_mut().expect("an input").write_all(keys.as_bytes()).expect("the keys are taken");
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn control_c_answers_a_question() {
    let place = Place::new();
    place.write("p.rhai", NETWORK);
    place.play_ok(&["run", "p.rhai", "--pace", "max"]);
    let mut asked = AtTerminal::start(&place, "destroy p.rhai --pace max");
    asked.shows("[y/N]");
    asked.types("\u{3}");
    until("it ends", Duration::from_mins(1), || asked.script.try_wait().expect("a child").is_some());
    assert_eq!(place.resources().len(), 1);
    let mut asked = AtTerminal::start(&place, "destroy p.rhai --pace max");
    asked.shows("[y/N]");
    asked.types("y\n");
    asked.shows("destroy done");
}

#[test]
fn a_run_whose_terminal_is_closed_stops() {
    let world = World::at_pace("60", &[]);
    world.place.write(
        "p.rhai",
        r#"target("aws", #{ region: "eu-west-1" });
step("v", || aws::ec2::vpc(#{ name: "v", cidr: "10.0.0.0/16" }));
step("s", |v| aws::ec2::subnet(#{ name: "s", vpc: v.id, cidr: "10.0.0.0/20", zone: "eu-west-1a" }));
step("g", |v| aws::ec2::internet_gateway(#{ name: "g", vpc: v.id }));
step("n", |s, g| aws::ec2::nat_gateway(#{ name: "n", subnet: s.id, elastic_ip: aws::ec2::elastic_ip(#{ name: "n" }).id }));
step("later", |n| aws::ec2::vpc(#{ name: "later", cidr: "10.1.0.0/16" }));
"#,
    );
    let mut running = AtTerminal::start(&world.place, "run p.rhai --pace 60");
    let created = |operation: &str| {
        let calls = world.admin("GET", "calls", "");
        calls.as_array().expect("a list").iter().filter(|call| call["operation"] == operation).count()
    };
    until("the gateway is made", Duration::from_mins(1), || created("CreateNatGateway") == 1);
    running.script.kill().expect("the terminal is closed");
    let history = || serde_json::from_str::<Value>(&world.place.play_ok(&["state", "history", "--json"]).stdout);
    until("the run has ended", Duration::from_mins(1), || {
        history().is_ok_and(|runs| runs[0]["outcome"] == "interrupted")
    });
    assert_eq!(created("CreateVpc"), 1, "nothing more is begun");
    let again = world.play(&["run", "p.rhai", "--pace", "60"], &[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!((created("CreateNatGateway"), created("CreateVpc")), (1, 2));
}

/// A proxy that lets nothing through: where it listens, and what it is asked for first.
fn refusing_proxy() -> (std::net::SocketAddr, std::sync::mpsc::Receiver<String>) {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = proxy.local_addr().expect("bound");
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().expect("a connection");
        let mut request = [0; 1000];
        let length = stream.read(&mut request).expect("a request");
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        // Whatever is tried again is refused as well.
        drop(proxy);
        let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
    });
    (address, asked)
}

#[test]
fn a_cluster_is_reached_through_the_proxy_that_its_kubeconfig_names() {
    let (address, asked) = refusing_proxy();
    let place = Place::new();
    let cluster = format!(
        "{{ name: c, cluster: {{ server: \"https://cluster.example:6443\", proxy-url: \"http://{address}\" }} }}"
    );
    place.write(
        "kc",
        &format!("current-context: c\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\nclusters: [{cluster}]\nusers: [{{ name: u, user: {{}} }}]\n"),
    );
    place.write("p.rhai", "step(\"a\", || k8s::get(#{ cluster: #{ name: \"c\" }, api_version: \"v1\", kind: \"Secret\", namespace: \"x\", name: \"y\" }));");
    let mut plan = place.command(&["plan", "p.rhai", "--kubeconfig", "kc", "--pace", "max"]);
    let mut plan = plan.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let request = asked.recv_timeout(Duration::from_mins(1)).expect("the proxy is asked");
    let _ = plan.kill();
    let _ = plan.wait();
    assert!(request.starts_with("CONNECT cluster.example:6443 HTTP/1.1\r\n"), "{request}");
}

#[test]
fn clouds_are_reached_through_the_proxy_that_the_environment_names() {
    let (address, asked) = refusing_proxy();
    let address = format!("http://someone:of-no-value@{address}");
    let place = Place::new();
    let mut command = place.command(&["plan", AWS, "--target", "live", "--log", "log", "--log-level", "debug"]);
    command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "of-no-value");
    command.env("HTTPS_PROXY", &address).env("GITPOD_PLAY_CALL_TIMEOUT_S", "5");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut plan = command.spawn().expect("the program starts");
    let request = asked.recv_timeout(Duration::from_mins(1)).expect("the proxy is asked");
    let _ = plan.kill();
    let _ = plan.wait();
    assert!(request.starts_with("CONNECT sts.eu-west-1.amazonaws.com:443 HTTP/1.1\r\n"), "{request}");
    let authorization = request.lines().find_map(|line| line.split_once("Basic ")).expect("a password for the proxy").1;
    let log = place.read("log");
    assert!(log.contains("STS GetCallerIdentity") || log.contains("started"), "{log}");
    assert!(!log.contains("of-no-value") && !log.contains(authorization), "{log}");
}
