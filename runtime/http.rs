//! Fetches files over HTTPS, through a cache in the stack's folder, and checks their digest.
//!
//! What was fetched once stays what it was: a later run reads the cache, whatever the server answers by then.

use crate::{
    cx::{Cx, Telling},
    error::{Class, Error, Result},
};
use sha2::{Digest as _, Sha256};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};
use url::Url;

/// Seconds until a connection must stand.
const CONNECT_TIMEOUT_S: u64 = 10;
/// Seconds until the whole file must be there.
const FETCH_TIMEOUT_S: u64 = 120;
/// The largest file that is taken.
const LARGEST_BYTES: usize = 10 * 1024 * 1024;
/// How often a server is asked that does not answer, or answers 429 or 5xx.
const ATTEMPTS: u32 = 4;
/// Redirects that are followed.
const REDIRECTS: usize = 10;
/// Entry of the run's endpoints: where the simulated clouds serve stand-ins for files of the internet.
pub const STAND_INS: &str = "manifests";

/// A file that was fetched.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its content.
    pub content: Vec<u8>,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
    /// Whether it is the sandbox's stand-in and not the file itself.
    pub stand_in: bool,
}

/// SHA-256 of `content`, in hex.
pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// Makes `ring` the process's provider of cryptography, once; every TLS client of ours asks for the process's provider.
pub fn ensure_crypto() {
    // An error only says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The file at `url` (`https://…`, or a path relative to the playbook). With `expected`, its SHA-256 must be that.
///
/// Where the run has an endpoint called `manifests` (the sandbox), that one is asked for a stand-in, and `expected` is not
/// compared, which is said.
///
/// # Errors
/// [`Class::Usage`] for an address that is none, [`Class::Invalid`] for another digest than expected or a file over 10 MiB,
/// [`Class::NotFound`] where the server says so, [`Class::Passing`] when it could not be reached.
pub async fn fetch(cx: &Cx, url: &str, expected: Option<&str>) -> Result<Fetched> {
    let expected = expected.map(checked_digest).transpose()?;
    if is_local(url) {
        return read_local(cx, url).and_then(|content| verified(url, content, expected.as_deref()));
    }
    let address = checked_url(url, expected.is_some())?;
    if let Some(base) = cx.run.endpoints.get(STAND_INS) {
        return stand_in(cx, base, url, expected.is_some()).await;
    }
    let leash = Leash { built_in: cx.run.allowed.urls.contains(url), digest_given: expected.is_some() };
    leash.check(cx, &address)?;
    let kept = cached_at(cx, url);
    if let Ok(content) = std::fs::read(&kept) {
        // A damaged or outdated file in the cache is no reason to fail: the server has another one.
        if let Ok(fetched) = verified(url, content, expected.as_deref()) {
            return Ok(fetched);
        }
    }
    let fetched = verified(url, download(cx, &address, &leash).await?, expected.as_deref())?;
    if expected.is_none() {
        let text = format!("`{url}` has sha256 `{}`: set it to be sure of the content", fetched.sha256);
        cx.tell(Telling::Note(&text));
    }
    // A plan writes nothing, not even here; and a run without a cache is slower, not wrong.
    if !cx.planning() {
        let _ = keep(&kept, &fetched.content);
    }
    Ok(fetched)
}

async fn stand_in(cx: &Cx, base: &str, url: &str, digest_given: bool) -> Result<Fetched> {
    let mut address = Url::parse(&format!("{}/manifest", base.trim_end_matches('/')))
        .map_err(|mistake| Error::usage(format!("endpoint `{STAND_INS}` is no URL")).because(mistake.to_string()))?;
    address.query_pairs_mut().append_pair("url", url);
    // The clouds' own address.
    let content = download(cx, &address, &Leash { built_in: true, digest_given }).await.map_err(|error| {
        error
            .context(format!("the sandbox has no stand-in for `{url}`"))
            .hint("put a file of your own beside the playbook and give its path in place of the URL")
    })?;
    let digest = if digest_given { ", whose sha256 is not compared" } else { "" };
    cx.tell(Telling::Note(&format!("the sandbox answers with a stand-in for `{url}`{digest}")));
    Ok(Fetched { sha256: sha256(&content), content, stand_in: true })
}

fn checked_digest(text: &str) -> Result<String> {
    let digest = text.trim().trim_start_matches("sha256:").to_ascii_lowercase();
    if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digest);
    }
    Err(Error::usage(format!("`{text}` is no sha256: 64 hexadecimal digits are")))
}

