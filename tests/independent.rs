//! The shipped playbook on servers that we did not write: moto for AWS, a real control plane for Kubernetes.
//!
//! `independent/settings.yaml` names what moto cannot answer. What is played here: nodes, and the three controllers of a real
//! cluster that nothing in this one stands for (cert-manager's, the ACME server behind it, and AWS's for load balancers).

use crate::support::{
    ALLOW_DATABASE, AWS, Ended, Place, bounded, ended, holding,
    servers::{Files, Kubelab, Moto, ours},
    until, writes,
};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Canonical's name of an image, as the playbook's pattern wants it.
const IMAGE: &str = "ubuntu-eks/k8s_1.33/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260901";
/// Where the load balancer of the test answers.
const BALANCER: &str = "203.0.113.10";
/// The company's own.
const FORK: &str = r#"extends("playbooks/aws", #{ workspaces: #{ max: 20 } });

remove("storage_test");

wrap("storage", |base, account| {
    let made = base.call(account);
    print(`bucket ${made.bucket}`);
    made
});

insert_after("network", "own_group", |network| {
    aws::ec2::security_group(#{ name: "acme", description: "Of the company", vpc: network.vpc })
});
"#;

struct World {
    place: Place,
    moto: Moto,
    kube: Arc<Kubelab>,
    files: Files,
    controllers: Controllers,
}

impl World {
    fn new() -> Self {
        let moto = Moto::start();
        moto.ask("image", IMAGE);
        let kube = Arc::new(Kubelab::start());
        let place = Place::new();
        std::fs::copy(ours("independent/settings.yaml"), place.path().join("settings.yaml")).expect("the settings");
        place.write("nodes.json", &nodes().to_string());
        kube.ask(&["apply", "-f", &place.path().join("nodes.json").display().to_string()]);
        kube.ask(&["apply", "-f", &ours("independent/eks-brings.yaml").display().to_string()]);
        kube.ask(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"]);
        let files = Files::serve(ours("../sandbox/k8s/manifests"));
        let controllers = Controllers::start(kube.clone());
        Self { place, moto, kube, files, controllers }
    }

    /// `verb` on this world, with the settings of this test.
    fn play(&self, verb: &str, playbook: &str, more: &[&str]) -> Ended {
        let installer = ours("independent/installer.sh").canonicalize().expect("the installer").display().to_string();
        let mut command = self.place.command(&[verb, playbook, "--pace", "max", "--stack", "aws"]);
        command.args(["--endpoint", &format!("aws={}", self.moto.url), "--kubeconfig"]).arg(self.kube.kubeconfig());
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        if verb != "destroy" {
            let manifest = |name: &str| format!("{}/{name}", self.files.url);
            command.args(["--settings", "settings.yaml", "--allow-run", &installer, "--allow-net", "127.0.0.1"]);
            command.args(["--set", &format!("install.binary={installer}")]);
            command.args(["--set", &format!("cluster.calico_manifest={}", manifest("calico-vxlan.yaml"))]);
            command.args(["--set", &format!("certificates.cert_manager_manifest={}", manifest("cert-manager.yaml"))]);
        }
        command.args(more);
        let shown = format!("{verb} {playbook} {}", more.join(" "));
        let ended = ended(bounded(command, Duration::from_mins(2)));
        println!("{shown}: exit {}\n{}{}", ended.code, ended.stdout, ended.stderr);
        ended
    }

    fn play_ok(&self, verb: &str, playbook: &str, more: &[&str]) -> Ended {
        let ended = self.play(verb, playbook, more);
        assert_eq!(ended.code, 0, "{verb} {playbook} {}\n{}{}", more.join(" "), ended.stdout, ended.stderr);
        ended
    }

    /// What carries the stack's label in Kubernetes, of every kind there is.
    fn objects(&self) -> Vec<String> {
        let kinds = self.kube.ask(&["api-resources", "--verbs=list,delete", "-o", "name"]);
        let kinds = kinds.lines().collect::<Vec<_>>().join(",");
        let found =
            self.kube.ask(&["get", &kinds, "-A", "-l", "gitpod-play/stack", "-o", "name", "--ignore-not-found"]);
        found.lines().map(str::to_owned).collect()
    }
}

/// Two nodes for services and two for workspaces, as the node groups' launch templates would make them.
fn nodes() -> Value {
    let node = |name: &str, labels: &[&str]| {
        let mut all = json!({ "kubernetes.io/os": "linux", "kubernetes.io/hostname": name });
        for label in labels {
            all[format!("gitpod.io/workload_{label}")] = json!("true");
        }
        let room = json!({ "cpu": "8", "memory": "32Gi", "pods": "110" });
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": all }, "status": {
            "capacity": room, "allocatable": room,
            "nodeInfo": { "containerRuntimeVersion": "containerd://1.7.28", "kernelVersion": "6.8.0-1035-aws",
                "kubeletVersion": "v1.33.4", "osImage": "Ubuntu 24.04.3 LTS", "operatingSystem": "linux", "architecture": "amd64",
                "kubeProxyVersion": "", "machineID": name, "systemUUID": name, "bootID": name },
        } })
    };
    let services = ["meta", "ide", "services", "workspace_services"];
    let workspaces = ["workspace_services", "workspace_regular", "workspace_headless"];
    let all = [
        ("services-1", &services[..]),
        ("services-2", &services),
        ("workspaces-1", &workspaces),
        ("workspaces-2", &workspaces),
    ];
    json!({ "apiVersion": "v1", "kind": "List", "items": all.map(|(name, labels)| node(name, labels)) })
}

