//! The queue on disk, so that it survives the daemon.
//!
//! A journal is a directory of segments. Blocks are appended to the last one and never changed; a segment goes
//! when none of its blocks is needed any more. The file `mark` says up to where that is so: it may be old, since
//! a point that comes twice replaces itself.
//!
//! ```text
//! block:  magic u32 │ crc32 u32 │ points u64 │ length u32 │ lines      (numbers in little-endian)
//!                                 └──── what the crc is of ─────┘
//! ```
//! A daemon that is killed leaves a whole number of blocks and perhaps a part of one, which its checksum tells.
//! Nothing is synchronized with the disk: what a power failure takes, it takes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"rpc1";
const HEADER: usize = 20;
const SUFFIX: &str = "points";

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    segment: u64,
    /// Of the block's header, from the segment's beginning.
    offset: u64,
    /// Octets of the lines.
    pub(crate) len: u32,
}

/// The directory, and the segment that is written.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    /// Locked while the journal is open: two daemons would send the same points.
    _lock: File,
    /// The number of the segment that is written, or will be.
    segment: u64,
    file: Option<File>,
    /// Octets in it.
    len: u64,
    /// Octets at which the next one begins.
    segment_size: u64,
    /// Up to where blocks are no longer needed, as the file `mark` has it.
    mark: (u64, u64),
    /// The first segment that is there.
    oldest: u64,
}

/// What was found in a journal.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Points and place of each block that is needed.
    pub(crate) blocks: Vec<(u64, Place)>,
    /// Octets that are no block: what was being written when the daemon was killed.
    pub(crate) torn: u64,
}

