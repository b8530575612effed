//! What simulated clouds in another process are asked and told: their `/_sandbox/…`.

use crate::error::{Error, Result};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Longest wait for an answer of clouds on this machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer of the clouds at `url` to `METHOD /_sandbox/PATH`.
pub fn ask(url: &str, method: &str, path: &str, body: &str) -> Result<Value> {
    let failed = |why: String| Error::failed("the simulated clouds do not answer").because(why);
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).map_err(|error| failed(error.to_string()))?;
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let length = body.len();
    let request = format!(
        "{method} /_sandbox/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut answer = String::new();
    stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|error| failed(error.to_string()))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let answer: Value = serde_json::from_str(body).map_err(|error| failed(error.to_string()))?;
    match answer["error"].as_str() {
        Some(why) if !head.contains(" 200 ") => Err(failed(why.to_owned())),
        _ => Ok(answer),
    }
}
