//! The REST protocols: routes, JSON and XML answers, their errors; and JSON 1.1 by `X-Amz-Target`.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::Cx;
use super::http::{ApiError, Outcome, Reply, Request};
use super::params::Params;
use super::xml;

/// One operation of a REST service: method, path template, name. In a template `{name}` takes one segment,
/// `{name+}` the rest; `?a&b=c` demands query parameters. The first route that fits wins.
pub type Route = (&'static str, &'static str, &'static str);

/// The operation that a request names, with the labels of its path.
pub fn route(routes: &[Route], request: &Request) -> Option<(String, Map<String, Value>)> {
    routes.iter().find_map(|(method, template, op)| {
        if *method != request.method {
            return None;
        }
        let (path, query) = template.split_once('?').unwrap_or((template, ""));
        let wanted = query.split('&').filter(|q| !q.is_empty()).all(|want| match want.split_once('=') {
            Some((name, value)) => request.query(name) == Some(value),
            None => request.query(want).is_some(),
        });
        if !wanted {
            return None;
        }
        Some(((*op).to_owned(), labels(path, &request.raw_path)?))
    })
}

fn labels(template: &str, path: &str) -> Option<Map<String, Value>> {
    let mut found = Map::new();
    let decode = |text: &str| Value::String(percent_decode_str(text).decode_utf8_lossy().into_owned());
    let mut rest = path.strip_prefix('/').unwrap_or(path);
    let mut parts = template.trim_start_matches('/').split('/').peekable();
    while let Some(part) = parts.next() {
        if let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix("+}")) {
            found.insert(name.to_owned(), decode(rest));
            return (!rest.is_empty()).then_some(found);
        }
        let (segment, more) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
        match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => drop(found.insert(name.to_owned(), decode(segment))),
            None if part == segment => {}
            _ => return None,
        }
        match more {
            Some(more) if !more.is_empty() => {
                parts.peek()?;
                rest = more;
            }
            _ => return parts.peek().is_none().then_some(found),
        }
    }
    None
}

impl Cx<'_> {
    /// A JSON answer without the private members of `body`.
    ///
    /// # Errors
    /// None; the type is that of handlers.
    pub fn json(&self, body: &Value) -> Outcome {
        let kind = if self.request.header("x-amz-target").is_some() {
            "application/x-amz-json-1.1"
        } else {
            "application/json"
        };
        Ok(Reply::new(200, kind, xml::public(body).to_string()))
    }

    /// A REST-XML answer: the one member of `body` is the root element.
    ///
    /// # Errors
    /// None; the type is that of handlers.
    pub fn xml(&self, status: u16, body: &Value) -> Outcome {
        let mut reply = super::query::xml_reply(status, body);
        reply.headers = vec![("content-type".to_owned(), "application/xml".to_owned())];
        Ok(reply)
    }

    /// The body as JSON parsed from XML, below its root element.
    ///
    /// # Errors
    /// `MalformedXML`.
    pub fn xml_body(&self) -> Result<Params, ApiError> {
        let wrong =
            |detail: &str| ApiError::new("MalformedXML", format!("The XML you provided was not well-formed: {detail}"));
        let document = xml::parse(&self.request.body).map_err(|e| wrong(&e))?;
        let root = document.as_object().and_then(|o| o.values().next().cloned());
        root.map(Params).ok_or_else(|| wrong("no root element"))
    }
}

/// The parameters of a JSON request: body, then the query, then the labels of the path.
///
/// # Errors
/// `SerializationException` when the body is not a JSON object.
pub fn parameters(request: &Request, labels: Map<String, Value>) -> Result<Params, ApiError> {
    let body = if request.body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&request.body) };
    let Ok(Value::Object(mut members)) = body else {
        return Err(ApiError::new("SerializationException", "the body is not a JSON object"));
    };
    for (name, value) in &request.query {
        match members.get_mut(name) {
            Some(Value::Array(items)) => items.push(json!(value)),
            Some(first) => *first = json!([first.take(), value]),
            None => drop(members.insert(name.clone(), json!(value))),
        }
    }
    members.extend(labels);
    Ok(Params(Value::Object(members)))
}

/// The error of the JSON protocols.
pub fn json_error(error: &ApiError) -> Reply {
    let mut body = (*error.fields).clone();
    body.insert("__type".to_owned(), json!(error.code));
    body.insert("message".to_owned(), json!(error.message));
    Reply::new(error.status, "application/json", Value::Object(body).to_string()).with("x-amzn-errortype", &error.code)
}

/// The error of S3: `<Error>` at the root.
pub fn s3_error(error: &ApiError, request_id: &str) -> Reply {
    let mut members = json!({"Code": error.code, "Message": error.message});
    for (name, value) in &*error.fields {
        members[name] = value.clone();
    }
    members["RequestId"] = json!(request_id);
    members["HostId"] = json!("sandbox");
    let mut reply = super::query::xml_reply(error.status, &json!({"Error": members}));
    reply.headers = vec![("content-type".to_owned(), "application/xml".to_owned())];
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, query: &[(&str, &str)]) -> Request {
        let query = query.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Request { method: method.to_owned(), raw_path: path.to_owned(), query, ..Request::default() }
    }

    #[test]
    fn the_first_route_that_fits_wins() {
        let routes: &[Route] = &[
            ("GET", "/{Bucket}?versioning", "GetBucketVersioning"),
            ("GET", "/{Bucket}?list-type=2", "ListObjectsV2"),
            ("GET", "/{Bucket}", "ListObjects"),
            ("GET", "/{Bucket}/{Key+}", "GetObject"),
        ];
        let op = |path, query: &[_]| route(routes, &request("GET", path, query)).map(|(op, _)| op);
        assert_eq!(op("/b", &[("versioning", "")]).unwrap(), "GetBucketVersioning");
        assert_eq!(op("/b/", &[("list-type", "2")]).unwrap(), "ListObjectsV2");
        assert_eq!(op("/b", &[]).unwrap(), "ListObjects");
        assert_eq!(op("/", &[]), None);
        let (op, labels) = route(routes, &request("GET", "/b/d/a%20b.txt", &[])).unwrap();
        assert_eq!((op.as_str(), &labels["Key"]), ("GetObject", &json!("d/a b.txt")));
    }

    #[test]
    fn lengths_must_fit() {
        let routes: &[Route] = &[("GET", "/clusters/{name}", "DescribeCluster")];
        assert!(route(routes, &request("GET", "/clusters/a/b", &[])).is_none());
        assert!(route(routes, &request("GET", "/clusters", &[])).is_none());
        assert!(route(routes, &request("POST", "/clusters/a", &[])).is_none());
    }
}
