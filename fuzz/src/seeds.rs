//! Makes the fuzzer's first inputs from captures: `seeds CAPTURES DECODE SAVEFILE`.
//!
//! The last two are folders; `decode` gets the frames, `savefile` the beginnings of the files.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::{env, fs};

use rpmacct_capture::Savefile;
use rpmacct_packet::LinkType;

/// Frames of one capture. The first ones show what is in it.
const FRAMES: usize = 60;
/// Octets of a frame that the fuzzer needs: headers, not what they carry.
const FRAME: usize = 400;
/// Octets of a savefile.
const FILE: usize = 4000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [captures, decode, savefile] = arguments.as_slice() else {
        return Err("usage: seeds CAPTURES DECODE SAVEFILE".into());
    };
    fs::create_dir_all(decode)?;
    fs::create_dir_all(savefile)?;
    let mut seen = HashSet::new();
    for entry in fs::read_dir(captures)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::write(Path::new(savefile).join(&name), &bytes[..bytes.len().min(FILE)])?;
        for (number, input) in inputs(&path).into_iter().enumerate() {
            if seen.insert(input.clone()) {
                fs::write(Path::new(decode).join(format!("{name}-{number}")), input)?;
            }
        }
    }
    println!("{} frames of the captures in {}", seen.len(), Path::new(captures).display());
    Ok(())
}

/// The first frames of a capture as `decode` wants them; none if it is not one.
fn inputs(capture: &Path) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    let Ok(mut savefile) = Savefile::open(capture) else { return inputs };
    while let Some(frame) = savefile.next() {
        let Ok(frame) = frame else { continue };
        let place = LinkType::supported().iter().position(|link| *link == frame.link);
        let Some(place) = place.and_then(|place| u8::try_from(place).ok()) else { continue };
        let captured = &frame.data[..frame.data.len().min(FRAME)];
        let behind = u8::try_from(frame.wire_len as usize - captured.len()).unwrap_or(u8::MAX);
        inputs.push([&[place, behind], captured].concat());
        if inputs.len() == FRAMES {
            break;
        }
    }
    inputs
}
