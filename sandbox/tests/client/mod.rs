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
    /// Status line and headers.
    pub head: String,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The value of a header, lower case; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    }

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

    /// An RDS call.
    pub async fn rds(&self, operation: &str, parameters: &[(&str, &str)]) -> Answer {
        self.form("rds", "2014-10-31", operation, parameters).await.unwrap()
    }

    /// An Auto Scaling call.
    pub async fn autoscaling(&self, operation: &str, parameters: &[(&str, &str)]) -> Answer {
        self.form("autoscaling", "2011-01-01", operation, parameters).await.unwrap()
    }

    /// A call of a REST service; `headers` are whole lines.
    pub async fn rest(&self, service: &str, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        self.rest_in("eu-west-1", service, method, path, headers, body).await
    }

    /// The same, signed for a region.
    pub async fn rest_in(
        &self,
        region: &str,
        service: &str,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Answer {
        let mut lines = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n",
            self.key
        );
        headers.iter().for_each(|line| lines.push_str(&format!("{line}\r\n")));
        self.exchange(method, path, &lines, body).await.unwrap()
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
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
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

/// A VPC with two subnets in different zones; returns the ids of VPC and subnets.
pub async fn vpc_of_two_zones(client: &Client) -> (String, [String; 2]) {
    let vpc = client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).await.unwrap().text("vpcId");
    let mut subnets = Vec::new();
    for (cidr, zone) in [("10.0.0.0/24", "eu-west-1a"), ("10.0.1.0/24", "eu-west-1b")] {
        let parameters = [("VpcId", vpc.as_str()), ("CidrBlock", cidr), ("AvailabilityZone", zone)];
        subnets.push(client.ec2("CreateSubnet", &parameters).await.unwrap().text("subnetId"));
    }
    (vpc, [subnets.remove(0), subnets.remove(0)])
}

/// A role that `service` may assume; returns its ARN.
pub async fn role(client: &Client, name: &str, service: &str) -> String {
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
    );
    let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", trust.as_str())];
    client.iam("CreateRole", &parameters).await.unwrap().text("Arn")
}
