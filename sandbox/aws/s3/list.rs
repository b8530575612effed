//! Lists of objects and versions, in pages, with prefixes and delimiters.

use base64::Engine;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{NAMESPACE, bucket_of, invalid_argument, objects as table_of};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What one page of a list holds, and where the next begins.
#[derive(Debug, Default, PartialEq)]
struct Page {
    keys: Vec<String>,
    prefixes: Vec<String>,
    /// The last key or prefix of this page, when there is more.
    last: Option<String>,
}

/// One page of the keys (in order) that begin with `prefix` and come after `after`; those that have `delimiter`
/// behind the prefix are rolled up.
fn page<'a>(keys: impl Iterator<Item = &'a str>, prefix: &str, delimiter: &str, after: &str, size: usize) -> Page {
    let mut page = Page::default();
    let mut last = String::new();
    for key in keys.filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let rolled = if delimiter.is_empty() {
            None
        } else {
            rest.find(delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()])
        };
        let name = rolled.unwrap_or(key);
        // What begins with a prefix that the page before ended with is inside it.
        if name <= after || page.prefixes.last().is_some_and(|p| rolled == Some(p.as_str())) {
            continue;
        }
        if page.keys.len() + page.prefixes.len() == size {
            page.last = Some(last);
            return page;
        }
        name.clone_into(&mut last);
        match rolled {
            Some(prefix) => page.prefixes.push(prefix.to_owned()),
            None => page.keys.push(key.to_owned()),
        }
    }
    page
}

/// What all lists ask for.
struct Query {
    bucket: String,
    prefix: String,
    delimiter: String,
    size: usize,
    encoded: bool,
}

impl Query {
    fn of(cx: &Cx<'_>) -> Result<Self, ApiError> {
        let (bucket, _) = bucket_of(cx)?;
        let size = match cx.p.opt("max-keys") {
            None => 1000,
            Some(text) => {
                let number = text.parse::<usize>();
                number
                    .map_err(|_| invalid_argument("Provided max-keys not an integer or within integer range"))?
                    .min(1000)
            }
        };
        Ok(Self {
            bucket,
            prefix: cx.p.or("prefix", "").to_owned(),
            delimiter: cx.p.or("delimiter", "").to_owned(),
            size,
            encoded: cx.p.opt("encoding-type") == Some("url"),
        })
    }

    fn text(&self, text: &str) -> String {
        if self.encoded { utf8_percent_encode(text, URL).to_string() } else { text.to_owned() }
    }

    fn page(&self, cx: &Cx<'_>, after: &str) -> Page {
        if self.size == 0 {
            return Page::default();
        }
        let live = |doc: &Value| {
            doc["versions"].as_array().and_then(|v| v.last()).is_some_and(|v| v["DeleteMarker"] != json!(true))
        };
        let table = table_of(&self.bucket);
        let keys = cx.tx.scan(&table).filter(|(_, doc)| live(doc)).map(|(key, _)| key.as_str());
        page(keys, &self.prefix, &self.delimiter, after, self.size)
    }

    fn contents(&self, cx: &Cx<'_>, keys: &[String]) -> Vec<Value> {
        let table = table_of(&self.bucket);
        let newest = |key: &String| {
            let version = cx.tx.get(&table, key)?["versions"].as_array()?.last()?;
            Some(json!({
                "Key": self.text(key),
                "LastModified": version["LastModified"],
                "ETag": format!("\"{}\"", version["ETag"].as_str().unwrap_or_default()),
                "Size": version["Size"],
                "StorageClass": "STANDARD",
            }))
        };
        keys.iter().filter_map(newest).collect()
    }

    fn prefixes(&self, prefixes: &[String]) -> Vec<Value> {
        prefixes.iter().map(|prefix| json!({"Prefix": self.text(prefix)})).collect()
    }

    fn encoding(&self) -> Option<&'static str> {
        self.encoded.then_some("url")
    }
}

fn read_token(token: &str) -> Result<String, ApiError> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| invalid_argument("The continuation token provided is incorrect"))
}

/// `ListObjectsV2`.
pub fn objects_v2(cx: &mut Cx<'_>) -> Outcome {
    let query = Query::of(cx)?;
    let after = match cx.p.opt("continuation-token") {
        Some(token) => read_token(token)?,
        None => cx.p.or("start-after", "").to_owned(),
    };
    let page = query.page(cx, &after);
    let next = page.last.as_ref().map(|last| base64::engine::general_purpose::STANDARD.encode(last));
    cx.xml(
        200,
        &json!({"ListBucketResult": {
            "$xmlns": NAMESPACE,
            "Name": query.bucket,
            "Prefix": query.text(&query.prefix),
            "Delimiter": (!query.delimiter.is_empty()).then(|| query.text(&query.delimiter)),
            "MaxKeys": query.size,
            "EncodingType": query.encoding(),
            "KeyCount": page.keys.len() + page.prefixes.len(),
            "IsTruncated": next.is_some(),
            "ContinuationToken": cx.p.opt("continuation-token"),
            "NextContinuationToken": next,
            "StartAfter": cx.p.opt("start-after").map(|s| query.text(s)),
            "@Contents": query.contents(cx, &page.keys),
            "@CommonPrefixes": query.prefixes(&page.prefixes),
        }}),
    )
}

