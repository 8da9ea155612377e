//! Atomics and threads: the standard library's, or under `cfg(loom)` those that loom can run in every order.

#[cfg(not(loom))]
pub(crate) use std::sync::OnceLock;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::thread::{self, Thread};

#[cfg(loom)]
pub(crate) use {
    loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence},
    model::{OnceLock, Thread, thread},
};

/// What loom lacks, or has with other orderings than the standard library.
#[cfg(loom)]
mod model {
    use std::sync::Arc;

    use loom::cell::Cell;
    use loom::sync::atomic::{AtomicBool, Ordering};

    /// As in the standard library: whoever sees that the value is there sees the value. Only one thread may
    /// set it, which is all that a pipe asks for.
    #[derive(Debug, Default)]
    pub(crate) struct OnceLock<T> {
        /// Stands for the value's memory: loom sees who touches it without being ordered after the writing.
        written: Cell<()>,
        value: std::sync::OnceLock<T>,
        is_set: AtomicBool,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn get(&self) -> Option<&T> {
            if !self.is_set.load(Ordering::Acquire) {
                return None;
            }
            self.written.get();
            self.value.get()
        }

        /// The one thread that sets it knows without a load whether it did. A load here would hide others' from
        /// loom, which remembers one access before a store.
        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) {
            if self.value.get().is_none() {
                self.written.set(());
                self.value.get_or_init(make);
                self.is_set.store(true, Ordering::Release);
            }
        }
    }

    /// As in the standard library: `unpark` leaves a token (a release), `park` waits for it and takes it (an
    /// acquire). loom's own lets the thread see what its waker did even while it does not park, which would
    /// hide mistakes. A thread that waits for ever is found because its model does not end.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Thread(Arc<AtomicBool>);

    impl Thread {
        pub(crate) fn unpark(&self) {
            self.0.swap(true, Ordering::Release);
        }
    }

    pub(crate) mod thread {
        use std::time::Duration;

        use super::{Ordering, Thread};

        loom::thread_local! {
            static OWN: Thread = Thread::default();
        }

        pub(crate) fn current() -> Thread {
            OWN.with(Thread::clone)
        }

        pub(crate) fn park() {
            let own = current();
            while !own.0.swap(false, Ordering::Acquire) {
                loom::thread::yield_now();
            }
        }

        /// The time is never over: nothing may depend on it.
        pub(crate) fn park_timeout(_: Duration) {
            park();
        }
    }
}
