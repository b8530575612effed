//! How much memory this process holds. A script can hold many values, each within its limits; only the sum shows that.

use std::{
    fs::File,
    sync::{Mutex, OnceLock, PoisonError},
};

/// Bytes that are held in memory right now; `None` where the system has no `/proc`.
pub(super) fn resident_bytes() -> Option<usize> {
    static STATM: OnceLock<Option<(Mutex<File>, usize)>> = OnceLock::new();
    let (file, page) =
        STATM.get_or_init(|| Some((Mutex::new(File::open("/proc/self/statm").ok()?), page_bytes()?))).as_ref()?;
    let mut text = [0; 128];
    let file = file.lock().unwrap_or_else(PoisonError::into_inner);
    let read = read_from_start(&file, &mut text)?;
    let pages: usize = std::str::from_utf8(&text[..read]).ok()?.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(*page)
}

#[cfg(unix)]
fn read_from_start(file: &File, into: &mut [u8]) -> Option<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, 0).ok()
}

#[cfg(not(unix))]
fn read_from_start(_: &File, _: &mut [u8]) -> Option<usize> {
    None
}

/// The size of a page, from what the kernel tells each process at its start.
fn page_bytes() -> Option<usize> {
    const AT_PAGESZ: usize = 6;
    const WORD: usize = size_of::<usize>();
    let told = std::fs::read("/proc/self/auxv").ok()?;
    let word = |bytes: &[u8]| bytes.try_into().ok().map(usize::from_ne_bytes);
    told.chunks_exact(2 * WORD).find(|pair| word(&pair[..WORD]) == Some(AT_PAGESZ)).and_then(|pair| word(&pair[WORD..]))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_held_counts() {
        let Some(before) = super::resident_bytes() else { return };
        let held = vec![1_u8; 64 << 20];
        let after = super::resident_bytes().unwrap();
        assert!(after > before.saturating_sub(32 << 20) && held[1] == 1, "{before} {after}");
        assert!(before > 1 << 20, "{before}");
    }
}
