//! Where frames come from: an interface or a savefile.
//!
//! A [`Savefile`] reads pcap and pcapng files; it needs no libpcap.

mod doorbell;
mod filter;
mod frame;
mod instructions;
mod live;
mod map;
mod prefetch;
mod savefile;

pub use doorbell::Doorbell;
pub use filter::{Filter, FilterError, check_filter};
pub use frame::Frame;
pub use live::{Direction, KernelCounts, Live, LiveError, LiveOptions, interface_index, interfaces};
pub use savefile::{Savefile, SavefileError};
