//! Whether a command goes where its stack stands, and as whom: asked before anything else is.

use super::{
    Refusal,
    clouds::Clouds,
    options::{Manner, Reach},
    run::command_line,
    session::{Session, Wanted},
};
use crate::{
    cx::Mode,
    error::{Class, Error, pasteable},
    printable::tame,
    report::Silent,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::PathBuf,
    sync::Arc,
};

const IDENTITY: &str = "aws::sts::identity";
/// Names of what the log keeps of it, among the targets.
pub(super) const TARGET: &str = "target";
pub(super) const ACCOUNT: &str = "account";

/// Ends the command where it would look for the stack in other clouds than those it stands on: everything would count as
/// deleted by someone else. Gives the account, where it was asked for; on live clouds it is shown.
pub(super) fn same_clouds(
    session: &Session,
    clouds: &Clouds,
    reach: &Reach,
    targets: &BTreeMap<String, Value>,
) -> Result<Option<String>, Refusal> {
    let (holds, recorded) = session.log.with(|state| (!state.resources.is_empty(), state.targets.clone()));
    if holds && let Some(there) = recorded[TARGET].as_str() {
        same_target(session, clouds, there)?;
    }
    let wanted = targets.get("aws").and_then(|aws| aws["account"].as_str()).filter(|account| !account.is_empty());
    let asks = wanted.is_some() || (clouds.is_live() && targets.contains_key("aws"));
    if !asks || session.registry.get(IDENTITY).is_none() {
        return Ok(recorded[ACCOUNT].as_str().filter(|_| holds).map(str::to_owned));
    }
    let me = identity(session, clouds, reach, targets.clone())?;
    let text = |field: &str| me[field].as_str().unwrap_or_default().to_owned();
    if clouds.is_live() {
        let line = format!("account {} as {} in {}", text("account"), text("arn"), text("region"));
        let _ = writeln!(std::io::stderr().lock(), "{}", tame(&line));
    }
    let account = text("account");
    if let Some(wanted) = wanted.filter(|wanted| *wanted != account) {
        let error = Error::failed(format!("these credentials are of account {account}, the playbook names {wanted}"));
        return Err(error.hint("use credentials of that account, or name this one in the settings").into());
    }
    if let Some(former) = recorded[ACCOUNT].as_str().filter(|former| holds && *former != account) {
        let message =
            format!("stack `{}` stands in account {former}, and these credentials are of {account}", session.stack);
        return Err(Error::failed(message).hint("use credentials of that account").into());
    }
    Ok(Some(account))
}

fn same_target(session: &Session, clouds: &Clouds, there: &str) -> Result<(), Error> {
    // Addresses of emulators change from run to run.
    let sort = |target: &str| if target.starts_with("at ") { "at".to_owned() } else { target.to_owned() };
    if sort(there) == sort(&clouds.target) {
        return Ok(());
    }
    let shown = |target: &str| match target {
        "live" => "the live clouds".to_owned(),
        "sandbox" => "the simulated clouds".to_owned(),
        other => format!("the clouds {other}"),
    };
    let message = format!(
        "stack `{}` stands on {}, and this command goes to {}",
        session.stack,
        shown(there),
        shown(&clouds.target)
    );
    let hint = match (there, there.strip_prefix("at ")) {
        ("live", _) => format!("{} --target live", command_line()),
        (_, Some(address)) => format!("{} --endpoint aws={address}", command_line()),
        _ => format!(
            "give it a name of its own there: {} --stack {}",
            command_line(),
            pasteable(&format!("{}-live", session.stack))
        ),
    };
    Err(Error::new(Class::Usage, message).hint(hint))
}

/// Whose credentials these are.
fn identity(
    session: &Session,
    clouds: &Clouds,
    reach: &Reach,
    targets: BTreeMap<String, Value>,
) -> Result<Value, Error> {
    let manner = Manner { json: false, yes: false, allow_delete: Vec::new() };
    let engine = session.engine(Wanted {
        mode: Mode::Plan,
        looking: false,
        reach,
        manner: &manner,
        clouds,
        targets,
        playbook_folder: PathBuf::from("."),
        allow_read: &[],
        protected_steps: BTreeSet::new(),
        reporter: Arc::new(Silent),
    })?;
    session.runtime.block_on(engine.call("", IDENTITY, json!({})))
}
