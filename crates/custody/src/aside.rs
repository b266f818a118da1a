//! Long work beside the async threads.
//!
//! Cryptography over octets of this size holds a thread for longer than others should wait for it; below it, handing
//! the work over costs more than doing it.

/// From how many octets on work is done aside.
const ASIDE: usize = 64 * 1024;

/// Does `work` on `octets` octets, aside where that is long. A panic of it is the caller's.
pub async fn aside<T: Send + 'static>(octets: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if octets < ASIDE {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
