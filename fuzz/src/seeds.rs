//! Makes the fuzzer's first inputs: `seeds DECODE SAVEFILE [CAPTURES]`.
//!
//! The first two are folders. `decode` gets frames as the tests build them, and those of the captures; `savefile`
//! gets the beginnings of the captures.

#[allow(dead_code, reason = "the tests compare what it remembers")]
#[path = "../../crates/packet/tests/support/build.rs"]
mod build;

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
    let [decode, savefile, captures @ ..] = arguments.as_slice() else {
        return Err("usage: seeds DECODE SAVEFILE [CAPTURES]".into());
    };
    fs::create_dir_all(decode)?;
    fs::create_dir_all(savefile)?;
    let mut seen = HashSet::new();
    let mut add = |name: &str, inputs: Vec<Vec<u8>>| {
        for (number, input) in inputs.into_iter().enumerate() {
            if seen.insert(input.clone()) {
                fs::write(Path::new(decode).join(format!("{name}-{number}")), input)?;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    add("built", built())?;
    for captures in captures {
        for entry in fs::read_dir(captures)? {
            let path = entry?.path();
            let bytes = fs::read(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            fs::write(Path::new(savefile).join(&name), &bytes[..bytes.len().min(FILE)])?;
            add(&name, inputs(&path))?;
        }
    }
    println!("{} frames", seen.len());
    Ok(())
}

/// Each link with each header around a packet, and each tunnel.
fn built() -> Vec<Vec<u8>> {
    let packet = || build::packet(false, build::Carried::Tcp, 1);
    let links = LinkType::supported().iter().zip(0..);
    let around = links.flat_map(|(link, place)| {
        let around = build::AROUND.into_iter().filter_map(move |around| packet().around(around)?.on(*link));
        around.map(move |frame| [&[place, 0], &frame[..]].concat())
    });
    let through = build::WAYS.into_iter().flat_map(|way| {
        let both = [build::packet(true, build::Carried::Udp, 1), packet()];
        let frames =
            both.into_iter().filter_map(move |inner| inner.through(way, false, 2)?.on(LinkType::ETHERNET));
        frames.map(|frame| [&[0, 0], &frame[..]].concat())
    });
    around.chain(through).collect()
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
