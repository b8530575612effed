//! Uploads in parts.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::{NAMESPACE, bucket_of, invalid_argument, object, version};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome, Reply};
use crate::core::store::hex_digits;

const TABLE: &str = "/s3.upload";
const SMALLEST_PART_BYTES: u64 = 5 * 1024 * 1024;

/// `CreateMultipartUpload`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, _) = bucket_of(cx)?;
    let key = cx.p.or("Key", "").to_owned();
    let id = format!("{}{}", hex_digits(32), hex_digits(32));
    let doc = json!({
        "Bucket": bucket, "Key": key, "UploadId": id, "Initiated": cx.clock().iso_now(), "parts": {},
        "headers": object::kept_headers(cx.request), "tags": object::header_tags(cx.request),
    });
    cx.tx.put(TABLE, &id, doc);
    cx.xml(
        200,
        &json!({"InitiateMultipartUploadResult": {"$xmlns": NAMESPACE, "Bucket": bucket, "Key": key, "UploadId": id}}),
    )
}

fn upload_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (bucket, _) = bucket_of(cx)?;
    let id = cx.p.or("uploadId", "").to_owned();
    let found = cx.tx.get(TABLE, &id).filter(|u| u["Bucket"] == json!(bucket) && u["Key"] == json!(cx.p.or("Key", "")));
    let Some(doc) = found else {
        let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
        return Err(ApiError::new("NoSuchUpload", message).status(404).field("UploadId", id));
    };
    Ok((id, doc.clone()))
}

/// Numbers are padded so that parts sort.
fn part_name(number: u64) -> String {
    format!("{number:05}")
}

/// `UploadPart`.
pub fn part(cx: &mut Cx<'_>) -> Outcome {
    let (id, upload) = upload_of(cx)?;
    if cx.request.header("x-amz-copy-source").is_some() {
        let message = "A header you provided implies functionality that is not implemented";
        return Err(ApiError::new("NotImplemented", message).status(501));
    }
    let number = cx.p.opt("partNumber").and_then(|n| n.parse::<u64>().ok()).filter(|n| (1..=10_000).contains(n));
    let number =
        number.ok_or_else(|| invalid_argument("Part number must be an integer between 1 and 10000, inclusive"))?;
    object::check_sums(cx.request)?;
    let body = cx.request.body.clone();
    let etag = object::md5_hex(&body);
    let name = part_name(number);
    if let Some(old) = upload["parts"][&name]["_blob"].as_str() {
        cx.garbage.push(old.to_owned());
    }
    let part = json!({
        "PartNumber": number, "ETag": etag, "Size": body.len(), "LastModified": cx.clock().iso_now(), "_blob": cx.env.blobs.put(body)?,
    });
    cx.tx.update(TABLE, &id, |upload| upload["parts"][&name] = part);
    Ok(Reply::empty(200).with("etag", format!("\"{etag}\"")).with("x-amz-server-side-encryption", "AES256"))
}

/// The parts that a completion names, in order and as they were uploaded.
fn chosen_parts(cx: &Cx<'_>, upload: &Value) -> Result<Vec<Value>, ApiError> {
    let body = cx.xml_body()?;
    let named: Vec<Value> = match body.at("Part") {
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
        None => {
            let message = "The XML you provided was not well-formed or did not validate against our published schema";
            return Err(ApiError::new("MalformedXML", message));
        }
    };
    let mut chosen = Vec::new();
    let mut before = 0;
    for part in &named {
        let number = part["PartNumber"].as_str().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        if number <= before {
            let message = "The list of parts was not in ascending order. The parts list must be specified in order by part number.";
            return Err(ApiError::new("InvalidPartOrder", message));
        }
        before = number;
        let kept = &upload["parts"][part_name(number)];
        if kept.is_null() || json!(part["ETag"].as_str().unwrap_or_default().trim_matches('"')) != kept["ETag"] {
            let message = "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
            return Err(ApiError::new("InvalidPart", message).field("PartNumber", number));
        }
        chosen.push(kept.clone());
    }
    let all_but_last = &chosen[..chosen.len().saturating_sub(1)];
    if all_but_last.iter().any(|part| part["Size"].as_u64().unwrap_or(0) < SMALLEST_PART_BYTES) {
        return Err(ApiError::new("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"));
    }
    Ok(chosen)
}

