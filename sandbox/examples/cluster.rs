//! Serves one simulated cluster with three nodes, to look around in with kubectl.
//!
//!     cargo run -p sandbox --example cluster -- FOLDER [SIMULATED SECONDS A SECOND]
//!
//! The kubeconfig is written to `FOLDER/kubeconfig`.

use std::path::PathBuf;

use sandbox::k8s::{KubeWorld, NodeSpec};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let pace = arguments.next().map_or(Ok(10.0), |p| p.parse())?;
    let world = KubeWorld::open(Some(&dir), pace)?;
    world.ensure_cluster("gitpod", "1.33")?;
    let labels = ["meta", "ide", "services", "workspace_services", "workspace_regular", "workspace_headless"];
    let node = |n| {
        let mut node = NodeSpec::new(&format!("node-{n}"));
        node.labels = labels.iter().map(|l| (format!("gitpod.io/workload_{l}"), "true".to_owned())).collect();
        node
    };
    world.set_nodes("gitpod", (0..3).map(node).collect())?;
    std::fs::write(dir.join("kubeconfig"), world.kubeconfig("gitpod"))?;
    println!("{}", world.url("gitpod"));
    tokio::signal::ctrl_c().await?;
    Ok(())
}
