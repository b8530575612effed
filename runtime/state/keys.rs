//! Secrets in the log: who may read them, and the encryption itself (`age`, X25519).

use crate::{
    error::{Class, Error, Result},
    secret,
    value::{SECRET_CLOSE, SECRET_OPEN, has_marked_secret},
};
use age::{
    secrecy::ExposeSecret,
    x25519::{Identity, Recipient},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Environment variable that names another identity file, for machines without a home.
pub const IDENTITY_VARIABLE: &str = "GITPOD_PLAY_IDENTITY";
const IDENTITY_FILE: &str = "identity.txt";
const RECIPIENTS_FILE: &str = "recipients.txt";
/// An encrypted string.
const TEXT_MARK: &str = "$age";
/// An encrypted map, where one of its keys is secret or begins like our own marks.
const MAP_MARK: &str = "$age_json";

/// Where the keys are, and what was encrypted with them so far. Cheap to clone. Nothing is made before the first secret is
/// encrypted.
///
/// The folder is `~/.config/gitpod-play`, not that of the state: whoever copies the state shall not get the key with it.
/// `identity.txt` there is what `age-keygen` writes; `recipients.txt`, when there is one, lists for whom the secrets of a
/// new stack are encrypted, one `age1…` a line. Later the log itself says for whom.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    identity_file: Option<PathBuf>,
    recipients_file: Option<PathBuf>,
    identities: Mutex<Option<Arc<Vec<Identity>>>>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    recipients: Vec<String>,
    /// Encrypting the same text twice would be slow, and would make records differ for nothing.
    sealed: HashMap<String, String>,
    opened: HashMap<String, String>,
}

