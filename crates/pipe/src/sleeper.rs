//! A thread that sleeps while there is nothing to do, and those who wake it.

use crate::sync::{AtomicBool, OnceLock, Ordering, Thread, fence, thread};

/// A thread that can be woken.
#[derive(Debug, Default)]
pub(crate) struct Sleeper {
    thread: OnceLock<Thread>,
    /// Somebody wants the thread to look, and it has not slept since. The token of `unpark` alone would not
    /// do: the thread may use it up by waiting for something else.
    pub(crate) woken: AtomicBool,
}

impl Sleeper {
    /// Makes the calling thread the one to wake. What was done by others before they saw it is seen after.
    pub(crate) fn attach(&self) {
        self.thread.get_or_init(thread::current);
        // Pairs with the fence in `wake`: either the waker sees the thread, or we see what it did.
        fence(Ordering::SeqCst);
    }

    /// Wakes the thread, or makes its next sleep return at once. A system call only if it sleeps.
    pub(crate) fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
