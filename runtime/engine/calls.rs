//! Bindings that are no resource: look-ups, waits, actions, composites.

use super::{
    Engine, asked_by,
    planned::{Planned, Verdict},
    retry::{Policy, is_ambiguous, retried},
    settle::poll_interval,
};
use crate::{
    bind::{AnyAction, AnyComposite, AnyLookup, AnyWait, Binding, Polled, Todo},
    cx::Cx,
    error::{Class, Error, Result},
    state::Event,
    value::{has_unknown, revealed, unknown},
};
use futures::future::try_join_all;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

impl Engine {
    pub(super) async fn look(&self, step: &str, name: &str, lookup: &dyn AnyLookup, args: &Value) -> Result<Value> {
        lookup.check(args).map_err(|mistake| bad_arguments(name, &mistake))?;
        let cx = self.cx(step, "");
        lookup.may(&cx, args)?;
        if has_unknown(args) {
            return Ok(unknown(name));
        }
        self.note_look(step, args);
        let found = asked_by(&cx, retried(&cx, Policy::CALL, || lookup.look(&cx, args))).await;
        found.map_err(|error| error.named(|| format!("`{name}` gets no answer")))
    }

    pub(super) async fn wait(&self, step: &str, name: &str, wait: &dyn AnyWait, args: &Value) -> Result<Value> {
        wait.check(args).map_err(|mistake| bad_arguments(name, &mistake))?;
        if has_unknown(args) {
            return Ok(unknown(name));
        }
        self.note_look(step, args);
        let cx = self.cx(step, "");
        asked_by(&cx, async {
            let (poll_s, default_s) = wait.pace_s();
            let timeout_s = args.get("timeout_s").and_then(Value::as_u64).unwrap_or(default_s);
            let deadline = cx.run.pace.scaled(Duration::from_secs(timeout_s)).max(Duration::from_secs(20));
            let began = Instant::now();
            loop {
                let why = match retried(&cx, Policy::CALL, || wait.poll(&cx, args)).await {
                    Ok(Polled::Ready(output)) => return Ok(output),
                    Ok(Polled::Pending(why)) => why,
                    // What a plan would create is not there yet.
                    Err(error) if cx.planning() && error.is_not_found() => return Ok(unknown(name)),
                    Err(error) => return Err(error),
                };
                if cx.planning() {
                    return Ok(unknown(name));
                }
                if began.elapsed() > deadline {
                    let reason = wait.explain(&cx, args).await.unwrap_or(why);
                    return Err(Error::new(Class::TimedOut, format!("`{name}` waited {timeout_s} s in vain"))
                        .because(reason)
                        .hint("repair the cause, then run the same command again"));
                }
                cx.say(&format!("waiting: {why}"));
                cx.sleep(poll_interval(poll_s, began.elapsed(), &cx)).await?;
            }
        })
        .await
    }

    pub(super) async fn act(&self, step: &str, name: &str, action: &dyn AnyAction, args: &Value) -> Result<Value> {
        action.check(args).map_err(|mistake| bad_arguments(name, &mistake))?;
        let planned = |note: String| Planned {
            address: name.to_owned(),
            step: step.to_owned(),
            verdict: Verdict::Do,
            changes: Vec::new(),
            note: Some(note),
            needs_allow_delete: Vec::new(),
        };
        if has_unknown(args) {
            self.note_planned(planned("with values that are not known until run".to_owned()));
            return Ok(unknown(name));
        }
        // The digest stands for the arguments in the log, so that no secret gets there.
        let key = hex::encode(&Sha256::digest(revealed(args).to_string())[..12]);
        if action.once()
            && let Some(outputs) =
                self.log.with(|state| state.action(step, name, &key).map(|done| done.outputs.clone()))
        {
            return Ok(outputs);
        }
        let cx = self.cx(step, "");
        asked_by(&cx, async {
            let what = match retried(&cx, Policy::CALL, || action.pending(&cx, args)).await {
                Ok(Todo::Done(outputs)) => return Ok(outputs),
                Ok(Todo::Needed(what)) => what,
                Err(error) if cx.planning() && error.is_not_found() => "on what is not there yet".to_owned(),
                Err(error) => return Err(error),
            };
            if cx.planning() {
                self.note_planned(planned(what));
                return Ok(unknown(name));
            }
            self.stop_if_cancelled()?;
            cx.say(&what);
            let doubt = AtomicBool::new(false);
            let outputs = retried(&cx, Policy::FRESH, || perform_once(&doubt, &cx, action, args))
                .await
                .map_err(|error| error.context(format!("cannot {what}")))?;
            self.record(vec![Event::ActionDone {
                step: step.to_owned(),
                binding: name.to_owned(),
                key: key.clone(),
                outputs: outputs.clone(),
            }])
            .await?;
            self.note_changed(step, &what, Verdict::Do);
            Ok(outputs)
        })
        .await
    }

    pub(super) async fn expand(&self, step: &str, composite: &dyn AnyComposite, args: &Value) -> Result<Value> {
        composite.check(args).map_err(|mistake| bad_arguments("composite", &mistake))?;
        let cx = self.cx(step, "");
        let phases = asked_by(&cx, retried(&cx, Policy::CALL, || composite.expand(&cx, args))).await?;
        let mut outputs = Vec::new();
        for phase in phases {
            let parts = phase.into_iter().map(|part| async move {
                match self.registry.get(part.kind).map(|entry| entry.binding.clone()) {
                    Some(Binding::Resource(kind)) => self.declare(step, kind, part.args).await,
                    _ => Err(Error::failed(format!("`{}` is no kind of resource", part.kind))),
                }
            });
            outputs.extend(try_join_all(parts).await?);
        }
        Ok(Value::Array(outputs))
    }
}

/// Does it, unless an earlier try whose reply was lost did it already.
async fn perform_once(doubt: &AtomicBool, cx: &Cx, action: &dyn AnyAction, args: &Value) -> Result<Value> {
    if doubt.load(Ordering::Relaxed)
        && let Todo::Done(outputs) = action.pending(cx, args).await?
    {
        return Ok(outputs);
    }
    let done = action.perform(cx, args).await;
    doubt.fetch_or(done.as_ref().is_err_and(is_ambiguous), Ordering::Relaxed);
    done
}

fn bad_arguments(name: &str, mistake: &crate::bind::ArgumentError) -> Error {
    let place = if mistake.path.is_empty() { String::new() } else { format!(" at `{}`", mistake.path) };
    Error::usage(format!("bad arguments of `{name}`{place}: {}", mistake.message))
}