/// `ListObjects`, the first version.
pub fn objects(cx: &mut Cx<'_>) -> Outcome {
    let query = Query::of(cx)?;
    let after = cx.p.or("marker", "").to_owned();
    let page = query.page(cx, &after);
    cx.xml(
        200,
        &json!({"ListBucketResult": {
            "$xmlns": NAMESPACE,
            "Name": query.bucket,
            "Prefix": query.text(&query.prefix),
            "Marker": query.text(&after),
            "Delimiter": (!query.delimiter.is_empty()).then(|| query.text(&query.delimiter)),
            "MaxKeys": query.size,
            "EncodingType": query.encoding(),
            "IsTruncated": page.last.is_some(),
            "NextMarker": page.last.as_ref().filter(|_| !query.delimiter.is_empty()).map(|last| query.text(last)),
            "@Contents": query.contents(cx, &page.keys),
            "@CommonPrefixes": query.prefixes(&page.prefixes),
        }}),
    )
}

/// `ListObjectVersions`: by key, the newest version first.
pub fn versions(cx: &mut Cx<'_>) -> Outcome {
    let query = Query::of(cx)?;
    let marker = (cx.p.or("key-marker", "").to_owned(), cx.p.opt("version-id-marker").map(str::to_owned));
    let table = table_of(&query.bucket);
    let mut all: Vec<(String, Value, bool)> = Vec::new();
    for (key, doc) in cx.tx.scan(&table).filter(|(key, _)| key.starts_with(&query.prefix)) {
        let versions = doc["versions"].as_array().into_iter().flatten().rev().enumerate();
        all.extend(versions.map(|(place, version)| (key.clone(), version.clone(), place == 0)));
    }
    let begin = all.iter().position(|(key, version, _)| match &marker.1 {
        Some(id) if *key == marker.0 => version["VersionId"] == json!(id),
        _ => *key > marker.0,
    });
    // A marker names the last entry of the page before.
    let skip = match (&marker.1, begin) {
        (Some(_), Some(at)) if all[at].0 == marker.0 => at + 1,
        (_, Some(at)) => at,
        (_, None) => all.len(),
    };
    let rest: Vec<_> = all.into_iter().skip(skip).collect();
    let truncated = rest.len() > query.size;
    let shown = &rest[..rest.len().min(query.size)];
    let last = shown.last().filter(|_| truncated);
    let (mut kept, mut markers) = (Vec::new(), Vec::new());
    for (key, version, newest) in shown {
        let mut entry = json!({
            "Key": query.text(key), "VersionId": version["VersionId"], "IsLatest": newest, "LastModified": version["LastModified"],
            "Owner": {"ID": cx.account, "DisplayName": "sandbox"},
        });
        if version["DeleteMarker"] == json!(true) {
            markers.push(entry);
        } else {
            entry["ETag"] = json!(format!("\"{}\"", version["ETag"].as_str().unwrap_or_default()));
            entry["Size"] = version["Size"].clone();
            entry["StorageClass"] = json!("STANDARD");
            kept.push(entry);
        }
    }
    cx.xml(
        200,
        &json!({"ListVersionsResult": {
            "$xmlns": NAMESPACE,
            "Name": query.bucket,
            "Prefix": query.text(&query.prefix),
            "KeyMarker": query.text(&marker.0),
            "VersionIdMarker": marker.1.unwrap_or_default(),
            "MaxKeys": query.size,
            "EncodingType": query.encoding(),
            "IsTruncated": truncated,
            "NextKeyMarker": last.map(|(key, ..)| query.text(key)),
            "NextVersionIdMarker": last.map(|(_, version, _)| version["VersionId"].clone()),
            "@Version": kept,
            "@DeleteMarker": markers,
        }}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = ["a", "d/1", "d/2", "d/e/3", "f/4", "z"];

    fn whole(prefix: &str, delimiter: &str, size: usize) -> (Vec<String>, Vec<String>, usize) {
        let (mut keys, mut prefixes, mut after, mut pages) = (Vec::new(), Vec::new(), String::new(), 0);
        loop {
            let found = page(KEYS.into_iter(), prefix, delimiter, &after, size);
            pages += 1;
            keys.extend(found.keys);
            prefixes.extend(found.prefixes);
            match found.last {
                Some(last) => after = last,
                None => return (keys, prefixes, pages),
            }
        }
    }

    #[test]
    fn pages_join_whatever_their_size() {
        for size in 1..8 {
            assert_eq!(whole("", "", size).0, KEYS);
            let (keys, prefixes, _) = whole("", "/", size);
            assert_eq!(
                (keys, prefixes),
                (vec!["a".to_owned(), "z".to_owned()], vec!["d/".to_owned(), "f/".to_owned()])
            );
            let (keys, prefixes, _) = whole("d/", "/", size);
            assert_eq!((keys, prefixes), (vec!["d/1".to_owned(), "d/2".to_owned()], vec!["d/e/".to_owned()]));
        }
        assert_eq!(whole("", "", 2).2, 3);
    }
}