impl Keys {
    /// The keys of this user: in `$GITPOD_PLAY_IDENTITY`, or in the user's configuration folder.
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = variable("XDG_CONFIG_HOME")
            .or_else(|| variable("HOME").or_else(|| variable("USERPROFILE")).map(|home| home.join(".config")))
            .map(|folder| folder.join("gitpod-play"));
        let identity = variable(IDENTITY_VARIABLE).or_else(|| folder.as_ref().map(|folder| folder.join(IDENTITY_FILE)));
        Self::new(identity, folder.map(|folder| folder.join(RECIPIENTS_FILE)))
    }

    /// The keys in `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Self::new(Some(folder.join(IDENTITY_FILE)), Some(folder.join(RECIPIENTS_FILE)))
    }

    fn new(identity_file: Option<PathBuf>, recipients_file: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            identity_file,
            recipients_file,
            identities: Mutex::new(None),
            cache: Mutex::new(Cache::default()),
        }))
    }

    /// For whom a new stack's secrets are encrypted: `recipients.txt`, or else this user. Makes the identity when there is
    /// none.
    pub fn default_recipients(&self) -> Result<Vec<String>> {
        if let Some(file) = &self.0.recipients_file {
            match fs::read_to_string(file) {
                Ok(text) => return parse_recipients(&text, file),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(file, &error)),
            }
        }
        Ok(self.identities(true)?.iter().map(|identity| identity.to_public().to_string()).collect())
    }

    /// Checks public keys, such as a user gives for a rotation.
    pub fn check_recipients(recipients: &[String]) -> Result<()> {
        if recipients.is_empty() {
            return Err(Error::usage("there must be at least one recipient").hint("give a public key, `age1…`"));
        }
        recipients.iter().try_for_each(|text| parse_recipient(text).map(drop))
    }

    /// `value` with every secret in it encrypted for `recipients`.
    pub fn seal(&self, value: &Value, recipients: &[String]) -> Result<Value> {
        Ok(match value {
            Value::String(text) if is_secret(text) => json!({ TEXT_MARK: self.seal_text(text, recipients)? }),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.seal(item, recipients)).collect::<Result<_>>()?)
            }
            Value::Object(map) if map.keys().any(|key| is_secret(key) || key.starts_with(TEXT_MARK)) => {
                json!({ MAP_MARK: self.seal_text(&value.to_string(), recipients)? })
            }
            Value::Object(map) => Value::Object(
                map.iter()
                    .map(|(key, item)| Ok((key.clone(), self.seal(item, recipients)?)))
                    .collect::<Result<Map<_, _>>>()?,
            ),
            other => other.clone(),
        })
    }

    /// The value that was sealed.
    pub fn open(&self, value: Value) -> Result<Value> {
        Ok(match value {
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.open(item)).collect::<Result<_>>()?),
            Value::Object(map) => {
                if map.len() == 1
                    && let Some(Value::String(sealed)) = map.get(TEXT_MARK)
                {
                    return self.open_text(sealed).map(Value::String);
                }
                if map.len() == 1
                    && let Some(Value::String(sealed)) = map.get(MAP_MARK)
                {
                    let text = self.open_text(sealed)?;
                    return serde_json::from_str(&text).map_err(|_| broken("it is no JSON"));
                }
                Value::Object(
                    map.into_iter().map(|(key, item)| Ok((key, self.open(item)?))).collect::<Result<Map<_, _>>>()?,
                )
            }
            other => other,
        })
    }

    /// Encrypts anew from here on, also what was encrypted for the same recipients.
    pub(super) fn forget_sealed(&self) {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner).sealed.clear();
    }

    fn seal_text(&self, text: &str, recipients: &[String]) -> Result<String> {
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.recipients != recipients {
            cache.recipients = recipients.to_vec();
            cache.sealed.clear();
        }
        if let Some(sealed) = cache.sealed.get(text) {
            return Ok(sealed.clone());
        }
        let parsed: Vec<Recipient> = recipients.iter().map(|one| parse_recipient(one)).collect::<Result<_>>()?;
        let failed = |why: String| Error::failed("cannot encrypt a secret").because(why);
        let encryptor = age::Encryptor::with_recipients(parsed.iter().map(|one| one as &dyn age::Recipient))
            .map_err(|error| failed(error.to_string()))?;
        let mut bytes = Vec::new();
        let mut writer = encryptor.wrap_output(&mut bytes).map_err(|error| failed(error.to_string()))?;
        writer.write_all(text.as_bytes()).and_then(|()| writer.finish()).map_err(|error| failed(error.to_string()))?;
        let sealed = STANDARD.encode(bytes);
        cache.sealed.insert(text.to_owned(), sealed.clone());
        cache.opened.insert(sealed.clone(), text.to_owned());
        Ok(sealed)
    }

    fn open_text(&self, sealed: &str) -> Result<String> {
        if let Some(text) = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner).opened.get(sealed) {
            return Ok(text.clone());
        }
        let bytes = STANDARD.decode(sealed).map_err(|_| broken("it is no base64"))?;
        let decryptor = age::Decryptor::new_buffered(bytes.as_slice()).map_err(|error| broken(&error.to_string()))?;
        let identities = self.identities(false)?;
        let mut reader =
            decryptor.decrypt(identities.iter().map(|identity| identity as &dyn age::Identity)).map_err(|error| {
                match error {
                    age::DecryptError::NoMatchingKeys => self.no_identity(identities.is_empty()),
                    other => broken(&other.to_string()),
                }
            })?;
        let mut text = String::new();
        reader.read_to_string(&mut text).map_err(|error| broken(&error.to_string()))?;
        remember_marked(&text);
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.opened.insert(sealed.to_owned(), text.clone());
        Ok(text)
    }

    fn no_identity(&self, none: bool) -> Error {
        let file =
            self.0.identity_file.as_ref().map_or_else(|| IDENTITY_FILE.to_owned(), |file| file.display().to_string());
        let message = if none {
            format!("the stack holds secrets, and there is no identity file `{file}` to read them with")
        } else {
            format!("the stack holds secrets that are encrypted for others: no identity in `{file}` fits")
        };
        Error::new(Class::Denied, message).hint(format!(
            "copy the identity file of the machine that made the stack to `{file}`, name it in `{IDENTITY_VARIABLE}`, \
             or have its owner run `gitpod-play state rotate` with your public key"
        ))
    }

    fn identities(&self, make: bool) -> Result<Arc<Vec<Identity>>> {
        let mut loaded = self.0.identities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identities) = loaded.as_ref() {
            return Ok(identities.clone());
        }
        let Some(file) = &self.0.identity_file else {
            return Err(Error::usage("there is no folder for the identity that encrypts secrets")
                .hint(format!("set `HOME`, or name an identity file in `{IDENTITY_VARIABLE}`")));
        };
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && make => make_identity(file)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Arc::new(Vec::new())),
            Err(error) => return Err(unreadable(file, &error)),
        };
        let identities: Vec<Identity> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                // The line itself is a key and must not reach the message.
                line.parse().map_err(|_| Error::usage(format!("`{}` holds a line that is no identity", file.display())))
            })
            .collect::<Result<_>>()?;
        if identities.is_empty() {
            return Err(Error::usage(format!("`{}` holds no identity", file.display()))
                .hint("put the identity back; without it the secrets of existing stacks cannot be read"));
        }
        let identities = Arc::new(identities);
        *loaded = Some(identities.clone());
        Ok(identities)
    }
}

/// Whether the text has to be encrypted: it is marked, or holds a secret that lost its mark.
fn is_secret(text: &str) -> bool {
    has_marked_secret(text) || secret::stands_in(text)
}

/// Whether anything in `value` has to be encrypted.
pub(super) fn needs_sealing(value: &Value) -> bool {
    match value {
        Value::String(text) => is_secret(text),
        Value::Array(items) => items.iter().any(needs_sealing),
        Value::Object(map) => {
            map.iter().any(|(key, item)| is_secret(key) || key.starts_with(TEXT_MARK) || needs_sealing(item))
        }
        _ => false,
    }
}

