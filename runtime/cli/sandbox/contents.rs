//! What is in the simulated clouds, counted.

use super::super::clouds::{Serving, admin};
use crate::error::{Error, Result};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// What the simulation remembers for itself.
const MEMORY: [&str; 3] = ["token", "r53.change", "eks.update"];

/// Objects by service or cluster, then by kind.
#[derive(Debug, Default)]
pub struct Contents {
    pub counts: BTreeMap<String, BTreeMap<String, usize>>,
}

/// Asks the clouds of `folder`, which are started for it when nobody serves them.
pub fn of(folder: &Path, serving: Option<&Serving>) -> Result<Contents> {
    if let Some(serving) = serving {
        return asked(&serving.aws_url);
    }
    if !folder.exists() {
        return Ok(Contents::default());
    }
    let failed =
        |error: std::io::Error| Error::failed("cannot look into the simulated clouds").because(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    let options = sandbox::Options { dir: Some(folder.to_owned()), ..sandbox::Options::default() };
    let clouds = runtime.block_on(sandbox::Sandbox::start(options)).map_err(failed)?;
    asked(&clouds.aws_url)
}

fn asked(url: &str) -> Result<Contents> {
    let mut contents = Contents::default();
    for (table, documents) in admin::ask(url, "GET", "state", "")?.as_object().into_iter().flatten() {
        // `eu-west-1/vpc`, `/r53.record/Z123`: a region or none, a kind with its service or without, what it belongs to.
        let name = table.split('/').nth(1).unwrap_or_default();
        if MEMORY.contains(&name) {
            continue;
        }
        let (service, kind) = name.split_once('.').unwrap_or(("ec2", name));
        let count = documents.as_object().map_or(0, |all| all.values().filter(|it| is_there(it)).count());
        contents.add(service, kind, count);
    }
    for (cluster, objects) in admin::ask(url, "GET", "kubernetes", "")?.as_object().into_iter().flatten() {
        for object in objects.as_array().into_iter().flatten() {
            let kind = object["kind"].as_str().unwrap_or("?");
            if kind != "Event" {
                contents.add(&format!("cluster {cluster}"), kind, 1);
            }
        }
    }
    Ok(contents)
}

/// AWS shows for an hour what is gone.
fn is_there(document: &Value) -> bool {
    let states = [&document["state"], &document["instanceState"]["name"]];
    !states.iter().any(|state| matches!(state.as_str(), Some("deleted" | "terminated")))
}

impl Contents {
    fn add(&mut self, place: &str, kind: &str, count: usize) {
        if count > 0 {
            *self.counts.entry(place.to_owned()).or_default().entry(kind.to_owned()).or_default() += count;
        }
    }

    /// One line a service or cluster.
    pub fn lines(&self) -> Vec<String> {
        if self.counts.is_empty() {
            return vec!["nothing is in them".to_owned()];
        }
        let width = self.counts.keys().map(|place| place.chars().count()).max().unwrap_or(0);
        let line = |(place, kinds): (&String, &BTreeMap<String, usize>)| {
            let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            format!("{place:<width$}  {}", kinds.join(", "))
        };
        self.counts.iter().map(line).collect()
    }
}
