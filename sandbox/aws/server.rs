//! The HTTP listener: reads requests, hands them to the services, writes answers or closes the connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ::http::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::http::{Reply, Request};
use super::{Answer, Env, admin};

/// Raised inside hyper to close a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped on purpose")]
struct Dropped;

/// Listens on the loopback address; port 0 takes a free one. Ends when the handle is aborted.
///
/// # Errors
/// When the port cannot be bound.
pub async fn serve(env: Arc<Env>, port: u16) -> io::Result<(SocketAddr, AbortHandle)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        // Connections end with the listener: the set aborts them when it is dropped.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // A failed accept is the client's loss (it went away, or files ran out for a moment).
                    let Ok((stream, _)) = accepted else { continue };
                    let _ = stream.set_nodelay(true);
                    let env = Arc::clone(&env);
                    connections.spawn(async move {
                        let service = service_fn(move |request| exchange(Arc::clone(&env), request));
                        let io = TokioIo::new(stream);
                        let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
                    });
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    });
    Ok((address, task.abort_handle()))
}

async fn exchange(env: Arc<Env>, request: ::http::Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let request = Request::new(&parts, body);
    let reply = if request.raw_path.starts_with("/_sandbox/") {
        admin::answer(&env, &request)
    } else if request.raw_path == "/manifest" {
        stand_in(&request)
    } else {
        match env.answer(request).await {
            Answer::Reply(reply) => reply,
            Answer::Drop => return Err(Dropped),
        }
    };
    Ok(write(reply))
}

/// `GET /manifest?url=…`: our own small manifest in place of the one at that address.
fn stand_in(request: &Request) -> Reply {
    let url = request.query.iter().find(|(name, _)| *name == "url").map_or("", |(_, url)| url.as_str());
    match crate::k8s::manifests::manifest_for(url) {
        Some(text) => Reply::new(200, "application/yaml", text),
        None => Reply::new(404, "text/plain", format!("no stand-in for {url}")),
    }
}

fn write(reply: Reply) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(reply.body)).unwrap_or_else(|error| {
        let mut broken = Response::new(Full::new(Bytes::from(error.to_string())));
        *broken.status_mut() = ::http::StatusCode::INTERNAL_SERVER_ERROR;
        broken
    })
}

impl Request {
    /// From the parts of an HTTP request and its whole body.
    fn new(parts: &::http::request::Parts, body: Bytes) -> Self {
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let headers: std::collections::BTreeMap<String, String> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let streaming = headers.get("x-amz-content-sha256").is_some_and(|sum| sum.starts_with("STREAMING-"));
        let path = parts.uri.path().to_owned();
        let body = if streaming { unchunk(&body).unwrap_or(body) } else { body };
        Self { method: parts.method.to_string(), raw_path: path.clone(), signed_path: path, query, headers, body }
    }
}

/// The content of an `aws-chunked` body: `SIZE[;chunk-signature=…]\r\n…\r\n`, then trailers.
fn unchunk(body: &[u8]) -> Option<Bytes> {
    let mut content = Vec::with_capacity(body.len());
    let mut rest = body;
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let head = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(head.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(content.into());
        }
        rest = &rest[end + 2..];
        content.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_bodies_are_joined() {
        let body = b"5;chunk-signature=abc\r\nhello\r\n1\r\n!\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        assert_eq!(unchunk(body).unwrap(), "hello!");
        assert_eq!(unchunk(b"zz"), None);
    }
}
