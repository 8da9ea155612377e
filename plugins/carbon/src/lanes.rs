//! All lanes of a plugin.

use std::path::Path;
use std::sync::Arc;

use rpmacct_plugin::OpenError;
use tracing::{info, warn};

use crate::config::Outlet;
use crate::destination::{Destination, Ring};
use crate::journal::Journal;
use crate::lane::{Lane, LaneOptions};
use crate::names::plain;
use crate::outbox::{Outbox, Router};
use crate::queue::{Counts, Queue};

/// Segments of a journal that has reached its bound.
const SEGMENTS: u64 = 16;

/// The lanes, and which series takes which.
#[derive(Debug)]
pub(crate) struct Lanes {
    all: Vec<Lane>,
    router: Arc<Router>,
    live: bool,
}

impl Lanes {
    /// Opens the journals and starts the threads of a plugin that log lines call `speaker`.
    pub(crate) fn open(outlet: &Outlet, name: &str, speaker: &str, live: bool) -> Result<Self, OpenError> {
        let (groups, router): (Vec<&[Destination]>, _) = if outlet.hashing {
            let ring = Ring::new(&outlet.destinations).map_err(OpenError::Other)?;
            (outlet.destinations.chunks(1).collect(), Router::hashing(ring))
        } else {
            (vec![&outlet.destinations], Router::single())
        };
        let mut lanes = Vec::new();
        for destinations in groups {
            let mut queue = Queue::new(outlet.bound, outlet.resend);
            let mut journal = None;
            if let Some(spool) = &outlet.spool {
                // A share of the series belongs to a destination; without shares all goes to whoever is there.
                let mut folder = plain(name);
                if outlet.hashing {
                    folder = format!("{folder}-{}", plain(&destinations[0].id()));
                }
                journal = Some(recover(&spool.join(folder), outlet.bound, &mut queue, speaker)?);
            }
            let options = LaneOptions {
                name: speaker.to_owned(),
                destinations: destinations.to_vec(),
                protocol: outlet.protocol,
                queue,
                journal,
                live,
            };
            let lane = Lane::start(options)
                .map_err(|source| OpenError::Io { doing: "starting a thread".to_owned(), source })?;
            lanes.push(lane);
        }
        Ok(Self { all: lanes, router: Arc::new(router), live })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// Hands blocks over. While a savefile is read there may be a wait for room.
    pub(crate) fn ship(&self, outbox: &mut Outbox) {
        for (number, block) in outbox.take() {
            let lane = &self.all[number as usize];
            if self.live { lane.push(block) } else { lane.push_patiently(block) }
        }
    }

    /// The counts of all lanes.
    pub(crate) fn counts(&self) -> Counts {
        self.all.iter().map(Lane::counts).fold(Counts::default(), Counts::and)
    }

    /// Lanes that have a connection.
    pub(crate) fn connections(&self) -> u64 {
        self.all.iter().filter(|lane| lane.is_connected()).count() as u64
    }

    /// Sends what is left, as far as that is possible in a few seconds.
    pub(crate) fn finish(&self) {
        self.all.iter().for_each(Lane::end);
        self.all.iter().for_each(Lane::join);
    }
}

/// Opens a journal and queues what an earlier run left in it.
fn recover(folder: &Path, bound: usize, queue: &mut Queue, speaker: &str) -> Result<Journal, OpenError> {
    let segment_size = bound as u64 / SEGMENTS;
    let (journal, found) = Journal::open(folder, segment_size)
        .map_err(|source| OpenError::Io { doing: format!("opening {}", folder.display()), source })?;
    if found.torn > 0 {
        warn!(
            "{speaker}: {}: {} octets at the end of what was kept are no points",
            folder.display(),
            found.torn
        );
    }
    let points: u64 = found.blocks.iter().map(|block| block.0).sum();
    if points > 0 {
        info!("{speaker}: {}: {points} points of an earlier run are sent first", folder.display());
    }
    found.blocks.into_iter().for_each(|(points, place)| queue.recover(points, place));
    Ok(journal)
}
