//! The log in a bucket: of the simulated S3 of this repository, or of the server that `GITPOD_PLAY_TEST_S3` names
//! (`http://127.0.0.1:5000` for moto).

use super::{Event, Holder, Keys, Log, Place, S3Access, Timing, lease::MachineClock};
use crate::error::Class;
use object_store::{
    StaticCredentialProvider,
    aws::{AmazonS3Builder, AwsCredential},
    signer::Signer as _,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const BUCKET: &str = "gitpod-play-state-test";

struct World {
    /// Serves as long as it lives.
    _server: Option<sandbox::Sandbox>,
    keys: tempfile::TempDir,
    url: String,
    /// The server may outlive the test, so each test has its own.
    prefix: String,
    access_key: String,
    secret_key: String,
}

impl World {
    async fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let prefix = format!("{:016x}/deep", rand::random::<u64>());
        let world = if let Ok(url) = std::env::var("GITPOD_PLAY_TEST_S3") {
            Self { _server: None, keys, url, prefix, access_key: "AKIAEXAMPLE".into(), secret_key: "secret".into() }
        } else {
            let server = sandbox::Sandbox::start(sandbox::Options::default()).await.unwrap();
            let (url, access_key) = (server.aws_url.clone(), server.access_key.clone());
            let secret_key = server.secret_key.clone();
            Self { _server: Some(server), keys, url, prefix, access_key, secret_key }
        };
        world.make_bucket().await;
        world
    }

    /// `object_store` has no call for that, but it can sign one.
    async fn make_bucket(&self) {
        // Makes the cryptography known, as every use of a bucket does.
        self.place(BUCKET);
        let store = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_endpoint(&self.url)
            .with_allow_http(true)
            .with_access_key_id(&self.access_key)
            .with_secret_access_key(&self.secret_key)
            .build()
            .unwrap();
        let root = object_store::path::Path::from("");
        let signed = store.signed_url(http::Method::PUT, &root, Duration::from_mins(1)).await.unwrap();
        let address = self.url.strip_prefix("http://").unwrap().trim_end_matches('/');
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "PUT {}?{} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            signed.path(),
            signed.query().unwrap()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn place(&self, bucket: &str) -> Place {
        let credentials =
            AwsCredential { key_id: self.access_key.clone(), secret_key: self.secret_key.clone(), token: None };
        let access = S3Access {
            region: Some("us-east-1".into()),
            endpoint: Some(self.url.clone()),
            credentials: Some(Arc::new(StaticCredentialProvider::new(credentials))),
        };
        Place::parse(&format!("s3://{bucket}/{}", self.prefix), &access).unwrap()
    }

    async fn open(&self, stack: &str) -> Log {
        let keys = Keys::in_folder(self.keys.path());
        let timing = Timing { snapshot_every: 8, patience: Duration::ZERO, ..Timing::default() };
        let clock = Arc::new(MachineClock::default());
        Log::open_with(&self.place(BUCKET), stack, &keys, clock, timing).await.unwrap()
    }
}

fn who(host: &str) -> Holder {
    Holder { host: host.into(), pid: 1, user: None, command: "gitpod-play run".into() }
}

fn intent(name: &str) -> Event {
    Event::Intent {
        address: format!("k/{name}"),
        kind: "k".into(),
        name: name.into(),
        step: "s".into(),
        args: json!({ "password": crate::secret::Secret::new("bucket-secret-1").marked() }),
        token: "t".into(),
        protect: false,
        stateful: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_records_snapshots_and_the_lease() {
    let world = World::new().await;
    let first = world.open("one").await;
    let lease = first.acquire(who("here")).await.unwrap();
    let second = world.open("one").await;
    let refused = second.acquire(who("there")).await.err().unwrap();
    assert!(refused.class == Class::Conflict && refused.message.contains("in use by here"), "{refused}");
    for number in 0..40 {
        first.append(vec![intent(&format!("r{number}"))]).await.unwrap();
    }
    first.release(lease).await.unwrap();
    assert_eq!(world.open("one").await.with(Clone::clone), first.with(Clone::clone));
    let lease = second.acquire(who("there")).await.unwrap();
    assert_eq!((lease.epoch, second.with(|state| state.resources.len())), (2, 40));
    second.append(vec![intent("more")]).await.unwrap();
    second.release(lease).await.unwrap();
    let place = world.place(BUCKET);
    assert_eq!(place.stacks().await.unwrap(), ["one"]);
    let objects = place.open(false).unwrap().unwrap();
    let numbers = super::store::Store::open(&place, "one").unwrap().list(super::store::Sort::Log, 0).await.unwrap();
    assert!(numbers.len() < 40, "nothing was deleted: {numbers:?}");
    for number in numbers {
        let key = place.key(&format!("one/log/{number:010}.json"));
        let bytes = object_store::ObjectStoreExt::get(&objects, &key).await.unwrap().bytes().await.unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("bucket-secret"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_race_for_a_bucket_one_wins() {
    let world = World::new().await;
    let logs = [world.open("race").await, world.open("race").await];
    let (one, two) = tokio::join!(logs[0].acquire(who("one")), logs[1].acquire(who("two")));
    assert_ne!(one.is_ok(), two.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_an_error() {
    let world = World::new().await;
    let keys = Keys::in_folder(world.keys.path());
    let error = match Log::open(&world.place("gitpod-play-no-such-bucket"), "one", &keys).await {
        Ok(log) => log.acquire(who("h")).await.err().unwrap(),
        Err(error) => error,
    };
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    assert!(error.hint.is_some());
}
