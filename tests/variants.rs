//! Settings of the shipped playbook that change what is made: planned, made, run again without a write, taken away.

use crate::support::{ALLOW_DATABASE, AWS, Place, leaks::files, writes};

/// A variant: its name, its settings as YAML, more arguments, and what must be there and must not.
struct Variant {
    name: &'static str,
    settings: &'static str,
    args: &'static [&'static str],
    there: &'static [&'static str],
    absent: &'static [&'static str],
    allow: &'static [&'static str],
}

const NOTHING: Variant = Variant { name: "", settings: "", args: &[], there: &[], absent: &[], allow: &[] };

const VARIANTS: &[Variant] = &[
    Variant {
        name: "a NAT gateway in each zone",
        settings: "network: {nat: highly-available}",
        there: &[
            "aws::ec2::nat_gateway/gitpod-nat-1",
            "aws::ec2::nat_gateway/gitpod-nat-3",
            "aws::ec2::elastic_ip/gitpod-nat-3",
        ],
        ..NOTHING
    },
    Variant {
        name: "no NAT gateway",
        settings: "network: {nat: none}",
        absent: &["aws::ec2::nat_gateway/gitpod-nat-1", "aws::ec2::elastic_ip/gitpod-nat-1"],
        ..NOTHING
    },
    Variant {
        name: "two zones of the Terraform example",
        settings: "network: {cidr: 10.100.0.0/16, zones: 2, subnet_bits: 7}",
        there: &["aws::ec2::subnet/gitpod-private-2"],
        absent: &["aws::ec2::subnet/gitpod-private-3"],
        ..NOTHING
    },
    Variant {
        name: "a certificate of one's own",
        settings: "certificates: {own_certificate: CHAIN, own_key: KEY}",
        there: &["k8s::object/gitpod/Secret/https-certificates"],
        absent: &["k8s::object/ClusterIssuer.cert-manager.io/gitpod-issuer", "k8s::object/Namespace/cert-manager"],
        ..NOTHING
    },
    Variant {
        name: "a bucket of its own for the registry, and versions kept",
        settings: "storage: {registry_bucket: acme-registry, versioning: true}",
        there: &["aws::s3::bucket/acme-registry", "aws::s3::bucket/gitpod-111122223333-gitpod"],
        ..NOTHING
    },
    Variant {
        name: "the load balancer controller",
        settings: "addons: {load_balancer_controller: true, cluster_autoscaler: false, ebs_csi_driver: false}",
        there: &["k8s::object/kube-system/Deployment.apps/aws-load-balancer-controller"],
        absent: &[
            "k8s::object/kube-system/Deployment.apps/cluster-autoscaler",
            "aws::eks::addon/gitpod/aws-ebs-csi-driver",
        ],
        ..NOTHING
    },
    Variant {
        name: "the guide's database in public subnets, in one zone",
        settings: "database: {engine_version: '5.7', multi_az: false, subnets: public, skip_final_snapshot: true}",
        there: &["aws::rds::instance/gitpod-instance"],
        ..NOTHING
    },
    Variant {
        name: "administrators, and an older version",
        settings: "cluster: {admins: ['arn:aws:iam::111122223333:role/admins'], version: '1.33'}",
        there: &["aws::eks::access_entry/gitpod/role/admins"],
        ..NOTHING
    },
    Variant {
        name: "the installer on this machine",
        settings: "install: {method: binary, binary: ./installer.sh, ssh_host_key: a-key-of-ones-own}",
        args: &["--allow-run", "./installer.sh"],
        there: &["k8s::object/gitpod/Deployment.apps/server", "k8s::object/gitpod/Secret/ssh-gateway-host-key"],
        absent: &["k8s::object/gitpod/ConfigMap/gitpod-installer"],
        ..NOTHING
    },
    Variant {
        name: "another region, account, domain, namespace and tags",
        settings: "domain: gp.acme.dev\ntags: {team: infra}\naws: {region: us-east-1, account: '111122223333'}\ninstall: {namespace: acme}",
        there: &["k8s::object/Namespace/acme", "aws::route53::zone/gp.acme.dev"],
        absent: &["k8s::object/Namespace/gitpod"],
        ..NOTHING
    },
];

#[test]
fn each_variant_is_planned_made_kept_and_taken_away() {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            while let Some(variant) = VARIANTS.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst)) {
                failed.extend(played(variant).err().map(|why| format!("{}: {why}", variant.name)));
            }
            failed
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