/// Plays the controllers that are missing, until dropped.
struct Controllers {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Controllers {
    fn start(kube: Arc<Kubelab>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                look(&kube);
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        Self { stop, thread: Some(thread) }
    }

    /// Waits until the last look has ended, so that nothing is made behind the test's back.
    fn end(&mut self) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().is_none_or(|thread| thread.join().is_ok())
    }
}

impl Drop for Controllers {
    /// The thread holds on to the control plane, which has to be ended before the tests are.
    fn drop(&mut self) {
        self.end();
    }
}

/// One look at issuers, certificates and services. An object that goes away meanwhile is no mistake.
fn look(kube: &Kubelab) {
    let kinds = "clusterissuers.cert-manager.io,certificates.cert-manager.io,services";
    // Before the definitions are there, there is nothing to do.
    let Some(found) = kube.try_ask(&["get", kinds, "-A", "-o", "json"]) else { return };
    let found: Value = serde_json::from_str(&found).expect("kubectl prints JSON");
    for object in found["items"].as_array().into_iter().flatten() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        let status = match object["kind"].as_str() {
            Some("ClusterIssuer") if object["status"].is_null() => ready(),
            Some("Certificate") if object["status"].is_null() => {
                let secret = object["spec"]["secretName"].as_str().unwrap_or_default();
                let (certificate, key) = (kube.pki("apiserver.crt"), kube.pki("apiserver.key"));
                let files = [format!("--cert={}", certificate.display()), format!("--key={}", key.display())];
                kube.try_ask(&["-n", namespace, "create", "secret", "tls", secret, &files[0], &files[1]]);
                ready()
            }
            Some("Service")
                if object["spec"]["type"] == "LoadBalancer" && object["status"]["loadBalancer"] == json!({}) =>
            {
                json!({ "loadBalancer": { "ingress": [{ "ip": BALANCER }] } })
            }
            _ => continue,
        };
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        let patch = json!({ "status": status }).to_string();
        kube.try_ask(&["-n", namespace, "patch", &kind, name, "--subresource=status", "--type=merge", "-p", &patch]);
    }
}

fn ready() -> Value {
    json!({ "conditions": [{ "type": "Ready", "status": "True", "reason": "Played", "message": "by the test",
                             "lastTransitionTime": "2026-01-01T00:00:00Z" }] })
}

