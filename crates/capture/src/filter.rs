//! Filters in the language of `pcap-filter(7)`, applied to frames that are already here.
//!
//! A live `pcap_filter` runs in the kernel. This is for what the kernel can't do: `pcap_filter` on a
//! savefile, and each plugin's `aggregate_filter`.

use pcap::{Capture, Linktype};
use rpmacct_packet::LinkType;

use crate::frame::Frame;
use crate::instructions::Program;

/// A filter expression, compiled for each link type that it meets.
#[derive(Debug)]
pub struct Filter {
    expression: String,
    programs: Vec<(LinkType, Option<Program>)>,
}

/// Why a filter can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

impl Filter {
    /// Compiles `expression` for frames of `link`.
    pub fn compile(expression: &str, link: LinkType) -> Result<Self, FilterError> {
        let program = compile(expression, link)?;
        Ok(Self { expression: expression.to_owned(), programs: vec![(link, Some(program))] })
    }

    /// Whether a frame passes. A savefile may hold several link types: the expression is compiled when the
    /// first frame of each comes; where it makes no sense (`vlan` on a link without), no frame passes.
    #[inline]
    pub fn passes(&mut self, frame: &Frame<'_>) -> bool {
        let position = self.programs.iter().position(|(link, _)| *link == frame.link);
        let position = position.unwrap_or_else(|| {
            self.programs.push((frame.link, compile(&self.expression, frame.link).ok()));
            self.programs.len() - 1
        });
        self.programs[position].1.as_ref().is_some_and(|program| program.passes(frame.data, frame.wire_len))
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }
}

/// Checks the syntax of an expression, where the link type is not known yet.
pub fn check_filter(expression: &str) -> Result<(), FilterError> {
    compile(expression, LinkType::ETHERNET).map(drop)
}

fn compile(expression: &str, link: LinkType) -> Result<Program, FilterError> {
    let dead = Capture::dead(dlt(link)).map_err(|e| FilterError(e.to_string()))?;
    let program = dead.compile(expression, true).map_err(|e| FilterError(message(&e)))?;
    Ok(Program::new(program))
}

/// libpcap's numbers in memory (DLT) are those of files (LINKTYPE) but for a few.
fn dlt(link: LinkType) -> Linktype {
    const DLT_RAW: i32 = 12;
    const LINKTYPE_RAW: u32 = 101;
    Linktype(if link.0 == LINKTYPE_RAW { DLT_RAW } else { link.0.cast_signed() })
}

/// What libpcap says, without its prefix.
pub(crate) fn message(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rpmacct_packet::Timestamp;

    use super::*;

    /// Ethernet, IPv4 (10.0.0.1 → 10.0.0.2), UDP 1024 → 53; the capture is cut behind the headers.
    const FRAME: &[u8] = &[
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, //
        0x45, 0, 2, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
        4, 0, 0, 53, 1, 0xec, 0, 0,
    ];

    fn passes(expression: &str, link: LinkType, data: &[u8]) -> bool {
        let frame = Frame { time: Timestamp::ZERO, link, wire_len: 526, data, interface: 0 };
        Filter::compile(expression, LinkType::ETHERNET).unwrap().passes(&frame)
    }

    #[test]
    fn frames_pass_or_not() {
        assert!(passes("udp port 53", LinkType::ETHERNET, FRAME));
        assert!(!passes("tcp", LinkType::ETHERNET, FRAME));
        assert!(!passes("udp port 53", LinkType::ETHERNET, &FRAME[..20]));
    }

    #[test]
    fn lengths_are_those_of_the_wire() {
        assert!(passes("greater 500", LinkType::ETHERNET, FRAME));
        assert!(!passes("less 500", LinkType::ETHERNET, FRAME));
    }

    #[test]
    fn another_link_type_is_compiled_when_it_comes() {
        assert!(passes("udp port 53", LinkType(101), &FRAME[14..]));
        assert!(!passes("ether host 02:00:00:00:00:01", LinkType(101), &FRAME[14..]));
    }

    #[test]
    fn bad_syntax_is_an_error() {
        assert!(check_filter("tcp prt 80").unwrap_err().to_string().contains("syntax error"));
        assert!(check_filter("tcp port 80").is_ok());
    }
}
