//! A small client of the simulated AWS: unsigned but for the credential's scope, one connection per request.

// Each test file uses a part of it.
#![allow(dead_code)]

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends to one simulation with one access key.
pub struct Client {
    host: String,
    key: String,
}

/// An answer.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The text of the first element of this name; empty when there is none.
    pub fn text(&self, element: &str) -> String {
        self.texts(element).into_iter().next().unwrap_or_default()
    }

    /// The texts of all elements of this name.
    pub fn texts(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let parts = self.body.split(&open).skip(1);
        parts.filter_map(|part| Some(part.split_once(&close)?.0.to_owned())).collect()
    }
}

impl Client {
    pub fn new(url: &str, key: &str) -> Self {
        Self { host: url.trim_start_matches("http://").to_owned(), key: key.to_owned() }
    }

    /// An EC2 call; `None` when the connection was closed without an answer.
    pub async fn ec2(&self, operation: &str, parameters: &[(&str, &str)]) -> Option<Answer> {
        self.form("ec2", "2016-11-15", operation, parameters).await
    }

    /// An IAM call.
    pub async fn iam(&self, operation: &str, parameters: &[(&str, &str)]) -> Option<Answer> {
        self.form("iam", "2010-05-08", operation, parameters).await
    }

    async fn form(&self, service: &str, version: &str, operation: &str, parameters: &[(&str, &str)]) -> Option<Answer> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", operation).append_pair("Version", version).extend_pairs(parameters);
        let scope = self.scope(service) + "Content-Type: application/x-www-form-urlencoded\r\n";
        self.exchange("POST", "/", &scope, &form.finish()).await
    }

    /// An EKS call with a JSON body; `Null` for none.
    pub async fn eks(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let headers = self.scope("eks") + "Content-Type: application/json\r\n";
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.exchange(method, path, &headers, &body).await.expect("an answer");
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }

    /// A call of classic load balancing.
    pub async fn elb(&self, operation: &str, parameters: &[(&str, &str)]) -> Option<Answer> {
        self.form("elasticloadbalancing", "2012-06-01", operation, parameters).await
    }

    fn scope(&self, service: &str) -> String {
        format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n",
            self.key
        )
    }

    /// A request without credentials.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        self.exchange(method, path, "", body).await
    }

    async fn exchange(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.host).await.ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.host,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Answer { status: head.split(' ').nth(1)?.parse().ok()?, body: body.to_owned() })
    }
}

/// A VPC with an internet gateway and one subnet; returns the ids of VPC and subnet.
pub async fn vpc_with_gateway(client: &Client) -> (String, String) {
    let vpc = client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).await.unwrap().text("vpcId");
    let gateway = client.ec2("CreateInternetGateway", &[]).await.unwrap().text("internetGatewayId");
    let attach =
        client.ec2("AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &vpc)]).await.unwrap();
    assert_eq!(attach.status, 200);
    let subnet = client.ec2("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", "10.0.0.0/24")]).await.unwrap();
    (vpc, subnet.text("subnetId"))
}