/// `CompleteMultipartUpload`.
pub fn complete(cx: &mut Cx<'_>) -> Outcome {
    let (id, upload) = upload_of(cx)?;
    let (bucket, key) = (cx.p.or("Bucket", "").to_owned(), cx.p.or("Key", "").to_owned());
    let parts = chosen_parts(cx, &upload)?;
    object::check_write_conditions(cx, &bucket, &key)?;
    let (mut whole, mut sums) = (BytesMut::new(), Vec::new());
    for part in &parts {
        whole.extend_from_slice(&object::body_of(cx, part)?);
        let sum = part["ETag"].as_str().unwrap_or_default();
        sums.extend((0..sum.len() / 2).filter_map(|i| u8::from_str_radix(&sum[2 * i..2 * i + 2], 16).ok()));
    }
    let etag = format!("{}-{}", object::md5_hex(&sums), parts.len());
    let new = json!({
        "ETag": etag, "Size": whole.len(), "headers": upload["headers"], "tags": upload["tags"],
        "_blob": cx.env.blobs.put(whole.freeze())?,
    });
    let version = version::add(cx, &bucket, &key, new);
    forget(cx, &upload);
    cx.tx.delete(TABLE, &id);
    let location = format!("https://{bucket}.s3.{}.amazonaws.com/{key}", cx.region);
    let reply = cx.xml(
        200,
        &json!({"CompleteMultipartUploadResult": {
            "$xmlns": NAMESPACE, "Location": location, "Bucket": bucket, "Key": key, "ETag": format!("\"{etag}\""),
        }}),
    )?;
    Ok(match version {
        Some(id) => reply.with("x-amz-version-id", id),
        None => reply,
    })
}

/// Drops an upload with its parts.
pub fn forget(cx: &mut Cx<'_>, upload: &Value) {
    let blobs = upload["parts"].as_object().into_iter().flatten().filter_map(|(_, part)| part["_blob"].as_str());
    cx.garbage.extend(blobs.map(str::to_owned));
    cx.tx.delete(TABLE, upload["UploadId"].as_str().unwrap_or_default());
}

/// `AbortMultipartUpload`.
pub fn abort(cx: &mut Cx<'_>) -> Outcome {
    let (_, upload) = upload_of(cx)?;
    forget(cx, &upload);
    Ok(Reply::empty(204))
}

/// `ListParts`.
pub fn parts(cx: &mut Cx<'_>) -> Outcome {
    let (id, upload) = upload_of(cx)?;
    let after = cx.p.opt("part-number-marker").and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let size = cx.p.opt("max-parts").and_then(|n| n.parse::<usize>().ok()).unwrap_or(1000).min(1000);
    let rest: Vec<Value> = upload["parts"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, part)| part.clone())
        .filter(|part| part["PartNumber"].as_u64().is_some_and(|n| n > after))
        .collect();
    let mut rest = rest;
    rest.sort_by_key(|part| part["PartNumber"].as_u64());
    let truncated = rest.len() > size;
    rest.truncate(size);
    let next = rest.last().filter(|_| truncated).map(|part| part["PartNumber"].clone());
    for part in &mut rest {
        part["ETag"] = json!(format!("\"{}\"", part["ETag"].as_str().unwrap_or_default()));
    }
    cx.xml(200, &json!({"ListPartsResult": {
        "$xmlns": NAMESPACE, "Bucket": upload["Bucket"], "Key": upload["Key"], "UploadId": id, "PartNumberMarker": after,
        "NextPartNumberMarker": next, "MaxParts": size, "IsTruncated": truncated, "@Part": rest, "StorageClass": "STANDARD",
    }}))
}

/// `ListMultipartUploads`.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, _) = bucket_of(cx)?;
    let prefix = cx.p.or("prefix", "").to_owned();
    let mut found = cx
        .tx
        .select(TABLE, |u| u["Bucket"] == json!(bucket) && u["Key"].as_str().is_some_and(|k| k.starts_with(&prefix)));
    found.sort_by_key(|u| {
        (u["Key"].as_str().unwrap_or_default().to_owned(), u["Initiated"].as_str().unwrap_or_default().to_owned())
    });
    let uploads: Vec<Value> = found
        .iter()
        .map(|u| json!({"Key": u["Key"], "UploadId": u["UploadId"], "Initiated": u["Initiated"], "StorageClass": "STANDARD"}))
        .collect();
    cx.xml(200, &json!({"ListMultipartUploadsResult": {
        "$xmlns": NAMESPACE, "Bucket": bucket, "Prefix": prefix, "MaxUploads": 1000, "IsTruncated": false, "@Upload": uploads,
    }}))
}