#[test]
fn the_whole_architecture_on_servers_of_others() {
    let mut world = World::new();
    let before = world.moto.ask("inventory", "");

    let plan = world.play_ok("plan", AWS, &["--record", "plan.jsonl"]);
    assert!(plan.stdout.contains("to create"), "{}", plan.stdout);
    assert_eq!(writes(&world.place.calls("plan.jsonl")), Vec::<String>::new(), "a plan never writes");
    assert_eq!(world.moto.ask("inventory", ""), before, "a plan makes nothing");
    assert_eq!(world.objects(), Vec::<String>::new(), "a plan makes nothing");

    let run = world.play_ok("run", AWS, &["--yes", "--record", "run.jsonl"]);
    assert!(run.stderr.contains("Gitpod is at https://gitpod.example.com"), "{}", run.stderr);
    let made = world.place.resources().len();
    assert!(made > 90, "{made} resources");
    there(&world);

    world.play_ok("run", AWS, &["--yes", "--record", "again.jsonl"]);
    assert_eq!(writes(&world.place.calls("again.jsonl")), Vec::<String>::new(), "running again changes nothing");

    let changed = world.play("plan", AWS, &["--detailed-exitcode", "--set", "workspaces.max=20"]);
    assert_eq!(changed.code, 3, "{}{}", changed.stdout, changed.stderr);
    assert!(changed.stdout.contains("10 → 20"), "{}", changed.stdout);
    world.play_ok("run", AWS, &["--yes", "--set", "workspaces.max=20", "--record", "max.jsonl"]);
    assert_eq!(writes(&world.place.calls("max.jsonl")), ["eks UpdateNodegroupConfig"], "exactly one write call");

    world.place.write("acme.rhai", FORK);
    let fork = world.play_ok("run", "acme.rhai", &["--yes", "--record", "fork.jsonl"]);
    assert!(fork.stderr.contains("bucket gitpod-123456789012-gitpod"), "{}", fork.stderr);
    assert_eq!(
        writes(&world.place.calls("fork.jsonl")),
        ["ec2 CreateSecurityGroup"],
        "the fork's own step, and nothing else"
    );

    let destroy = world.play_ok("destroy", AWS, &["--yes", ALLOW_DATABASE[0], ALLOW_DATABASE[1]]);
    assert!(!destroy.stderr.contains("left over"), "{}", destroy.stderr);
    assert!(!destroy.stderr.contains("could not look"), "{}", destroy.stderr);
    assert!(world.controllers.end(), "the controllers' thread ends well");
    assert_eq!(world.place.resources().len(), 0);
    assert_eq!(world.moto.ask("inventory", ""), before, "AWS is as it was before the first run");
    assert_eq!(world.objects(), Vec::<String>::new(), "nothing of ours is left in Kubernetes");
    let namespaces = world.kube.ask(&["get", "namespaces", "-o", "name"]);
    assert!(!namespaces.contains("gitpod") && !namespaces.contains("cert-manager"), "{namespaces}");
}

/// What the run says it made is there, by the servers' own word.
fn there(world: &World) {
    let cloud = world.moto.ask("inventory", "");
    assert_eq!(cloud["clusters"], json!(["gitpod"]));
    assert_eq!(cloud["node_groups"], json!(["services", "workspaces"]));
    assert_eq!(cloud["databases"], json!(["gitpod-instance"]));
    assert_eq!(cloud["buckets"], json!(["gitpod-123456789012-gitpod"]));
    assert_eq!(cloud["access_keys"].as_array().map(Vec::len), Some(1));
    let records = cloud["records"].to_string();
    for name in ["gitpod.example.com. A", "*.gitpod.example.com. A", "*.ws.gitpod.example.com. A"] {
        assert!(records.contains(name), "{name} is missing in {records}");
    }
    let deployments =
        world.kube.ask(&["-n", "gitpod", "get", "deployments", "-o", "jsonpath={.items[*].status.availableReplicas}"]);
    assert_eq!(deployments, ["1"; 10].join(" "), "ten deployments are available");
    let secrets = world.kube.ask(&["-n", "gitpod", "get", "secrets", "-o", "name"]);
    for name in ["database", "storage-s3", "container-registry-s3-backend", "https-certificates"] {
        assert!(secrets.lines().any(|line| line == format!("secret/{name}")), "{name} is missing in {secrets}");
    }
    let daemons = world.kube.ask(&["-n", "kube-system", "get", "daemonsets", "-o", "name"]);
    assert_eq!(daemons.trim(), "daemonset.apps/calico-node", "Calico stands in the place of AWS's network plugin");
    assert!(Path::new(&world.place.path().join(".gitpod-play/aws/gitpod.config.yaml")).is_file());
}

