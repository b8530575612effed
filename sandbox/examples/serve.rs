//! Serves a simulation until interrupted: `cargo run -p sandbox --example serve -- [--port N] [--dir DIR] [--pace max|N]`.

use sandbox::{Options, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--port" => options.port = value()?.parse()?,
            "--dir" => options.dir = Some(value()?.into()),
            "--pace" => options.pace = value()?.parse()?,
            other => return Err(format!("unknown option `{other}`: there are --port, --dir and --pace").into()),
        }
    }
    let sandbox = Sandbox::start(options).await?;
    println!("export AWS_ENDPOINT_URL={}", sandbox.aws_url);
    println!("export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}", sandbox.access_key, sandbox.secret_key);
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown();
    Ok(())
}