fn checked_url(url: &str, digest_given: bool) -> Result<Url> {
    let address =
        Url::parse(url).map_err(|mistake| Error::usage(format!("`{url}` is no URL")).because(mistake.to_string()))?;
    let here = matches!(address.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match address.scheme() {
        "https" => Ok(address),
        "http" if digest_given || here => Ok(address),
        "http" => {
            Err(Error::usage(format!("`{url}` can be changed on its way")).hint("use `https://`, or give its `sha256`"))
        }
        other => Err(Error::usage(format!("`{url}`: the scheme `{other}` is not supported")).hint("use `https://`")),
    }
}

fn verified(url: &str, content: Vec<u8>, expected: Option<&str>) -> Result<Fetched> {
    let sha256 = sha256(&content);
    if let Some(expected) = expected
        && expected != sha256
    {
        return Err(Error::new(Class::Invalid, format!("`{url}` is not the file that the playbook expects"))
            .because(format!("its sha256 is `{sha256}`, expected is `{expected}`"))
            .code("DigestMismatch")
            .hint("look at what changed in the file; if it is right, set the new sha256"));
    }
    Ok(Fetched { content, sha256, stand_in: false })
}

/// How far an address may lead.
struct Leash {
    /// A script of the program itself names it: it is trusted, and so is where it leads.
    built_in: bool,
    digest_given: bool,
}

impl Leash {
    /// Whether `address` may be asked, the first one and each that a redirect leads to.
    fn check(&self, cx: &Cx, address: &Url) -> Result<()> {
        if self.built_in {
            Ok(())
        } else {
            cx.run.allowed.check_net(address.host_str().unwrap_or_default(), address.port())
        }
    }

    /// Where `from` redirects to.
    fn followed(&self, cx: &Cx, from: &Url, to: &str) -> Result<Url> {
        let next = from.join(to).map_err(|mistake| {
            Error::new(Class::Invalid, format!("`{from}` redirects to what is no URL")).because(mistake.to_string())
        })?;
        let next = checked_url(next.as_str(), self.digest_given)?;
        self.check(cx, &next).map_err(|error| error.because(format!("`{from}` redirects to it")))?;
        Ok(next)
    }
}

/// Whether `url` is the path of a file.
pub fn is_local(url: &str) -> bool {
    !url.contains("://")
}

/// A file in the playbook's folder or below, or in one that is allowed.
fn read_local(cx: &Cx, path: &str) -> Result<Vec<u8>> {
    let real = cx.run.allowed.check_read(&cx.run.playbook_folder, path)?;
    let wrong = |why: String| Error::usage(format!("cannot read `{path}`")).because(why);
    let file = std::fs::File::open(&real).map_err(|mistake| wrong(mistake.to_string()))?;
    if !file.metadata().is_ok_and(|about| about.is_file()) {
        return Err(wrong("it is no regular file".to_owned()));
    }
    let mut content = Vec::new();
    let taken = file.take(LARGEST_BYTES as u64 + 1).read_to_end(&mut content);
    taken.map_err(|mistake| wrong(mistake.to_string()))?;
    if content.len() > LARGEST_BYTES { Err(wrong("it is larger than 10 MiB".to_owned())) } else { Ok(content) }
}

fn cached_at(cx: &Cx, url: &str) -> PathBuf {
    cx.run.folder.join("cache").join(sha256(url.as_bytes()))
}

/// Written beside and renamed, so that a cut-off file is never found under its name.
pub fn keep(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&unfinished, content)?;
    std::fs::rename(&unfinished, path)
}

