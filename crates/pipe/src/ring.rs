//! A bounded ring of one writer and one reader: ringbuf's, or under `cfg(loom)` its model.

#[cfg(not(loom))]
pub(crate) use real::{Receiver, Sender, ring};

#[cfg(loom)]
pub(crate) use model::{Receiver, Sender, ring};

#[cfg(not(loom))]
mod real {
    use ringbuf::traits::{Consumer, Observer, Producer, Split};
    use ringbuf::{HeapCons, HeapProd, HeapRb};

    /// Makes a ring that holds so many things.
    pub(crate) fn ring<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = HeapRb::new(capacity).split();
        (Sender(sender), Receiver(receiver))
    }

    /// Where things go in.
    pub(crate) struct Sender<T>(HeapProd<T>);

    impl<T> Sender<T> {
        /// Gives the thing back if there is no room.
        pub(crate) fn try_push(&mut self, thing: T) -> Result<(), T> {
            self.0.try_push(thing)
        }
    }

    /// Where things come out.
    pub(crate) struct Receiver<T>(HeapCons<T>);

    impl<T> Receiver<T> {
        /// The thing that has been in the ring for the longest time.
        pub(crate) fn try_pop(&mut self) -> Option<T> {
            self.0.try_pop()
        }

        /// Whether there is nothing to take out, as far as this thread can know.
        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }
}

/// The ring of ringbuf 0.6 (`SharedRb` between `CachingProd` and `CachingCons`), which loom cannot look into,
/// with the same atomics and orderings: each end stores its index with Release; it loads the other's with
/// Acquire, and only when by what it saw last the ring is full or empty, or when it is asked `is_empty`.
#[cfg(loom)]
mod model {
    use std::sync::Arc;

    use loom::cell::Cell;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    struct Ring<T> {
        slots: Vec<Cell<Option<T>>>,
        /// How many things were ever put in, and taken out.
        written: AtomicUsize,
        read: AtomicUsize,
    }

    impl<T> Ring<T> {
        fn slot(&self, index: usize) -> &Cell<Option<T>> {
            &self.slots[index % self.slots.len()]
        }
    }

    pub(crate) fn ring<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        let slots = (0..capacity).map(|_| Cell::new(None)).collect();
        let ring = Arc::new(Ring { slots, written: AtomicUsize::new(0), read: AtomicUsize::new(0) });
        (
            Sender { ring: Arc::clone(&ring), written: 0, read: 0 },
            Receiver { ring, written: 0.into(), read: 0 },
        )
    }

    pub(crate) struct Sender<T> {
        ring: Arc<Ring<T>>,
        written: usize,
        /// As last seen.
        read: usize,
    }

    impl<T> Sender<T> {
        fn is_full(&self) -> bool {
            self.written - self.read == self.ring.slots.len()
        }

        pub(crate) fn try_push(&mut self, thing: T) -> Result<(), T> {
            if self.is_full() {
                self.read = self.ring.read.load(Ordering::Acquire);
            }
            if self.is_full() {
                return Err(thing);
            }
            self.ring.slot(self.written).set(Some(thing));
            self.written += 1;
            self.ring.written.store(self.written, Ordering::Release);
            Ok(())
        }
    }

    pub(crate) struct Receiver<T> {
        ring: Arc<Ring<T>>,
        /// As last seen.
        written: std::cell::Cell<usize>,
        read: usize,
    }

    impl<T> Receiver<T> {
        fn fetch(&self) {
            self.written.set(self.ring.written.load(Ordering::Acquire));
        }

        pub(crate) fn try_pop(&mut self) -> Option<T> {
            if self.read == self.written.get() {
                self.fetch();
            }
            if self.read == self.written.get() {
                return None;
            }
            let thing = self.ring.slot(self.read).replace(None);
            self.read += 1;
            self.ring.read.store(self.read, Ordering::Release);
            thing
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.fetch();
            self.read == self.written.get()
        }
    }
}
