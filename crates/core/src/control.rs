//! What others may ask of the core while it runs.

use crossbeam_channel::Sender;

use crate::counts::Report;

/// A request to the core's thread.
#[derive(Debug)]
pub enum Control {
    /// Read everything that was captured before this request, publish it, and answer with the number of
    /// batches that the pipeline has then published.
    Settle {
        /// Which pipeline.
        pipeline: usize,
        /// Where the answer goes.
        reply: Sender<u64>,
    },
    /// Report all counts.
    Count {
        /// Where the answer goes.
        reply: Sender<Report>,
    },
    /// Read everything that was captured before this request, then end.
    Stop,
}