fn played(variant: &Variant) -> Result<(), String> {
    let place = Place::new();
    place.write("settings.yaml", &with_certificate(variant.settings));
    installer(&place);
    administrators(&place);
    let play = |verb: &[&str], record: &str| {
        let args = [verb, &["--pace", "max", "--record", record]].concat();
        let ended = place.play(&args);
        if ended.code == 0 {
            Ok(ended)
        } else {
            Err(format!("gitpod-play {}\n{}{}", args.join(" "), ended.stdout, ended.stderr))
        }
    };
    let with = |verb: &'static str, more: &[&'static str]| {
        [&[verb, AWS, "--settings", "settings.yaml"], variant.args, more].concat()
    };
    let nothing_written = |record: &str, when: &str| match writes(&place.calls(record)) {
        written if written.is_empty() => Ok(()),
        written => Err(format!("{when} wrote {written:?}")),
    };
    play(&with("plan", &[]), "plan.jsonl")?;
    nothing_written("plan.jsonl", "the plan")?;
    play(&with("run", &["--yes"]), "run.jsonl")?;
    let addresses: Vec<String> =
        resources(&place).iter().map(|it| it["address"].as_str().unwrap_or_default().to_owned()).collect();
    for wanted in variant.there {
        if !addresses.iter().any(|address| address == wanted) {
            return Err(format!("{wanted} is missing in {addresses:#?}"));
        }
    }
    if let Some(odd) = variant.absent.iter().find(|odd| addresses.iter().any(|address| address == *odd)) {
        return Err(format!("{odd} is there"));
    }
    play(&with("run", &["--yes"]), "again.jsonl")?;
    nothing_written("again.jsonl", "running again")?;
    let settled = play(&with("plan", &["--detailed-exitcode"]), "settled.jsonl")?;
    if !settled.stdout.contains("nothing to do") {
        return Err(settled.stdout);
    }
    let gone = play(&[&["destroy", AWS, "--yes"], &ALLOW_DATABASE[..], variant.allow].concat(), "destroy.jsonl")?;
    if gone.stderr.contains("left over") || !resources(&place).is_empty() {
        return Err(format!("left over after destroy:\n{}", gone.stderr));
    }
    Ok(())
}

/// What the stack of the shipped playbook holds.
fn resources(place: &Place) -> Vec<serde_json::Value> {
    let shown = place.play_ok(&["state", "show", "--stack", "aws", "--json"]);
    serde_json::from_str(&shown.stdout).expect("a JSON list")
}

/// Makes the role that some variants name, in a stack of its own.
fn administrators(place: &Place) {
    place.write(
        "admins.rhai",
        "target(\"aws\", #{ region: \"eu-west-1\" });\n\
         step(\"role\", || aws::iam::role(#{ name: \"admins\", trust: \"ec2.amazonaws.com\" }).arn);\n",
    );
    place.play_ok(&["run", "admins.rhai", "--pace", "max"]);
}

/// Puts a text of the right form and its key in place of the words.
fn with_certificate(settings: &str) -> String {
    let quoted = |pem: &str| format!("{pem:?}");
    let (chain, key) = (
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
    );
    settings.replace("CHAIN", &quoted(chain)).replace("KEY}", &format!("{}}}", quoted(key)))
}

/// A stand-in for the installer's binary: it takes the config, and renders Gitpod's deployments and its proxy.
fn installer(place: &Place) {
    let deployment = |name: &str| {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
             template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: main, image: 'example/{name}:1'}}]}}\n"
        )
    };
    let names = [
        "blobserve",
        "content-service",
        "dashboard",
        "ide-proxy",
        "image-builder-mk3",
        "proxy",
        "server",
        "ws-manager",
        "ws-manager-bridge",
        "ws-proxy",
    ];
    let all: String = names.iter().map(|name| deployment(name)).collect();
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: proxy}\nspec:\n  type: LoadBalancer\n  selector: {app: proxy}\n  ports: [{name: https, port: 443}]\n";
    let path = place.write(
        "installer.sh",
        &format!(
            "#!/bin/sh\necho \"$@\" >> asked.txt\nif [ \"$1\" = render ]; then cat <<'END'\n{all}{service}END\nfi\n"
        ),
    );
    let status = std::process::Command::new("chmod").arg("+x").arg(path).status().expect("chmod");
    assert!(status.success());
}

#[test]
fn the_installer_on_this_machine_looks_at_the_cluster_and_takes_the_key() {
    let place = Place::new();
    installer(&place);
    let set = ["install.method=binary", "install.binary=./installer.sh", "install.ssh_host_key=a-key-of-ones-own"];
    let set = set.map(|setting| ["--set", setting]).concat();
    let run = [&["run", AWS, "--yes", "--pace", "max", "--allow-run", "./installer.sh"], &set[..]].concat();
    place.play_ok(&run);
    let folder = ".gitpod-play/aws";
    let asked = place.read("asked.txt");
    let asked: Vec<&str> = asked.lines().collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    let config = format!("--config {folder}/gitpod.config.yaml");
    assert_eq!(asked[0], format!("validate config {config}"));
    assert_eq!(asked[1], format!("validate cluster --kubeconfig {folder}/kubeconfig --namespace gitpod {config}"));
    assert_eq!(asked[2], format!("render --namespace gitpod {config}"));
    let kubeconfig = place.read(&format!("{folder}/kubeconfig"));
    assert!(kubeconfig.contains("server: https://") && kubeconfig.contains("get-token"), "{kubeconfig}");
    assert!(place.read(&format!("{folder}/gitpod.config.yaml")).contains("sshGatewayHostKey:"));
}

