//! Buckets in the host name: `BUCKET.s3.REGION.amazonaws.com`, `BUCKET.localhost`.

use crate::aws::http::Request;

/// The request in path style: a bucket that its host names is put before the path.
pub fn path_style(mut request: Request) -> Request {
    if let Some(bucket) = request.header("host").and_then(bucket).map(str::to_owned) {
        request.raw_path = format!("/{bucket}{}", request.raw_path);
    }
    request
}

fn bucket(host: &str) -> Option<&str> {
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    if let Some(bucket) = name.strip_suffix(".localhost").or_else(|| name.strip_suffix(".127.0.0.1")) {
        return Some(bucket.trim_end_matches(".s3")).filter(|b| *b != "s3");
    }
    let service = name.strip_suffix(".amazonaws.com")?;
    let at =
        service.find(".s3.").or_else(|| service.find(".s3-")).or_else(|| service.strip_suffix(".s3").map(str::len))?;
    Some(&service[..at])
}

#[cfg(test)]
mod tests {
    use super::bucket;

    #[test]
    fn hosts() {
        assert_eq!(bucket("b.s3.eu-west-1.amazonaws.com"), Some("b"));
        assert_eq!(bucket("a.b.s3.amazonaws.com"), Some("a.b"));
        assert_eq!(bucket("b.localhost:4566"), Some("b"));
        assert_eq!(bucket("127.0.0.1:4566"), None);
        assert_eq!(bucket("s3.eu-west-1.amazonaws.com"), None);
        assert_eq!(bucket("ec2.eu-west-1.amazonaws.com"), None);
        assert_eq!(bucket("localhost"), None);
    }
}
