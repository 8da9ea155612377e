//! What becomes of frames and of packets: the core's part of the ledger.

use rpmacct_ledger::Balance;
use rpmacct_packet::Reason;

/// All counts of the core at one moment, between two frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the source says.
    pub source: SourceCounts,
    /// What became of the frames.
    pub frames: FrameCounts,
    /// What became of the accounted packets on their way to each plugin.
    pub pipelines: Vec<PipelineCounts>,
}

/// Counts of frames before they come to the core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Received by the kernel (or read from the savefile), the dropped ones included.
    pub received: u64,
    /// Dropped by the kernel because its ring was full. A savefile has no kernel that could drop.
    pub dropped: Option<u64>,
    /// Received, but taken away before the core saw them: the other direction, or the loopback interface's
    /// second copy.
    pub filtered: u64,
    /// Received, but not yet read.
    pub unread: u64,
}

/// Counts of frames in the core.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Frames that came to the core.
    pub seen: u64,
    /// Frames that the core's filter did not pass.
    pub filtered: u64,
    /// Frames that carry no IP.
    pub not_ip: u64,
    /// Frames that can't be decoded, by reason ([`Reason::index`]).
    pub undecodable: [u64; Reason::ALL.len()],
    /// Packets that were accounted.
    pub accounted: u64,
    /// Those of them whose ports were needed and cut off by the snapshot length.
    pub cut: u64,
}

/// What becomes of accounted packets on their way to one plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipelineCounts {
    /// Packets that the plugin's `aggregate_filter` did not pass.
    pub filtered: u64,
    /// Fragments that wait for the first one of their datagram.
    pub withheld: u64,
    /// Records for each packet: 2 for `sum_*`, else 1.
    pub multiplicity: u64,
    /// Records that were offered to the pipe.
    pub offered: u64,
    /// Records that found the pipe full.
    pub lost: u64,
}

impl Report {
    /// The balance of the source: every frame that it received is dropped, filtered out, not IP,
    /// undecodable for a reason, or accounted. `whole` says what receiving is called.
    pub fn balance(&self, of: &str, whole: &str) -> Balance {
        let Self { source, frames, .. } = self;
        let mut balance = Balance::new(of, whole, source.received);
        if let Some(dropped) = source.dropped {
            balance = balance.part("kernel drops", dropped);
        }
        if source.unread > 0 {
            balance = balance.part("in the kernel's ring", source.unread);
        }
        balance =
            balance.part("filtered out", source.filtered + frames.filtered).part("not IP", frames.not_ip);
        for reason in Reason::ALL {
            let count = frames.undecodable[reason.index()];
            if count > 0 {
                balance = balance.part(format!("undecodable ({}: {reason})", reason.class()), count);
            }
        }
        balance.part("accounted", frames.accounted)
    }

    /// The balance of the way to one plugin, which has absorbed so many records.
    pub fn way_balance(&self, pipeline: usize, of: &str, absorbed: u64) -> Balance {
        let counts = self.pipelines.get(pipeline).copied().unwrap_or_default();
        let PipelineCounts { filtered, withheld, multiplicity: n, offered, lost } = counts;
        let accounted = self.frames.accounted;
        let mut balance = if n > 1 {
            Balance::new(of, format!("accounted (each packet {n} times)"), accounted * n)
        } else {
            Balance::new(of, "accounted", accounted)
        };
        for (name, count) in
            [("filtered by aggregate_filter", filtered * n), ("waiting fragments", withheld * n)]
        {
            if count > 0 {
                balance = balance.part(name, count);
            }
        }
        let in_pipe = offered.saturating_sub(lost).saturating_sub(absorbed);
        balance.part("pipe losses", lost).part("in the pipe", in_pipe).part("absorbed", absorbed)
    }
}
