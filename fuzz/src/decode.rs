//! Decodes frames of any bytes, and checks what holds for all of them.
//!
//! An input is the link type as its place among those that are supported, the number of octets that the
//! capture lacks of the frame, and the frame.
#![no_main]

#[path = "../../crates/packet/tests/support/invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;
use rpmacct_packet::LinkType;

fuzz_target!(|input: &[u8]| {
    let [link, behind, frame @ ..] = input else { return };
    let links = LinkType::supported();
    let link = links[usize::from(*link) % links.len()];
    invariants::check(link, frame, frame.len() as u32 + u32::from(*behind));
});
