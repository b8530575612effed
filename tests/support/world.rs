//! Simulated clouds in a process of their own, which survive what a test does to the program, and what is in them.

use super::{Ended, Place, bounded, ended, plain, until};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    process::{Child, Stdio},
    time::Duration,
};

/// Tables of the simulated AWS that are its own memory, not the user's objects.
const MEMORY: [&str; 3] = ["token", "r53.change", "eks.update"];
/// Kubernetes objects that the simulation makes out of others, with names of its own.
const DERIVED: [&str; 9] = [
    "Pod",
    "ReplicaSet",
    "Event",
    "EndpointSlice",
    "Endpoints",
    "ControllerRevision",
    "CertificateRequest",
    "Order",
    "Challenge",
];
/// Fields of Kubernetes objects that count writes, or say when they were.
const COUNTERS: [&str; 9] = [
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "managedFields",
    "status",
    "healthCheckNodePort",
    "nodePort",
    "deployment.kubernetes.io/revision",
];
/// Fields of AWS objects that are generated, or say when they were changed.
const GENERATED: [&str; 4] = ["_servers", "modifiedAt", "SecretAccessKey", "_password"];

/// A place with clouds of its own.
pub struct World {
    pub place: Place,
    server: Child,
    url: String,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl World {
    /// Clouds as fast as the machine, without faults.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// As [`World::new`], with further arguments of `sandbox serve`.
    pub fn with(args: &[&str]) -> Self {
        Self::at_pace("max", args)
    }

    pub fn at_pace(pace: &str, args: &[&str]) -> Self {
        Self::in_place(Place::new(), pace, args)
    }

    pub fn in_place(place: Place, pace: &str, args: &[&str]) -> Self {
        let notice = place.path().join(".gitpod-play/sandbox/serving.json");
        let mut command = place.command(&[&["sandbox", "serve", "--pace", pace], args].concat());
        let log = std::fs::File::create(place.path().join("serve.log")).expect("a file");
        command.stdout(Stdio::null()).stderr(log);
        let server = command.spawn().expect("the program starts");
        let mut url = String::new();
        until("the simulated clouds are up", Duration::from_mins(2), || {
            let text = std::fs::read_to_string(&notice).unwrap_or_default();
            let serving: Value = serde_json::from_str(&text).unwrap_or_default();
            serving["aws_url"].as_str().inspect(|found| (*found).clone_into(&mut url)).is_some()
        });
        Self { place, server, url }
    }

    /// Runs the program with more in its environment.
    pub fn play(&self, args: &[&str], environment: &[(&str, &str)]) -> Ended {
        let mut command = self.place.command(args);
        command.envs(environment.iter().copied());
        ended(bounded(command, Duration::from_secs(400)))
    }

    /// `/_sandbox/PATH` of the simulated AWS.
    pub fn admin(&self, method: &str, path: &str, body: &str) -> Value {
        let address = self.url.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(address).expect("the simulated clouds answer");
        let length = body.len();
        let request = format!(
            "{method} /_sandbox/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the whole answer comes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {head}"))
    }

    /// Waits a moment for what a run does not wait for: parts of Gitpod that keep something on a volume.
    fn settle(&self) {
        let settled = || {
            let clusters = self.admin("GET", "kubernetes", "");
            let mut objects = clusters.as_object().expect("clusters").values().filter_map(Value::as_array).flatten();
            objects.all(|it| it["kind"] != "StatefulSet" || it["status"]["readyReplicas"] == it["spec"]["replicas"])
        };
        let began = std::time::Instant::now();
        while !settled() && began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every object of both clouds, one a line, without what is generated; sorted.
    pub fn objects(&self) -> Vec<String> {
        self.settle();
        let mut lines = Vec::new();
        let aws = self.admin("GET", "state", "");
        for (table, documents) in aws.as_object().expect("tables") {
            let name = table.rsplit_once('/').map_or(table.as_str(), |(scope, name)| match scope {
                "/r53.record" | "/s3.object" => scope,
                _ => name,
            });
            // AWS shows for an hour what is gone.
            let state = |document: &Value| document["state"].as_str() == Some("deleted");
            let gone = |document: &Value| state(document) || document["instanceState"]["name"] == "terminated";
            let documents = documents.as_object().expect("documents").values().filter(|document| !gone(document));
            if !MEMORY.contains(&name) {
                lines.extend(documents.map(|document| format!("{name} {}", plain::value(document, &GENERATED))));
            }
        }
        let kubernetes = self.admin("GET", "kubernetes", "");
        for object in kubernetes.as_object().expect("clusters").values().flat_map(|it| it.as_array().expect("objects"))
        {
            let kind = object["kind"].as_str().unwrap_or_default();
            if kind == "Secret" {
                let keys: Vec<&String> = object["data"].as_object().into_iter().flatten().map(|(key, _)| key).collect();
                lines.push(format!("Secret {} {keys:?}", plain::value(&object["metadata"], &COUNTERS)));
            } else if !DERIVED.contains(&kind) {
                lines.push(format!("{kind} {}", plain::value(object, &COUNTERS)));
            }
        }
        lines.sort_unstable();
        lines
    }

    /// What the log holds, one resource a line, without what is generated; sorted.
    pub fn recorded(&self) -> Vec<String> {
        let shown = self.play(&["state", "show", "--json"], &[]);
        let list: Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
        // Recorded as they were when they were last looked at: the key's tag comes after the user.
        let left_out = [&GENERATED[..], &["gitpod-play/access-key"]].concat();
        let mut lines: Vec<String> =
            list.as_array().expect("a list").iter().map(|it| plain::value(it, &left_out)).collect();
        lines.sort_unstable();
        lines
    }

    /// What stands in the Kubernetes secret `gitpod/NAME`, as text by key.
    pub fn secret(&self, name: &str) -> Value {
        let clusters = self.admin("GET", "kubernetes", "");
        let objects: Vec<&Value> =
            clusters.as_object().expect("clusters").values().filter_map(Value::as_array).flatten().collect();
        let found = objects.iter().find(|it| it["kind"] == "Secret" && it["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no secret `{name}`"))["data"].clone()
    }
}

/// What differs between two sorted lists: `- ` is missing, `+ ` is too many.
pub fn differences(wanted: &[String], got: &[String]) -> Vec<String> {
    let (mut missing, mut extra): (Vec<&String>, Vec<&String>) = (wanted.iter().collect(), Vec::new());
    for line in got {
        match missing.iter().position(|other| *other == line) {
            Some(at) => drop(missing.remove(at)),
            None => extra.push(line),
        }
    }
    let shown = |mark: &str, line: &String| format!("{mark} {line}");
    missing.into_iter().map(|it| shown("-", it)).chain(extra.into_iter().map(|it| shown("+", it))).collect()
}
