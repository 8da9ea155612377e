//! Checks of what threads share without a lock: the pipe.

use std::fs;
use std::path::Path;

use crate::shell;
use crate::test::Outcome;

/// Small programs in every order that their threads can take, with all values that memory may show them.
pub(crate) fn loom() -> Result<Outcome, String> {
    let target = shell::programs("loom")?;
    let mut test =
        shell::cargo(["test", "--package=rpmacct-pipe", "--release", "--test=loom", "--target-dir"]);
    shell::run(test.arg(target).env("RUSTFLAGS", "--cfg loom"))?;
    Ok(Outcome::Passed)
}

/// The unit tests under `ThreadSanitizer`: one order of many, but with the rings of ringbuf, which loom can't look into.
///
/// Its flag is unstable, hence `RUSTC_BOOTSTRAP`; the compiler is the project's own. The standard library is not built
/// with it: `tsan.txt` lists what it therefore takes for races.
pub(crate) fn sanitizer() -> Result<Outcome, String> {
    let libraries = shell::output(&mut shell::rustc(["--print=target-libdir"]))?;
    if !has_sanitizer(Path::new(libraries.trim())) {
        return Ok(Outcome::Skipped("this compiler comes without ThreadSanitizer".to_owned()));
    }
    let (target, triple) = (shell::programs("tsan")?, shell::host()?);
    let known = shell::root().join("crates/pipe/tsan.txt");
    // With a triple, build scripts and macros go without the flags.
    let mut test = shell::cargo(["test", "--package=rpmacct-pipe", "--lib", "--target", &triple]);
    test.arg("--target-dir").arg(target);
    test.env("RUSTC_BOOTSTRAP", "1");
    test.env("RUSTFLAGS", "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer");
    shell::run(test.env("TSAN_OPTIONS", format!("suppressions={}", known.display())))?;
    Ok(Outcome::Passed)
}

fn has_sanitizer(libraries: &Path) -> bool {
    fs::read_dir(libraries).is_ok_and(|files| {
        files.flatten().any(|file| file.file_name().to_string_lossy().ends_with("_rt.tsan.a"))
    })
}

/// The unit tests in an interpreter that sees undefined behaviour, ringbuf's included.
pub(crate) fn miri() -> Result<Outcome, String> {
    if !shell::succeeds(&mut shell::cargo(["miri", "--version"])) {
        return Ok(Outcome::Skipped(
            "this toolchain comes without miri, as all but nightly ones do".to_owned(),
        ));
    }
    shell::run(&mut shell::cargo(["miri", "test", "--package=rpmacct-pipe", "--lib"]))?;
    Ok(Outcome::Passed)
}
