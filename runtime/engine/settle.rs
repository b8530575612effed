//! Reading an object, and waiting until it can be used.

use super::retry::{CONSISTENCY_WINDOW, Policy, retried};
use crate::{
    bind::{AnyResource, Readiness},
    cx::Cx,
    error::{Class, Error, Result},
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Reads with retries; `NotFound` is an answer.
pub(super) async fn read(cx: &Cx, kind: &dyn AnyResource, last: &Value, policy: Policy) -> Result<Option<Value>> {
    retried(cx, policy, || async {
        match kind.read(cx, last).await {
            Err(error) if error.is_not_found() => Ok(None),
            other => other,
        }
    })
    .await
}

/// Waits until `observed` can be used, reading it again and again.
pub(super) async fn settled(cx: &Cx, kind: &dyn AnyResource, mut observed: Value, fresh: bool) -> Result<Value> {
    let meta = kind.meta();
    let began = Instant::now();
    let deadline = cx.run.pace.scaled(Duration::from_secs(meta.timeout_s)).max(Duration::from_secs(20));
    let invisible_until = cx.run.pace.scaled(CONSISTENCY_WINDOW).max(Duration::from_secs(2));
    loop {
        let why = match kind.readiness(&observed)? {
            Readiness::Ready => return Ok(observed),
            Readiness::Broken(why) => {
                return Err(Error::failed(format!("`{}` failed", cx.address)).because(why).hint(
                    "repair the cause, then run the same command again: it is deleted and made again unless it worked before",
                ));
            }
            Readiness::Pending(why) => why,
        };
        if began.elapsed() > deadline {
            return Err(Error::new(
                Class::TimedOut,
                format!("`{}` was not ready after {} s", cx.address, meta.timeout_s),
            )
            .because(why)
            .hint("run the same command again: it goes on waiting where it stopped"));
        }
        cx.say(&format!("waiting: {why}"));
        cx.sleep(poll_interval(meta.poll_s, began.elapsed(), cx)).await?;
        match read(cx, kind, &observed, Policy::CALL).await? {
            Some(again) => observed = again,
            None if fresh && began.elapsed() < invisible_until => {}
            None => return Err(Error::failed(format!("`{}` went away while it was waited for", cx.address))),
        }
    }
}

/// The first looks come sooner: much is ready at once.
pub(super) fn poll_interval(poll_s: u64, waited: Duration, cx: &Cx) -> Duration {
    let full = Duration::from_secs(poll_s);
    if waited < cx.run.pace.scaled(full) { full / 4 } else { full }
}
