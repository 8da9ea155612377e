//! Seconds of packet time that are open: their sums by the numbers of flows.

use std::collections::VecDeque;

use crate::values::Sums;

/// Seconds that may still get packets.
#[derive(Debug)]
pub(crate) struct Seconds {
    /// Invariant: ascending by their time.
    open: VecDeque<Second>,
    /// Seconds that were emptied: their memory is used again.
    spare: Vec<Second>,
}

/// One second.
#[derive(Debug, Default)]
pub(crate) struct Second {
    /// Seconds since 1970.
    pub(crate) time: i64,
    /// By number of the flow. Invariant: zero where it is not in `touched`.
    sums: Vec<Sums>,
    /// The flows that had packets, in the order of the first ones.
    touched: Vec<u32>,
}

impl Seconds {
    pub(crate) fn new() -> Self {
        Self { open: VecDeque::new(), spare: Vec::new() }
    }

    /// The first second that is open.
    pub(crate) fn first(&self) -> Option<i64> {
        self.open.front().map(|second| second.time)
    }

    /// The last second that is open.
    pub(crate) fn last(&self) -> Option<i64> {
        self.open.back().map(|second| second.time)
    }

    /// Adds to a flow's sums in a second.
    #[inline]
    pub(crate) fn add(&mut self, time: i64, flow: u32, sums: Sums) {
        let second = match self.open.iter_mut().rposition(|second| second.time == time) {
            Some(at) => &mut self.open[at],
            None => self.begin(time),
        };
        let flow_at = flow as usize;
        if second.sums.len() <= flow_at {
            second.sums.resize(flow_at + 1, Sums::default());
        }
        let sum = &mut second.sums[flow_at];
        if sum.packets == 0 {
            second.touched.push(flow);
        }
        sum.add(sums);
    }

    /// Takes the first second out. It is to be given back.
    pub(crate) fn pop(&mut self) -> Option<Second> {
        self.open.pop_front()
    }

    /// Takes back what [`Self::pop`] gave, when it is drained.
    pub(crate) fn give_back(&mut self, second: Second) {
        self.spare.push(second);
    }

    fn begin(&mut self, time: i64) -> &mut Second {
        let at = self.open.partition_point(|second| second.time < time);
        let second = Second { time, ..self.spare.pop().unwrap_or_default() };
        self.open.insert(at, second);
        &mut self.open[at]
    }
}

impl Second {
    /// Takes the sums out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u32, Sums)> + '_ {
        let Self { sums, touched, .. } = self;
        touched.drain(..).map(|flow| (flow, std::mem::take(&mut sums[flow as usize])))
    }
}
