//! MPLS label stacks (RFC 3032).

use crate::skip::Reason;

/// The labels that a stack may have. Routers push a dozen at most.
pub const MAX_LABELS: usize = 32;

/// Octets of a label stack entry.
const ENTRY_LEN: usize = 4;

/// An entry of a label stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MplsEntry {
    /// The label, 20 bits.
    pub label: u32,
    /// The traffic class (RFC 5462), once called experimental: 0 to 7.
    pub class: u8,
    /// Time to live.
    pub ttl: u8,
}

/// The labels that a packet carries, as it came: the top label first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MplsStack<'a> {
    /// Invariant: at most [`MAX_LABELS`]; only the last one has the bottom-of-stack bit.
    entries: &'a [[u8; ENTRY_LEN]],
}

impl<'a> MplsStack<'a> {
    /// The stack that `bytes` begin with, and what follows its bottom.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Reason> {
        let (entries, _) = bytes.as_chunks();
        let within = &entries[..entries.len().min(MAX_LABELS)];
        let Some(bottom) = within.iter().position(|entry| is_bottom(*entry)) else {
            return Err(if entries.len() < MAX_LABELS { Reason::MplsCut } else { Reason::MplsDepth });
        };
        Ok((Self { entries: &entries[..=bottom] }, &bytes[(bottom + 1) * ENTRY_LEN..]))
    }

    /// Number of labels.
    #[inline]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the packet has no labels.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The label that a router would look at: the outermost one, 20 bits.
    #[inline]
    pub fn top(&self) -> Option<u32> {
        self.entries.first().copied().map(label)
    }

    /// The label next to the packet, 20 bits.
    #[inline]
    pub fn bottom(&self) -> Option<u32> {
        self.entries.last().copied().map(label)
    }

    /// The stack as it came, unless there is none.
    pub(crate) fn octets(&self) -> Option<&'a [u8]> {
        if self.is_empty() { None } else { Some(self.entries.as_flattened()) }
    }

    /// The labels from top to bottom, 20 bits each.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> + DoubleEndedIterator + use<'a> {
        self.entries().map(|entry| entry.label)
    }

    /// The entries from top to bottom, whole.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = MplsEntry> + DoubleEndedIterator + use<'a> {
        self.entries.iter().map(|&entry| MplsEntry {
            label: label(entry),
            class: (entry[2] >> 1) & 7,
            ttl: entry[3],
        })
    }
}

/// The label of an entry; after it come 3 bits of traffic class, the bottom bit and 8 bits of time to live.
#[inline]
fn label(entry: [u8; ENTRY_LEN]) -> u32 {
    u32::from_be_bytes(entry) >> 12
}

#[inline]
fn is_bottom(entry: [u8; ENTRY_LEN]) -> bool {
    entry[2] & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn two_labels() {
        let bytes = hex("003e9 4 40  007d2 3 40  45 00");
        let (stack, rest) = MplsStack::split(&bytes).unwrap();
        assert_eq!(stack.iter().collect::<Vec<_>>(), [1001, 2002]);
        assert_eq!((stack.top(), stack.bottom(), stack.len()), (Some(1001), Some(2002), 2));
        assert_eq!(rest, [0x45, 0x00]);
        let entries: Vec<_> = stack.entries().collect();
        let [top, bottom] =
            [(1001, 2, 0x40), (2002, 1, 0x40)].map(|(label, class, ttl)| MplsEntry { label, class, ttl });
        assert_eq!(entries, [top, bottom]);
    }

    #[test]
    fn a_stack_without_bottom_is_cut_or_too_deep() {
        let entry = hex("003e9 4 40");
        assert_eq!(MplsStack::split(&entry.repeat(MAX_LABELS - 1)), Err(Reason::MplsCut));
        assert_eq!(MplsStack::split(&entry.repeat(MAX_LABELS)), Err(Reason::MplsDepth));
        let deepest = [entry.repeat(MAX_LABELS - 1), hex("007d2 1 40")].concat();
        assert_eq!(MplsStack::split(&deepest).unwrap().0.len(), MAX_LABELS);
    }
}
