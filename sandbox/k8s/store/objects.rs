//! The objects themselves, with the indices that keep reading cheap.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{
    ApiError, ApiResult, Change, Key,
    journal::{Journal, Recovered},
};
use crate::k8s::{
    kinds::{self, Kind},
    selector,
};

/// How many changes watchers can go back. Each keeps two versions of an object in memory.
const LOG_LENGTH: usize = 2_000;
/// The resource that adds kinds.
pub const CRDS: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// The objects of a cluster.
#[derive(Debug)]
pub struct Objects {
    version: u64,
    all: BTreeMap<Key, Arc<Value>>,
    log: VecDeque<Arc<Change>>,
    /// Changes up to this version are no longer in the log.
    trimmed: u64,
    kinds: Arc<Vec<Arc<Kind>>>,
    by_resource: HashMap<String, Arc<Kind>>,
    kinds_version: u64,
    /// How many cluster addresses and node ports were given out.
    pub(super) addresses: u32,
    /// Where the object of a uid stands.
    by_uid: HashMap<String, Key>,
    /// The objects that name a uid as their owner.
    dependents: HashMap<String, BTreeSet<Key>>,
    /// The objects in a namespace.
    by_namespace: HashMap<String, BTreeSet<Key>>,
    journal: Option<Journal>,
}

impl Default for Objects {
    fn default() -> Self {
        let mut objects = Self {
            version: 1,
            all: BTreeMap::new(),
            log: VecDeque::new(),
            trimmed: 1,
            kinds: Arc::default(),
            by_resource: HashMap::new(),
            kinds_version: 1,
            addresses: 10,
            by_uid: HashMap::new(),
            dependents: HashMap::new(),
            by_namespace: HashMap::new(),
            journal: None,
        };
        objects.collect_kinds();
        objects
    }
}

/// The uids of an object's owners.
pub fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.filter_map(|o| o["uid"].as_str())
}

impl Objects {
    /// The objects of a journal.
    pub(super) fn recover(journal: Journal, found: Recovered) -> Self {
        let mut objects = Self::default();
        objects.version = found.version.max(1);
        objects.trimmed = objects.version;
        objects.addresses = found.addresses.max(objects.addresses);
        for (key, object) in found.objects {
            objects.index(&key, None, Some(&object));
            objects.all.insert(key, Arc::new(object));
        }
        objects.journal = Some(journal);
        objects.collect_kinds();
        objects
    }

    /// The newest resource version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The kinds that are served.
    pub fn kinds(&self) -> Arc<Vec<Arc<Kind>>> {
        self.kinds.clone()
    }

    /// Changes when the kinds do.
    pub fn kinds_version(&self) -> u64 {
        self.kinds_version
    }

    /// The kind of `GROUP/PLURAL`.
    pub fn kind(&self, resource: &str) -> Option<Arc<Kind>> {
        self.by_resource.get(resource).cloned()
    }

    /// Whether there is nothing at all, as in a cluster that was never used.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The object at `key`, if any.
    pub fn find(&self, key: &Key) -> Option<&Arc<Value>> {
        self.all.get(key)
    }