impl Journal {
    /// Opens the journal in a directory, which is made if it is not there.
    pub(crate) fn open(folder: &Path, segment_size: u64) -> io::Result<(Self, Found)> {
        DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o640).open(folder.join("lock"))?;
        lock.try_lock().map_err(|_| io::Error::new(io::ErrorKind::WouldBlock, "another daemon uses it"))?;
        let mark = read_mark(&folder.join("mark")).unwrap_or_default();
        let segments = segments(folder)?;
        let mut found = Found::default();
        for segment in &segments {
            if *segment < mark.0 {
                fs::remove_file(path(folder, *segment))?;
            } else {
                let skipped = if *segment == mark.0 { mark.1 } else { 0 };
                scan(folder, *segment, skipped, &mut found)?;
            }
        }
        // What is there is not appended to: its end may be torn.
        let next = segments.last().map_or(mark.0, |last| last + 1).max(mark.0);
        let oldest = segments.first().copied().unwrap_or(next).max(mark.0);
        let folder = folder.to_owned();
        let journal =
            Self { folder, _lock: lock, segment: next, file: None, len: 0, segment_size, mark, oldest };
        Ok((journal, found))
    }

    /// Appends a block.
    pub(crate) fn append(&mut self, points: u64, lines: &[u8]) -> io::Result<Place> {
        if self.len >= self.segment_size {
            self.next_segment();
        }
        let block = block(points, lines);
        let offset = self.len;
        let result = self.file().and_then(|mut file| file.write_all(&block));
        if let Err(error) = result {
            // The end of the segment may be torn: it is left alone.
            self.next_segment();
            return Err(error);
        }
        self.len += block.len() as u64;
        Ok(Place { segment: self.segment, offset, len: lines.len() as u32 })
    }

    /// The lines of a block.
    pub(crate) fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let file = File::open(path(&self.folder, place.segment))?;
        let mut block = vec![0; HEADER + place.len as usize];
        file.read_exact_at(&mut block, place.offset)?;
        match parse(&block) {
            Some(_) => Ok(block.split_off(HEADER)),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong")),
        }
    }

    /// Nothing before `first` is needed any more; `None`: nothing at all.
    pub(crate) fn release(&mut self, first: Option<Place>) -> io::Result<()> {
        let mark = first.map_or((self.segment, self.len), |place| (place.segment, place.offset));
        if mark == self.mark {
            return Ok(());
        }
        let new = self.folder.join("mark.new");
        fs::write(&new, format!("{} {}\n", mark.0, mark.1))?;
        fs::rename(new, self.folder.join("mark"))?;
        self.mark = mark;
        while self.oldest < mark.0 {
            match fs::remove_file(path(&self.folder, self.oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.oldest += 1,
            }
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn next_segment(&mut self) {
        self.segment += 1;
        self.file = None;
        self.len = 0;
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let path = path(&self.folder, self.segment);
            self.file = Some(OpenOptions::new().append(true).create_new(true).mode(0o640).open(path)?);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:016}.{SUFFIX}"))
}

/// The numbers of the segments that are there, ascending.
fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = PathBuf::from(entry?.file_name());
        if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
            numbers.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_mark(path: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(path).ok()?;
    let (segment, offset) = text.trim().split_once(' ')?;
    Some((segment.parse().ok()?, offset.parse().ok()?))
}

/// Finds the blocks of a segment from an offset on.
fn scan(folder: &Path, segment: u64, from: u64, found: &mut Found) -> io::Result<()> {
    let octets = fs::read(path(folder, segment))?;
    let mut offset = usize::try_from(from).unwrap_or(usize::MAX).min(octets.len());
    while let Some((points, len)) = parse(&octets[offset..]) {
        found.blocks.push((points, Place { segment, offset: offset as u64, len: len as u32 }));
        offset += HEADER + len;
    }
    found.torn += (octets.len() - offset) as u64;
    Ok(())
}

fn block(points: u64, lines: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(HEADER + lines.len());
    block.extend_from_slice(MAGIC);
    block.extend_from_slice(&[0; 4]);
    block.extend_from_slice(&points.to_le_bytes());
    block.extend_from_slice(&(lines.len() as u32).to_le_bytes());
    block.extend_from_slice(lines);
    let crc = crc32fast::hash(&block[8..]);
    block[4..8].copy_from_slice(&crc.to_le_bytes());
    block
}

/// Points and length of the block that the octets begin with, if it is whole.
fn parse(octets: &[u8]) -> Option<(u64, usize)> {
    let header = octets.get(..HEADER)?;
    let crc = u32::from_le_bytes(*header[4..].first_chunk()?);
    let points = u64::from_le_bytes(*header[8..].first_chunk()?);
    let len = u32::from_le_bytes(*header[16..].first_chunk()?) as usize;
    let checked = octets.get(8..HEADER.checked_add(len)?)?;
    (header.starts_with(MAGIC) && crc32fast::hash(checked) == crc).then_some((points, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> (Journal, Found) {
        Journal::open(folder, 100).unwrap()
    }

    fn files(folder: &Path) -> usize {
        segments(folder).unwrap().len()
    }

    #[test]
    fn blocks_are_found_again_until_they_are_released() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let (mut journal, found) = open(&folder);
        assert!(found.blocks.is_empty());
        let places: Vec<_> = (0..10u8).map(|n| journal.append(n.into(), &[n; 30]).unwrap()).collect();
        assert_eq!(journal.read(places[7]).unwrap(), [7; 30]);
        assert_eq!(files(&folder), 5);
        journal.release(Some(places[5])).unwrap();
        assert_eq!(files(&folder), 3);
        drop(journal);

        let (mut journal, found) = open(&folder);
        let points: Vec<_> = found.blocks.iter().map(|block| block.0).collect();
        assert_eq!((points, found.torn), (vec![5, 6, 7, 8, 9], 0));
        let place = journal.append(10, b"ten").unwrap();
        assert!(place > places[9]);
        journal.release(None).unwrap();
        drop(journal);
        let (journal, found) = open(&folder);
        assert!(found.blocks.is_empty(), "{found:?}");
        drop(journal);
        assert_eq!(files(&folder), 1);
    }

    #[test]
    fn a_torn_end_costs_the_last_block_only() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(dir.path());
        journal.append(1, b"whole").unwrap();
        let place = journal.append(2, b"torn").unwrap();
        let path = path(dir.path(), place.segment);
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for cut in 1..HEADER + 4 {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (_, found) = open(dir.path());
            assert_eq!(found.blocks.len(), 1, "{cut}");
            assert_eq!(found.torn, (HEADER + 4 - cut) as u64);
        }
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() ^= 1;
        fs::write(&path, wrong).unwrap();
        assert_eq!(open(dir.path()).1.blocks.len(), 1);
    }

    #[test]
    fn a_journal_is_one_daemons() {
        let dir = tempfile::tempdir().unwrap();
        let (_journal, _) = open(dir.path());
        assert_eq!(Journal::open(dir.path(), 100).unwrap_err().to_string(), "another daemon uses it");
    }
}
