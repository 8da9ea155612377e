//! Reads savefiles of any bytes to their end.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rpmacct_capture::Savefile;

/// The file that each input is written to, one for each process. Savefiles are mapped, so there must be one.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("rpmacct-fuzz-{}", process::id()))
});

fuzz_target!(|input: &[u8]| {
    fs::write(&*FILE, input).expect("writing to memory");
    let savefile = Savefile::open(&FILE);
    // What is mapped stays; the name goes, so that nothing is left behind.
    fs::remove_file(&*FILE).expect("the file that was just written");
    let Ok(mut savefile) = savefile else { return };
    let (mut frames, mut octets) = (0_usize, 0);
    while let Some(frame) = savefile.next() {
        // An error is the last thing that a file says, or it is about one frame.
        frames += 1;
        if let Ok(frame) = frame {
            assert!(frame.wire_len as usize >= frame.data.len());
            octets += frame.data.len();
        }
        assert!(frames <= input.len() && octets <= input.len(), "more than there is");
    }
});