fn remember_marked(text: &str) {
    for part in text.split(SECRET_OPEN).skip(1) {
        secret::remember(part.split(SECRET_CLOSE).next().unwrap_or(part));
    }
}

fn parse_recipient(text: &str) -> Result<Recipient> {
    text.parse().map_err(|why: &str| {
        Error::usage(format!("`{text}` is no recipient"))
            .because(why)
            .hint("a recipient is a public key, `age1…`; `identity.txt` names its own in a comment")
    })
}

fn parse_recipients(text: &str, file: &Path) -> Result<Vec<String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let recipients: Vec<String> = lines.map(str::to_owned).collect();
    Keys::check_recipients(&recipients).map_err(|error| error.context(format!("cannot use `{}`", file.display())))?;
    Ok(recipients)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot read `{}`", file.display())).because(error.to_string())
}

fn broken(why: &str) -> Error {
    Error::failed("an encrypted value in the state is damaged").because(why)
}

/// Makes the identity file, unless another process does so at this moment: then its text.
fn make_identity(file: &Path) -> Result<String> {
    let identity = Identity::generate();
    let text = format!(
        "# This key reads the secrets of your gitpod-play stacks. Keep it, and keep it to yourself.\n# public key: {}\n{}\n",
        identity.to_public(),
        identity.to_string().expose_secret()
    );
    let failed =
        |error: &std::io::Error| Error::failed(format!("cannot make `{}`", file.display())).because(error.to_string());
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let draft = folder.join(format!(".{IDENTITY_FILE}-{:016x}", rand::random::<u64>()));
    let result = write_private(&draft, &text).and_then(|()| fs::hard_link(&draft, file));
    let _ = fs::remove_file(&draft);
    match result {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::read_to_string(file).map_err(|error| failed(&error))
        }
        Err(error) => Err(failed(&error)),
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn secrets_come_back_as_they_were_and_are_not_there_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::in_folder(folder.path());
        let recipients = keys.default_recipients().unwrap();
        let secret = Secret::new("very-secret-value-1");
        let value = json!({
            "plain": "x",
            "url": format!("mysql://u:{}@h", secret.marked()),
            "lost_its_mark": ["very-secret-value-1"],
            "map": { (secret.marked()): 1 },
            "like_ours": { "$age": "not encrypted" },
        });
        let sealed = keys.seal(&value, &recipients).unwrap();
        assert!(!sealed.to_string().contains("very-secret-value-1"));
        assert_eq!(sealed["plain"], "x");
        // Another process: no cache.
        assert_eq!(Keys::in_folder(folder.path()).open(sealed.clone()).unwrap(), value);
        assert_eq!(keys.seal(&value, &recipients).unwrap(), sealed);
    }

    #[cfg(unix)]
    #[test]
    fn the_identity_is_private_and_made_once() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let first = Keys::in_folder(folder.path()).default_recipients().unwrap();
        assert_eq!(Keys::in_folder(folder.path()).default_recipients().unwrap(), first);
        let file = folder.path().join(IDENTITY_FILE);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_and_a_wrong_identity_say_what_to_do() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let keys = Keys::in_folder(ours.path());
        let value = Value::String(Secret::new("another-secret-2").marked());
        let sealed = keys.seal(&value, &keys.default_recipients().unwrap()).unwrap();
        let other = Keys::in_folder(theirs.path());
        let missing = other.open(sealed.clone()).unwrap_err();
        assert!(missing.message.contains("there is no identity file"), "{missing}");
        assert!(!theirs.path().join(IDENTITY_FILE).exists());
        other.default_recipients().unwrap();
        let wrong = other.open(sealed).unwrap_err();
        assert!(wrong.message.contains("encrypted for others"), "{wrong}");
        assert_eq!(wrong.class, Class::Denied);
    }

    #[test]
    fn recipients_come_from_the_file_and_are_checked() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let them = Keys::in_folder(theirs.path());
        let public = them.default_recipients().unwrap();
        fs::write(ours.path().join(RECIPIENTS_FILE), format!("# the team\n{}\n", public[0])).unwrap();
        let keys = Keys::in_folder(ours.path());
        assert_eq!(keys.default_recipients().unwrap(), public);
        let value = Value::String(Secret::new("team-secret-3").marked());
        let sealed = keys.seal(&value, &public).unwrap();
        assert_eq!(them.open(sealed).unwrap(), value);
        fs::write(ours.path().join(RECIPIENTS_FILE), "age1nonsense\n").unwrap();
        assert!(keys.default_recipients().unwrap_err().message.contains(RECIPIENTS_FILE));
    }
}
