//! Runs compiled filters on captured octets, with the length that the frame had on the wire.
//!
//! The `pcap` crate can only run a filter as if the frame had been captured whole; `greater` and `less`
//! would then be wrong for every frame that the snapshot length cut.
#![expect(unsafe_code, reason = "bpf_filter(3) of libpcap is a C function")]

use std::fmt;

use pcap::{BpfInstruction, BpfProgram};

#[link(name = "pcap")]
unsafe extern "C" {
    /// `u_int bpf_filter(const struct bpf_insn *pc, const u_char *p, u_int wirelen, u_int buflen)`, from
    /// `<pcap/bpf.h>`.
    fn bpf_filter(pc: *const BpfInstruction, p: *const u8, wirelen: u32, buflen: u32) -> u32;
}

/// A compiled filter. Owns libpcap's program.
pub(crate) struct Program {
    program: BpfProgram,
}

impl Program {
    pub(crate) fn new(program: BpfProgram) -> Self {
        Self { program }
    }

    /// Whether the filter accepts a frame.
    #[inline]
    pub(crate) fn passes(&self, data: &[u8], wire_len: u32) -> bool {
        let instructions = self.program.get_instructions();
        // SAFETY: the instructions come from pcap_compile(3), which emits valid programs that end with a
        // return; `BpfInstruction` is a transparent `struct bpf_insn`. libpcap checks each load against
        // `buflen`, the length of `data`. Neither pointer is kept.
        unsafe { bpf_filter(instructions.as_ptr(), data.as_ptr(), wire_len, data.len() as u32) != 0 }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.program.get_instructions().iter().map(ToString::to_string)).finish()
    }
}
