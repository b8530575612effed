//! The query protocols: a form in, XML out. EC2 has a flavour of its own.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Cx;
use super::http::{ApiError, Outcome, Reply};
use super::params::Params;
use super::xml;

const XML: &str = "text/xml;charset=UTF-8";

/// Name space of EC2's answers.
pub const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

impl Cx<'_> {
    /// An EC2 answer: `members` inside `<OperationResponse>`.
    ///
    /// # Errors
    /// None; the type is that of handlers.
    pub fn ec2(&self, members: &Value) -> Outcome {
        let (op, id) = (&self.op, &self.request_id);
        let mut out = format!("<{op}Response xmlns=\"{EC2_NAMESPACE}\"><requestId>{id}</requestId>");
        xml::EC2.members(&mut out, members);
        let _ = write!(out, "</{op}Response>");
        Ok(Reply::new(200, XML, out))
    }

    /// EC2's answer to calls that return nothing: `<return>true</return>`.
    ///
    /// # Errors
    /// None; the type is that of handlers.
    pub fn ec2_done(&self) -> Outcome {
        self.ec2(&json!({"return": true}))
    }

    /// An answer of the query services: `members` inside `<OperationResult>`; none at all for `null`.
    ///
    /// # Errors
    /// None; the type is that of handlers.
    pub fn query(&self, members: &Value) -> Outcome {
        let (op, id) = (&self.op, &self.request_id);
        let mut out = format!("<{op}Response xmlns=\"{}\">", self.namespace);
        if !members.is_null() {
            let _ = write!(out, "<{op}Result>");
            xml::QUERY.members(&mut out, members);
            let _ = write!(out, "</{op}Result>");
        }
        let _ = write!(out, "<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{op}Response>");
        Ok(Reply::new(200, XML, out))
    }

    /// One page of `items`, in EC2's way: `MaxResults` and `NextToken`. `items` must come in an order that does
    /// not change. Returns the page and the token of the next one.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a wrong token or size.
    pub fn page<T>(&self, items: Vec<T>) -> Result<(Vec<T>, Option<String>), ApiError> {
        let size = self.p.int("MaxResults")?;
        page(items, size, self.p.opt("NextToken"), "InvalidParameterValue")
    }

    /// One page of `items` in the way of IAM and RDS: `MaxItems` or `MaxRecords`, and `Marker`; at most 100 unless
    /// asked for more (up to 1000).
    ///
    /// # Errors
    /// `InvalidParameterValue` for a wrong marker or size.
    pub fn page_marked<T>(&self, items: Vec<T>) -> Result<(Vec<T>, Option<String>), ApiError> {
        let size = self.p.int("MaxItems")?.or(self.p.int("MaxRecords")?).unwrap_or(100);
        page(items, Some(size), self.p.opt("Marker"), "InvalidParameterValue")
    }
}

/// One page of `size` items that begins where `token` says; no size means everything.
///
/// # Errors
/// Code `wrong` for a token that was not given out, or a size below 1.
pub fn page<T>(
    items: Vec<T>,
    size: Option<i64>,
    token: Option<&str>,
    wrong: &str,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let begin = match token.filter(|t| !t.is_empty()) {
        None => 0,
        Some(token) => read_token(token)
            .filter(|at| *at <= items.len())
            .ok_or_else(|| ApiError::new(wrong, format!("Invalid value '{token}' for the paging token.")))?,
    };
    let size = match size {
        None => usize::MAX,
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| *size > 0)
            .ok_or_else(|| ApiError::new(wrong, format!("Value ( {size} ) for the page size is invalid.")))?,
    };
    let total = items.len();
    let end = begin.saturating_add(size).min(total);
    let page = items.into_iter().skip(begin).take(size).collect();
    Ok((page, (end < total).then(|| write_token(end))))
}

fn write_token(at: usize) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(format!("page:{at}"))
}

fn read_token(token: &str) -> Option<usize> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(token).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("page:")?.parse().ok()
}

/// The error of EC2: `<Response><Errors>…`.
pub fn ec2_error(error: &ApiError, request_id: &str) -> Reply {
    let body = json!({"Response": {"Errors": {"Error": {"Code": error.code, "Message": error.message}}, "RequestID": request_id}});
    xml_reply(error.status, &body)
}

/// The error of the query services: `<ErrorResponse>`.
pub fn query_error(error: &ApiError, namespace: &str, request_id: &str) -> Reply {
    let fault = if error.status < 500 { "Sender" } else { "Receiver" };
    let body = json!({"ErrorResponse": {
        "$xmlns": namespace,
        "Error": {"Type": fault, "Code": error.code, "Message": error.message},
        "RequestId": request_id,
    }});
    xml_reply(error.status, &body)
}

/// An XML document with its declaration.
pub fn xml_reply(status: u16, body: &Value) -> Reply {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml::QUERY.members(&mut out, body);
    Reply::new(status, XML, out)
}

/// The parameters of a query request: its form body, or its query.
pub fn parameters(request: &super::http::Request) -> Params {
    let form = form_urlencoded::parse(&request.body).into_owned();
    Params::from_pairs(request.query.iter().cloned().chain(form))
}

/// The parameters, when the request looks like one of the query protocols.
pub fn parameters_if_form(request: &super::http::Request) -> Option<Params> {
    let form = request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    (form || request.query("Action").is_some()).then(|| parameters(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_to_the_whole() {
        let all: Vec<u32> = (0..7).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        for _ in 0..3 {
            let (part, next) = page(all.clone(), Some(3), token.as_deref(), "X").unwrap();
            seen.extend(part);
            token = next;
        }
        assert_eq!((seen, token), (all, None));
        assert_eq!(page(vec![1], Some(1), Some("rubbish"), "X").unwrap_err().code, "X");
        assert_eq!(page(vec![1], Some(0), None, "X").unwrap_err().code, "X");
    }
}
