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
    /// Every resource with its outputs; secrets stay hidden.
    Show {
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
            What::Show { json } => session.log.with(|state| {
                if json {
                    print(&show::resources(state).to_string());
                } else {
                    show::resource_lines(state).iter().for_each(|line| print(line));
                }
            }),
            What::History { json } => {
                let runs = session.log.history();
                if json {
                    print(&serde_json::to_string(&runs).map_err(|error| Error::failed(error.to_string()))?);
                } else {
                    show::history_lines(&runs).iter().for_each(|line| print(line));
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
        let stack = match &self.place.stack {
            Some(stack) => stack.clone(),
            None => only_stack(&self.place.state)?,
        };
        let place = Place { state: self.place.state.clone(), stack: Some(stack.clone()) };
        Ok(Session::open(&place, &stack)?)
    }
}

fn only_stack(state: &str) -> Result<String, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed("cannot start").because(error.to_string()))?;
    let place = state::Place::parse(state, &S3Access::from_env())?;
    let stacks = runtime.block_on(place.stacks())?;
    match stacks.as_slice() {
        [] => Err(Error::new(Class::Usage, format!("there is no stack in `{state}`"))
            .hint("run a playbook first, or name the place with `--state`")),
        [stack] => Ok(stack.clone()),
        many => Err(Error::new(Class::Usage, format!("`{state}` holds {} stacks: {}", many.len(), many.join(", ")))
            .hint(format!("{} --stack {}", command_line(), many[0]))),
    }
}

fn forget(session: &Session, address: &str, yes: bool) -> Outcome {
    let known: Vec<String> = session.log.with(|state| state.resources.keys().cloned().collect());
    if !known.iter().any(|it| it == address) {
        let near = known.iter().min_by_key(|it| strsim::damerau_levenshtein(it, address));
        let error = Error::usage(format!("stack `{}` holds no `{address}`", session.stack));
        return Err(match near {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        }
        .into());
    }
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
