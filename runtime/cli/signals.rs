//! Ctrl-C, SIGTERM and a closed terminal: once, calls in flight are finished and recorded; twice, the process ends at once
//! (the log copes).

use std::{
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Cancels `cancel` at the first signal and exits with 130 at the second. The flag says whether one came.
pub fn watch(runtime: &Handle, cancel: CancellationToken) -> Arc<AtomicBool> {
    let came = Arc::new(AtomicBool::new(false));
    let flag = came.clone();
    runtime.spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else { return };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if flag.swap(true, Ordering::SeqCst) {
                exit(130);
            }
            eprintln!("\nstopping: calls in flight are finished and recorded (again to stop at once)");
            cancel.cancel();
        }
    });
    came
}
