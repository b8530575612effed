//! The listener: TLS, HTTP/1.1 and HTTP/2, and the path that chooses the cluster.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, rustls};

use super::{
    api::{self, reply},
    cluster::Cluster,
    store::ApiError,
};

/// Finds a cluster by its name.
pub type Find = Arc<dyn Fn(&str) -> Option<Arc<Cluster>> + Send + Sync>;

/// The connection is to be closed without an answer, as a lost reply looks to a client.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
struct Dropped;

/// Accepts connections for as long as the task lives.
pub async fn serve(listener: TcpListener, tls: Arc<rustls::ServerConfig>, find: Find) {
    let acceptor = TlsAcceptor::from(tls);
    // Connections end with the listener, as they would with the process.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, acceptor.clone(), find.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, find: Find) {
    // Small answers must not wait for more.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let find = find.clone();
        async move { handle(&find, request).await }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().max_concurrent_streams(1000);
    // A client that hangs up is no error of ours.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// The cluster's name and the path below it.
fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/clusters/")?;
    Some(rest.find('/').map_or((rest, "/"), |at| rest.split_at(at)))
}

async fn handle(find: &Find, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let found = split(&path).and_then(|(name, rest)| Some((find(name)?, rest)));
    let Some((cluster, rest)) = found else {
        return Ok(reply::refusal(&ApiError::no_endpoint()));
    };
    let Ok(body) = body.collect().await else { return Err(Dropped) };
    api::answer(&cluster, parts, rest.to_owned(), body.to_bytes()).await.ok_or(Dropped)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_path_chooses_the_cluster() {
        assert_eq!(split("/clusters/a/api/v1"), Some(("a", "/api/v1")));
        assert_eq!(split("/clusters/a"), Some(("a", "/")));
        assert_eq!(split("/api/v1"), None);
    }
}
