//! Telling the processor what will be read soon.
#![expect(unsafe_code, reason = "the instruction takes an address; this is the only place that gives one")]

/// Asks for the cache line of `bytes` that holds the octet `at`, which need not be within them. A hint: what is read
/// stays the same.
#[inline]
pub(crate) fn prefetch(bytes: &[u8], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = bytes.as_ptr().wrapping_add(at);
        // SAFETY: PREFETCHT0 reads nothing that a program could see and never faults, whatever the address is
        // (Intel SDM, volume 2; AMD64 APM, volume 3). It is part of SSE, which every x86-64 processor has.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, at);
}