async fn download(cx: &Cx, address: &Url, leash: &Leash) -> Result<Vec<u8>> {
    let client = client()?;
    let mut address = address.clone();
    for _ in 0..=REDIRECTS {
        match patiently(cx, &client, &address).await? {
            Answer::Content(content) => return Ok(content),
            Answer::Moved(to) => address = leash.followed(cx, &address, &to)?,
        }
    }
    Err(Error::new(Class::Invalid, format!("`{address}` redirects more than {REDIRECTS} times")))
}

/// What a server answers.
enum Answer {
    Content(Vec<u8>),
    Moved(String),
}

async fn patiently(cx: &Cx, client: &reqwest::Client, address: &Url) -> Result<Answer> {
    for attempt in 1..=ATTEMPTS {
        match get(cx, client, address).await {
            Err(error) if error.class == Class::Passing && attempt < ATTEMPTS => {
                cx.say(&format!("{error}; trying again"));
                cx.sleep(Duration::from_secs(1 << attempt)).await?;
            }
            other => return other,
        }
    }
    Err(Error::new(Class::Passing, format!("cannot fetch `{address}`")))
}

fn client() -> Result<reqwest::Client> {
    ensure_crypto();
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S))
        .timeout(Duration::from_secs(FETCH_TIMEOUT_S))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("gitpod-play/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|mistake| Error::failed("cannot set up an HTTPS client").because(chain(&mistake)))
}

async fn get(cx: &Cx, client: &reqwest::Client, address: &Url) -> Result<Answer> {
    let ticket = cx.run.wire.begin("http", &format!("GET {}", address.host_str().unwrap_or_default()), false)?;
    let unreached = |mistake: &reqwest::Error| {
        Error::new(Class::Passing, format!("cannot fetch `{address}`")).because(chain(mistake))
    };
    let mut response = match client.get(address.clone()).send().await {
        Ok(response) => response,
        Err(mistake) => {
            ticket.answered("no reply");
            return Err(unreached(&mistake));
        }
    };
    let status = response.status();
    ticket.answered(status.as_str());
    if status.is_redirection()
        && let Some(to) = response.headers().get(http::header::LOCATION).and_then(|to| to.to_str().ok())
    {
        return Ok(Answer::Moved(to.to_owned()));
    }
    if !status.is_success() {
        let class = match status.as_u16() {
            404 | 410 => Class::NotFound,
            401 | 403 => Class::Denied,
            429 | 500..=599 => Class::Passing,
            _ => Class::Invalid,
        };
        return Err(
            Error::new(class, format!("cannot fetch `{address}`")).because(format!("the server answered {status}"))
        );
    }
    let mut content = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|mistake| unreached(&mistake))? {
        content.extend_from_slice(&piece);
        if content.len() > LARGEST_BYTES {
            return Err(Error::new(Class::Invalid, format!("`{address}` is larger than 10 MiB")));
        }
    }
    Ok(Answer::Content(content))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        next = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_content_than_expected_names_both_digests() {
        let (is, expected) = (sha256(b"a: 1\n"), sha256(b"a: 2\n"));
        let error = verified("https://x.test/a.yaml", b"a: 1\n".to_vec(), Some(&expected)).err().unwrap();
        let cause = error.cause.unwrap();
        assert!(cause.contains(&is) && cause.contains(&expected), "{cause}");
        assert!(verified("https://x.test/a.yaml", b"a: 2\n".to_vec(), Some(&expected)).is_ok());
    }

    #[test]
    fn addresses_that_can_be_changed_on_the_way_need_a_digest() {
        assert!(checked_url("https://x.test/a", false).is_ok());
        assert!(checked_url("http://x.test/a", false).is_err());
        assert!(checked_url("http://x.test/a", true).is_ok());
        assert!(checked_url("ftp://x.test/a", true).is_err());
        assert!(checked_digest("abc").is_err());
        assert_eq!(checked_digest(&format!("sha256:{}", "AB".repeat(32))).unwrap(), "ab".repeat(32));
    }
}
