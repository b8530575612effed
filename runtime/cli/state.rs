//! `gitpod-play state …`.

use super::{
    Exit, Outcome, Refusal,
    ask::{Answer, ask},
    options::Place,
    print,
    run::command_line,
    session::Session,
};
use crate::{
    error::{Class, Error},
    report::ending::counted,
    state::{self, Event, S3Access, show},
};
use clap::{Args, Subcommand};
use std::io::IsTerminal;

/// Look at a stack's state: resources, outputs, runs.
#[derive(Args)]
pub struct State {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: StatePlace,
}

/// Where the state lies; the stack may be left out where there is one only.
#[derive(Debug, Clone, Args)]
struct StatePlace {
    /// Where state is kept: a folder or `s3://bucket/prefix`.
    #[arg(
        long,
        value_name = "URL",
        default_value = ".gitpod-play",
        env = "GITPOD_PLAY_STATE",
        hide_env_values = true,
        global = true
    )]
    state: String,
    /// Name of the stack; may be left out where there is one only.
    #[arg(long, value_name = "NAME", global = true)]
    stack: Option<String>,
}

#[derive(Subcommand)]
enum What {
    /// Every resource, by step; with an address its outputs, too. Secrets stay hidden.
    Show {
        /// Only this resource, with all its outputs: an address, or a part of some.
        #[arg(default_value = "", hide_default_value = true)]
        address: String,
        /// Show it as a JSON list of `{address, kind, name, step, outputs}`.
        #[arg(long)]
        json: bool,
    },
    /// Every run: when, who, what it did.
    History {
        /// Show it as a JSON list.
        #[arg(long)]
        json: bool,
    },
    /// Forget a resource: it stays in the cloud, and is no longer ours.
    Rm {
        /// Its address: `aws::ec2::vpc/gitpod`.
        address: String,
        /// Agree to what would be asked.
        #[arg(long, short)]
        yes: bool,
    },
    /// Show one secret in the clear, on a terminal only.
    Reveal {
        /// `ADDRESS`, or `ADDRESS.FIELD` where it has several.
        name: String,
    },
    /// Encrypt all secrets anew, for these recipients (`age1…`).
    Rotate {
        /// Who may read them from now on; without any, the owner of this machine's identity.
        recipients: Vec<String>,
    },
}

impl State {
    pub(super) fn carry_out(self) -> Outcome {
        let session = self.open()?;
        match self.what {
            What::Show { address, json } => show(&session, &address, json)?,
            What::History { json } => {
                let runs = session.log.history();
                if json {
                    print(&serde_json::to_string(&runs).map_err(|error| Error::failed(error.to_string()))?);
                } else {
                    print(&show::history_lines(&runs).join("\n"));
                }
            }
            What::Rm { address, yes } => return forget(&session, &address, yes),
            What::Reveal { name } => return reveal(&session, &name),
            What::Rotate { recipients } => {
                let runtime = &session.runtime;
                let lease = session.take()?;
                runtime.block_on(session.log.rotate(recipients))?;
                runtime.block_on(session.log.release(lease))?;
                print("all secrets are encrypted anew");
            }
        }
        Ok(Exit::Done)
    }

    fn open(&self) -> Result<Session, Refusal> {
        let stack = stack_of(&self.place)?;
        let place = Place { state: self.place.state.clone(), stack: Some(stack.clone()) };
        Ok(Session::open(&place, &stack)?)
    }
}

fn show(session: &Session, address: &str, json: bool) -> Result<(), Error> {
    session.log.with(|state| {
        if !address.is_empty() && show::named(state, address).is_empty() {
            return Err(unknown(session, state, address));
        }
        if json {
            print(&show::resources(state, address).to_string());
        } else if address.is_empty() {
            let lines = show::resource_lines(state);
            if !lines.is_empty() {
                print(&lines.join("\n"));
            }
            print(&format!("{} in stack `{}`", counted(state.resources.len(), "resource"), session.stack));
        } else {
            print(&show::detail_lines(state, address).join("\n"));
        }
        Ok(())
    })
}

fn unknown(session: &Session, state: &state::State, address: &str) -> Error {
    let near = state.resources.keys().min_by_key(|it| strsim::damerau_levenshtein(it, address));
    let error = Error::usage(format!("stack `{}` holds no `{address}`", session.stack));
    match near {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The stack that is named, or the only one there is.
fn stack_of(place: &StatePlace) -> Result<String, Error> {
    let state = place.state.as_str();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed("cannot start").because(error.to_string()))?;
    let stacks = runtime.block_on(state::Place::parse(state, &S3Access::from_env())?.stacks())?;
    if let Some(wanted) = &place.stack {
        if stacks.contains(wanted) {
            return Ok(wanted.clone());
        }
        let there =
            if stacks.is_empty() { "it holds none".to_owned() } else { format!("there is {}", stacks.join(", ")) };
        return Err(Error::usage(format!("there is no stack `{wanted}` in `{state}`")).hint(there));
    }
    match stacks.as_slice() {
        [] => Err(Error::new(Class::Usage, format!("there is no stack in `{state}`"))
            .hint("run a playbook first, or name the place with `--state`")),
        [stack] => Ok(stack.clone()),
        many => Err(Error::new(Class::Usage, format!("`{state}` holds {} stacks: {}", many.len(), many.join(", ")))
            .hint(format!("{} --stack {}", command_line(), many[0]))),
    }
}

fn forget(session: &Session, address: &str, yes: bool) -> Outcome {
    session.log.with(|state| {
        let is_known = state.resources.contains_key(address);
        if is_known { Ok(()) } else { Err(unknown(session, state, address)) }
    })?;
    let question = format!("forget `{address}`? it stays in the cloud, and nothing will delete it");
    match ask(&question, yes) {
        Answer::Yes => {}
        Answer::No => return Ok(Exit::Failed),
        Answer::Nobody => {
            return Err(Error::usage("there is nobody to ask").hint(format!("{} --yes", command_line())).into());
        }
    }
    let runtime = &session.runtime;
    let lease = session.take()?;
    runtime.block_on(session.log.append(vec![Event::Forgotten { address: address.to_owned() }]))?;
    runtime.block_on(session.log.release(lease))?;
    print(&format!("forgotten: {address}"));
    Ok(Exit::Done)
}

/// The one place that shows a secret: it must not end up in a file by a slip.
fn reveal(session: &Session, name: &str) -> Outcome {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    if !out.is_terminal() {
        return Err(Error::usage("a secret is shown on a terminal only").into());
    }
    let secret = session.log.with(|state| show::reveal(state, name))?;
    let _ = writeln!(out, "{secret}");
    Ok(Exit::Done)
}