#[test]
fn the_state_log_in_a_bucket_of_others() {
    let moto = Moto::start();
    moto.ask("bucket", "company-state");
    let place = Place::new();
    let steps = r#"target("aws", #{ region: "eu-west-1" });
step("network", || aws::ec2::vpc(#{ name: "n", cidr: "10.0.0.0/16" }));
step("password", |network| random::password(#{ name: "p" }).name);"#;
    place.write("net.rhai", &format!("{steps}\nstep(\"slow\", |password| {});\n", holding("slow")));
    let command = |args: &[&str]| {
        let mut command = place.command(args);
        command
            .args(["--state", "s3://company-state/play"])
            .env("AWS_ENDPOINT_URL_S3", &moto.url)
            .env("AWS_REGION", "eu-west-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    };
    let endpoint = format!("aws={}", moto.url);
    let run = ["run", "net.rhai", "--yes", "--allow-run", "sh", "--endpoint", &endpoint];
    let limit = Duration::from_mins(1);
    let before = moto.ask("inventory", "");

    let first = command(&run).stdout(std::process::Stdio::null()).spawn().expect("the first run starts");
    place.is_held("slow");
    assert_ne!(moto.ask("inventory", "")["vpcs"], before["vpcs"], "the first run has made its network");
    let second = ended(bounded(command(&run), limit));
    assert_eq!(second.code, 1, "{}", second.stderr);
    for words in ["in use by", &format!("pid {}", first.id()), "since", "lease"] {
        assert!(second.stderr.contains(words), "`{words}` is missing in {}", second.stderr);
    }
    place.lets_go("slow");
    let first = first.wait_with_output().expect("the first run ends");
    assert!(first.status.success(), "the first run is not disturbed");

    let again = ended(bounded(command(&[&run[..], &["--record", "again.jsonl"]].concat()), limit));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(writes(&place.calls("again.jsonl")), Vec::<String>::new(), "what the bucket holds is known");
    holders_that_sleep_and_die(&place, &|| command(&run));
    let shown = ended(bounded(command(&["state", "show", "--json"]), limit));
    let resources: Vec<Value> = serde_json::from_str(&shown.stdout).expect("a JSON list");
    assert_eq!(resources.len(), 2, "{}", shown.stdout);
    let destroyed = ended(bounded(command(&["destroy", "net.rhai", "--yes", "--endpoint", &endpoint]), limit));
    assert_eq!(destroyed.code, 0, "{}", destroyed.stderr);
    assert_eq!(moto.ask("inventory", "")["vpcs"], before["vpcs"]);
}

/// A holder that sleeps past its lease is fenced when it wakes; one that was killed keeps nobody waiting on its own machine.
fn holders_that_sleep_and_die(place: &Place, run: &dyn Fn() -> std::process::Command) {
    let limit = Duration::from_mins(1);
    let waiting = || {
        for file in ["slow.go", "slow.begun"] {
            let _ = std::fs::remove_file(place.path().join(file));
        }
        let holder = run().env("GITPOD_PLAY_LEASE_S", "3").stderr(std::process::Stdio::piped()).spawn();
        let holder = holder.expect("a run starts");
        place.is_held("slow");
        let refused = ended(bounded(run(), limit));
        assert!(refused.stderr.contains(&format!("pid {}", holder.id())), "{}", refused.stderr);
        holder
    };
    let signal = |pid: u32, name: &str| {
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
        assert!(sent.expect("kill runs").success());
    };
    let sleeper = waiting();
    signal(sleeper.id(), "STOP");
    place.lets_go("slow");
    until("another one takes over", limit, || ended(bounded(run(), limit)).code == 0);
    signal(sleeper.id(), "CONT");
    let woken = ended(sleeper.wait_with_output().expect("it ends"));
    assert_eq!(woken.code, 1, "it was fenced: {}", woken.stderr);

    let mut killed = waiting();
    signal(killed.id(), "KILL");
    killed.wait().expect("it is gone");
    place.lets_go("slow");
    let next = ended(bounded(run(), limit));
    assert_eq!(next.code, 0, "{}", next.stderr);
    assert!(next.stderr.contains("took over"), "{}", next.stderr);
}