    /// The object at `key`.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn get(&self, key: &Key) -> ApiResult<Arc<Value>> {
        let (group, plural) = key.parts();
        let absent = || ApiError::not_found(&kinds::qualified(group, plural), &key.name);
        self.find(key).cloned().ok_or_else(absent)
    }

    /// Every key.
    pub fn keys(&self) -> Vec<Key> {
        self.all.keys().cloned().collect()
    }

    /// The objects of a resource, in one namespace or (empty) in all, that match the selectors.
    pub fn list(&self, resource: &str, ns: &str, labels: &str, fields: &str) -> Vec<Arc<Value>> {
        let matches = |o: &&Arc<Value>| selector::labels(labels, o) && selector::fields(fields, o);
        if let (Some(name), false) = (selector::wanted_name(fields), ns.is_empty()) {
            let found = self.all.get(&Key::new(resource, ns, name));
            return found.into_iter().filter(matches).cloned().collect();
        }
        self.all
            .range(Key::new(resource, ns, "")..)
            .take_while(|(k, _)| k.resource == resource && (ns.is_empty() || k.namespace == ns))
            .map(|(_, object)| object)
            .filter(matches)
            .cloned()
            .collect()
    }

    /// What stands in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        self.by_namespace.get(namespace).into_iter().flatten().cloned().collect()
    }

    /// The objects of `resource` that name `uid` as an owner.
    pub fn owned(&self, uid: &str, resource: &str) -> Vec<Arc<Value>> {
        let keys = self.dependents.get(uid).into_iter().flatten();
        keys.filter(|k| k.resource == resource).filter_map(|k| self.all.get(k)).cloned().collect()
    }

    /// The keys of all objects that name `uid` as an owner.
    pub(super) fn dependents_of(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Where the object of `uid` stands.
    pub fn key_of_uid(&self, uid: &str) -> Option<&Key> {
        self.by_uid.get(uid)
    }

    /// The changes after `version`, or `None` when they are no longer known.
    pub fn changes_since(&self, version: u64) -> Option<Vec<Arc<Change>>> {
        if version < self.trimmed && version < self.version {
            return None;
        }
        let start = self.log.partition_point(|c| c.version <= version);
        Some(self.log.range(start..).cloned().collect())
    }

    fn collect_kinds(&mut self) {
        let mut all: Vec<Arc<Kind>> = kinds::builtins().to_vec();
        for crd in self.list(CRDS, "", "", "") {
            all.extend(kinds::from_crd(&crd));
        }
        self.by_resource.clear();
        for kind in &all {
            let resource = format!("{}/{}", kind.group, kind.plural);
            self.by_resource.entry(resource).or_insert_with(|| kind.clone());
        }
        self.kinds = Arc::new(all);
        self.kinds_version = self.version;
    }

    /// Keeps the indices in step with an object that turns from `old` into `new`.
    fn index(&mut self, key: &Key, old: Option<&Value>, new: Option<&Value>) {
        for uid in old.into_iter().flat_map(owners) {
            if let Some(keys) = self.dependents.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        for uid in new.into_iter().flat_map(owners) {
            self.dependents.entry(uid.to_owned()).or_default().insert(key.clone());
        }
        let uid = |o: &Value| o["metadata"]["uid"].as_str().map(String::from);
        if let Some(new) = new {
            if let (None, Some(uid)) = (old, uid(new)) {
                self.by_uid.insert(uid, key.clone());
            }
            if !key.namespace.is_empty() {
                self.by_namespace.entry(key.namespace.clone()).or_default().insert(key.clone());
            }
        } else {
            if let Some(uid) = old.and_then(uid) {
                self.by_uid.remove(&uid);
            }
            if let Some(keys) = self.by_namespace.get_mut(&key.namespace) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_namespace.remove(&key.namespace);
                }
            }
        }
    }

    /// Sets (or removes) the object at `key` under a new version; the one way objects change.
    pub(super) fn put(&mut self, key: &Key, new: Option<Value>) -> Arc<Value> {
        self.version += 1;
        let version = json!(self.version.to_string());
        let old = self.all.get(key).cloned();
        let new = new.map(|mut object| {
            object["metadata"]["resourceVersion"] = version.clone();
            Arc::new(object)
        });
        self.index(key, old.as_deref(), new.as_deref());
        let last = if let Some(object) = &new {
            self.all.insert(key.clone(), object.clone());
            object.clone()
        } else {
            self.all.remove(key);
            let mut object = old.as_deref().cloned().unwrap_or_else(|| json!({}));
            object["metadata"]["resourceVersion"] = version;
            Arc::new(object)
        };
        if let Some(journal) = &mut self.journal {
            journal.note(self.version, self.addresses, key, new.as_deref());
        }
        let change = Change { version: self.version, key: key.clone(), old, new, last };
        let last = change.last.clone();
        self.log.push_back(Arc::new(change));
        if self.log.len() > LOG_LENGTH
            && let Some(first) = self.log.pop_front()
        {
            self.trimmed = first.version;
        }
        if key.resource == CRDS {
            self.collect_kinds();
        }
        last
    }

    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        self.journal.as_mut().map_or(Ok(()), Journal::flush)
    }
}
