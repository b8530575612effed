//! Somebody who works on the simulated clouds by hand: through the clouds' own APIs, with the SDKs of others.

use super::{until, world::World};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_types::{SdkConfig, region::Region};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use std::{future::IntoFuture, path::PathBuf, time::Duration};
use tokio::runtime::Runtime;

/// The clients, and a runtime to wait for them on.
pub struct Hand {
    runtime: Runtime,
    kubeconfigs: PathBuf,
    pub ec2: aws_sdk_ec2::Client,
    pub iam: aws_sdk_iam::Client,
    pub eks: aws_sdk_eks::Client,
    pub s3: aws_sdk_s3::Client,
    pub rds: aws_sdk_rds::Client,
    pub route53: aws_sdk_route53::Client,
}

impl Hand {
    /// Somebody with all rights.
    pub fn of(world: &World) -> Self {
        let serving: Value =
            serde_json::from_str(&world.place.read(".gitpod-play/sandbox/serving.json")).expect("the notice");
        let text = |field: &str| serving[field].as_str().expect("a text").to_owned();
        let key = Credentials::new(text("access_key"), text("secret_key"), None, None, "by hand");
        let config = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(text("aws_url"))
            .credentials_provider(SharedCredentialsProvider::new(key))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            kubeconfigs: world.place.path().join(".gitpod-play/sandbox/kubeconfigs"),
            ec2: aws_sdk_ec2::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            eks: aws_sdk_eks::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            rds: aws_sdk_rds::Client::new(&config),
            route53: aws_sdk_route53::Client::new(&config),
        }
    }

    /// Waits for an answer, which must be no error.
    pub fn does<T, E: std::fmt::Debug>(&self, call: impl IntoFuture<Output = Result<T, E>>) -> T {
        self.runtime.block_on(call.into_future()).expect("the simulated clouds do what is asked by hand")
    }

    /// Objects of a kind (`apps/v1`, `Deployment`, `deployments`) in the one cluster; without a namespace when it is empty.
    fn objects(&self, kind: (&str, &str, &str), namespace: &str) -> Api<DynamicObject> {
        let (group, version) = kind.0.rsplit_once('/').unwrap_or(("", kind.0));
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: kind.0.to_owned(),
            kind: kind.1.to_owned(),
            plural: kind.2.to_owned(),
        };
        let find = || {
            let files = std::fs::read_dir(&self.kubeconfigs).into_iter().flatten().flatten();
            files.map(|file| file.path()).find(|path| path.extension().is_some_and(|end| end == "yaml"))
        };
        until("there is a kubeconfig", Duration::from_mins(1), || find().is_some());
        let path = find().expect("a kubeconfig");
        gitpod_play::http::ensure_crypto();
        let client = self.runtime.block_on(async {
            let file = Kubeconfig::read_from(path).expect("a kubeconfig");
            let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
            kube::Client::try_from(config.expect("a configuration")).expect("a client")
        });
        if namespace.is_empty() {
            Api::all_with(client, &resource)
        } else {
            Api::namespaced_with(client, namespace, &resource)
        }
    }

    /// Merges `patch` into an object, as `kubectl edit` would.
    pub fn patches(&self, kind: (&str, &str, &str), namespace: &str, name: &str, patch: &Value) {
        let objects = self.objects(kind, namespace);
        let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
        self.does(async { objects.patch(name, &params, &Patch::Merge(patch)).await });
    }

    /// Deletes an object.
    pub fn deletes(&self, kind: (&str, &str, &str), namespace: &str, name: &str) {
        let objects = self.objects(kind, namespace);
        self.does(async { objects.delete(name, &DeleteParams::default()).await });
        until("it is gone", Duration::from_mins(1), || {
            self.runtime.block_on(objects.get_opt(name)).is_ok_and(|found| found.is_none())
        });
    }

    /// Makes an object.
    pub fn makes(&self, kind: (&str, &str, &str), namespace: &str, object: Value) {
        let objects = self.objects(kind, namespace);
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        self.does(async { objects.create(&PostParams::default(), &object).await });
    }
}