#[test]
fn the_autoscaler_is_of_the_clusters_version() {
    let place = Place::new();
    place.play_ok(&[
        "run",
        AWS,
        "--yes",
        "--pace",
        "max",
        "--step",
        "cluster_autoscaler",
        "--set",
        "cluster.version=1.32",
    ]);
    let logged = files(&place.path().join(".gitpod-play/aws/log"));
    let image = "registry.k8s.io/autoscaling/cluster-autoscaler:v1.32.0";
    let named = |file: &std::path::PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.contains(image));
    assert!(logged.iter().any(named), "no record holds {image}");
}

#[test]
fn administrators_can_be_added_to_a_cluster_that_has_none() {
    let place = Place::new();
    administrators(&place);
    let admins =
        ["--step", "cluster", "--pace", "max", "--set", "cluster.admins=arn:aws:iam::111122223333:role/admins"];
    place.play_ok(&["run", AWS, "--step", "cluster", "--pace", "max"]);
    let plan = place.play_ok(&[&["plan", AWS], &admins[..]].concat());
    assert!(
        plan.stdout.contains("authentication_mode") && plan.stdout.contains("+ aws::eks::access_entry"),
        "{}",
        plan.stdout
    );
    place.play_ok(&[&["run", AWS], &admins[..]].concat());
    place.play_ok(&[&["plan", AWS, "--detailed-exitcode"], &admins[..]].concat());
}

#[test]
fn a_zone_and_a_network_that_exist_are_used_and_left_alone() {
    let place = Place::new();
    place.write(
        "ours.rhai",
        r#"target("aws", #{ region: "eu-west-1" });
step("net", || {
    let vpc = aws::ec2::vpc(#{ name: "ours", cidr: "10.0.0.0/16", dns_support: true, dns_hostnames: true });
    let ids = [];
    for n in 0..4 {
        let zone = if n % 2 == 0 { "eu-west-1a" } else { "eu-west-1b" };
        ids.push(aws::ec2::subnet(#{ name: `ours-${n}`, vpc: vpc.id, zone: zone, cidr: cidr_subnet("10.0.0.0/16", 4, n), public_ips: n < 2 }).id);
    }
    let gateway = aws::ec2::internet_gateway(#{ name: "ours", vpc: vpc.id });
    aws::ec2::route_table(#{ name: "ours", vpc: vpc.id, subnets: [ids[0], ids[1]], routes: [#{ cidr: "0.0.0.0/0", gateway: gateway.id }] });
    let zone = aws::route53::zone(#{ name: "gitpod.example.com" });
    print(`vpc=${vpc.id}`);
    print(`public=${ids[0]},${ids[1]}`);
    print(`private=${ids[2]},${ids[3]}`);
});
"#,
    );
    let made = place.play_ok(&["run", "ours.rhai", "--pace", "max"]);
    let printed = |key: &str| {
        let found = made.stderr.lines().find_map(|line| line.split_once(&format!("{key}=")));
        found.expect("a printed line").1.trim().to_owned()
    };
    let settings = format!(
        "dns: {{create_zone: false}}\nnetwork: {{existing_vpc: {}, existing_public_subnets: [{}], existing_private_subnets: [{}]}}\n",
        printed("vpc"),
        printed("public"),
        printed("private")
    );
    place.write("existing.yaml", &settings);
    let given = ["--settings", "existing.yaml", "--pace", "max", "--yes"];
    place.play_ok(&[&["run", AWS], &given[..]].concat());
    place.play_ok(&[&["run", AWS, "--record", "again.jsonl"], &given[..]].concat());
    assert_eq!(writes(&place.calls("again.jsonl")), Vec::<String>::new());
    let shown = place.play_ok(&["state", "show", "--stack", "aws", "--json"]);
    assert!(
        !shown.stdout.contains("aws::ec2::vpc/") && !shown.stdout.contains("aws::route53::zone/"),
        "{}",
        shown.stdout
    );
    let gone = place.play_ok(&[&["destroy", AWS, "--pace", "max", "--yes"], &ALLOW_DATABASE[..]].concat());
    assert!(!gone.stderr.contains("left over"), "{}", gone.stderr);
    let kept = place.play_ok(&["plan", "ours.rhai", "--pace", "max"]);
    assert!(kept.stdout.contains("nothing to do"), "what was there is as it was: {}", kept.stdout);
}
