//! A small table to ask for.

use std::time::Duration;

use super::{Daemon, ETHERNET, Launch, PcapFile};

/// A daemon whose table holds three conversations: TCP there and back, and a datagram.
pub(crate) fn conversations() -> Daemon {
    let mut capture = PcapFile::new(ETHERNET);
    let frames = (0..6)
        .map(|_| frame([10, 0, 0, 1], [10, 0, 0, 2], 6, (40_000, 80), 88))
        .chain((0..2).map(|_| frame([10, 0, 0, 2], [10, 0, 0, 1], 6, (80, 40_000), 540)))
        .chain([frame([10, 0, 0, 3], [10, 0, 0, 1], 17, (5353, 53), 84)]);
    for frame in frames {
        capture = capture.frame(Duration::from_secs(1_700_000_000), &frame);
    }
    let conf = "plugins: memory\naggregate: src_host, dst_host, src_port, dst_port, proto\n\
                imt_path: {folder}/sock\npcap_savefile: {folder}/in.pcap\npcap_savefile_wait: true\n";
    let mut daemon = Launch::conf(conf).file("in.pcap", capture.bytes()).start();
    daemon.wait_for_log("finished reading");
    daemon
}

/// A frame whose IP packet has `len` bytes.
fn frame(from: [u8; 4], to: [u8; 4], proto: u8, ports: (u16, u16), len: u16) -> Vec<u8> {
    let [high, low] = len.to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, 8, 0];
    frame.extend([0x45, 0, high, low, 0, 1, 0, 0, 64, proto, 0, 0]);
    frame.extend(from.into_iter().chain(to));
    frame.extend(ports.0.to_be_bytes().into_iter().chain(ports.1.to_be_bytes()));
    frame.resize(14 + usize::from(len), 0);
    if proto == 6 {
        frame[14 + 20 + 12] = 0x50; // five words of header
    }
    frame
}
