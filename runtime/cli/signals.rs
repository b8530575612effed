//! Ctrl-C, SIGTERM and a closed terminal: once, calls in flight are finished and recorded; twice, the process ends at once
//! (the log copes).

use std::{
    io::Write,
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Whether a signal came.
static CAME: AtomicBool = AtomicBool::new(false);

/// Whether this process was told to stop.
pub fn came() -> bool {
    CAME.load(Ordering::SeqCst)
}

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
            CAME.store(true, Ordering::SeqCst);
            if flag.swap(true, Ordering::SeqCst) {
                exit(130);
            }
            cancel.cancel();
            // On a thread of its own: a terminal that does not take it must not keep the second signal from being seen.
            std::thread::spawn(|| {
                let words = "\nstopping: calls in flight are finished and recorded (again to stop at once)\n";
                let _ = std::io::stderr().write_all(words.as_bytes());
            });
        }
    });
    came
}
