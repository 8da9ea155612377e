//! What the project needs from the system, and what each distribution calls it: one table.

use std::env;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{self, Command, Stdio};

use crate::shell;

/// Everything that is needed from the system's packages.
pub(crate) const NEEDS: &[Need] = &[
    Need {
        what: "a C linker",
        purpose: Purpose::Build,
        probe: Probe::Links(&[]),
        packages: [Some("gcc libc6-dev"), Some("gcc"), Some("gcc"), Some("gcc musl-dev")],
    },
    Need {
        what: "libpcap to link with",
        purpose: Purpose::Build,
        probe: Probe::Links(&["-lpcap"]),
        packages: [Some("libpcap-dev"), Some("libpcap-devel"), Some("libpcap"), Some("libpcap-dev")],
    },
    Need {
        what: "pmacctd, to compare with",
        purpose: Purpose::Tests,
        probe: Probe::Program("pmacctd"),
        packages: [Some("pmacct"), Some("pmacct"), None, None],
    },
    Need {
        what: "ip, for network namespaces",
        purpose: Purpose::Tests,
        probe: Probe::Program("ip"),
        packages: [Some("iproute2"), Some("iproute"), Some("iproute2"), Some("iproute2")],
    },
    Need {
        what: "tcpreplay",
        purpose: Purpose::Tests,
        probe: Probe::Program("tcpreplay"),
        packages: [Some("tcpreplay"); 4],
    },
    Need {
        what: "tcpdump",
        purpose: Purpose::Tests,
        probe: Probe::Program("tcpdump"),
        packages: [Some("tcpdump"); 4],
    },
    Need {
        what: "tshark",
        purpose: Purpose::Tests,
        probe: Probe::Program("tshark"),
        packages: [Some("tshark"), Some("wireshark-cli"), Some("wireshark-cli"), Some("tshark")],
    },
    Need {
        what: "a C++ compiler, for the fuzzer",
        purpose: Purpose::Tests,
        probe: Probe::Program("c++"),
        packages: [Some("g++"), Some("gcc-c++"), Some("gcc"), Some("g++")],
    },
    Need {
        what: "carbon and graphite-web, to send points to",
        purpose: Purpose::Tests,
        probe: Probe::Programs(&["carbon-cache", "graphite-manage", "gunicorn"]),
        // A font, or pictures have no text. The other distributions have no package of graphite-web.
        packages: [Some("graphite-carbon graphite-web gunicorn fonts-dejavu-core"), None, None, None],
    },
    Need {
        what: "softflowd, to compare with",
        purpose: Purpose::Peers,
        probe: Probe::Program("softflowd"),
        packages: [Some("softflowd"), Some("softflowd"), None, None],
    },
    Need {
        what: "nfpcapd, to compare with",
        purpose: Purpose::Peers,
        probe: Probe::Program("nfpcapd"),
        packages: [Some("nfdump"), None, None, Some("nfdump")],
    },
];

/// The package managers, in the order of [`Need::packages`].
pub(crate) const MANAGERS: &[Manager; 4] = &[
    Manager {
        distributions: &["debian", "ubuntu"],
        // Debian's tshark asks a question otherwise.
        install: &[
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
            "--yes",
            "--no-install-recommends",
        ],
        refresh: &["apt-get", "update"],
        has_lists: || {
            fs::read_dir("/var/lib/apt/lists").is_ok_and(|lists| {
                lists.flatten().any(|list| list.file_name().to_string_lossy().contains("_Packages"))
            })
        },
    },
    Manager {
        distributions: &["fedora", "rhel", "centos"],
        install: &["dnf", "install", "-y"],
        refresh: &["dnf", "makecache"],
        has_lists: || true, // dnf fetches them itself
    },
    Manager {
        distributions: &["arch"],
        install: &["pacman", "-S", "--needed", "--noconfirm"],
        refresh: &["pacman", "-Sy"],
        has_lists: || Path::new("/var/lib/pacman/sync/core.db").exists(),
    },
    Manager {
        distributions: &["alpine"],
        install: &["apk", "add"],
        refresh: &["apk", "update"],
        has_lists: || true, // apk fetches them itself
    },
];

/// Something the project needs from the system.
#[derive(Debug)]
pub(crate) struct Need {
    /// What a person calls it.
    pub(crate) what: &'static str,
    pub(crate) purpose: Purpose,
    probe: Probe,
    /// Its packages, separated by blanks, for each of [`MANAGERS`]; none where the distribution has no such package.
    packages: [Option<&'static str>; MANAGERS.len()],
}

impl Need {
    /// Looks, and installs nothing: a machine that has everything needs no privilege and no network.
    pub(crate) fn is_met(&self) -> bool {
        match self.probe {
            Probe::Program(name) => shell::find_program(name).is_some(),
            Probe::Programs(names) => names.iter().all(|name| shell::find_program(name).is_some()),
            Probe::Links(libraries) => links(libraries),
        }
    }

    pub(crate) fn packages(&self, manager: &Manager) -> Option<&'static str> {
        let column = MANAGERS.iter().position(|known| known.distributions == manager.distributions)?;
        self.packages[column]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// Without it nothing builds.
    Build,
    /// Without it some tests say `skipped`.
    Tests,
    /// Without it some comparisons are left out.
    Peers,
}

#[derive(Debug)]
enum Probe {
    /// A program of this name exists.
    Program(&'static str),
    /// Programs of all these names exist.
    Programs(&'static [&'static str]),
    /// A program links with these options.
    Links(&'static [&'static str]),
}

/// Tries what the build will do, so that no user meets a linker error.
fn links(libraries: &[&str]) -> bool {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let folder = env::var("LIBPCAP_LIBDIR").map(|folder| format!("-L{folder}"));
    let program = env::temp_dir().join(format!("rpmacct-probe-{}", process::id()));
    let mut command = Command::new(compiler);
    command.args(["-x", "c", "-", "-o"]).arg(&program).args(folder).args(libraries);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let linked = command.spawn().and_then(|mut compiler| {
        if let Some(mut source) = compiler.stdin.take() {
            source.write_all(b"int main(void) { return 0; }\n")?;
        }
        compiler.wait()
    });
    let _ = fs::remove_file(program);
    linked.is_ok_and(|status| status.success())
}

/// A package manager and who uses it.
pub(crate) struct Manager {
    /// The `ID`s of `os-release` that use it.
    distributions: &'static [&'static str],
    /// The command that installs packages, which follow.
    pub(crate) install: &'static [&'static str],
    /// The command that fetches the lists of packages.
    pub(crate) refresh: &'static [&'static str],
    /// Whether it has such lists, however old.
    pub(crate) has_lists: fn() -> bool,
}

impl Manager {
    /// The one of this machine.
    pub(crate) fn here() -> Option<&'static Manager> {
        let release = ["/etc/os-release", "/usr/lib/os-release"];
        let text = release.iter().find_map(|file| fs::read_to_string(file).ok())?;
        let ids = os_release_ids(&text);
        // The distribution itself comes first, then what it descends from.
        ids.iter().find_map(|id| MANAGERS.iter().find(|manager| manager.distributions.contains(&id.as_str())))
    }
}

/// `ID` and `ID_LIKE` of an os-release file (os-release(5)), nearest first.
fn os_release_ids(text: &str) -> Vec<String> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim().trim_matches(['"', '\'']).to_lowercase())
    };
    let ids = value("ID").into_iter().chain(value("ID_LIKE"));
    ids.flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_tells_the_distribution_then_its_ancestors() {
        let ubuntu = "PRETTY_NAME=\"Ubuntu 24.04\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n";
        assert_eq!(os_release_ids(ubuntu), ["ubuntu", "debian"]);
        let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";
        assert_eq!(os_release_ids(rocky), ["rocky", "rhel", "centos", "fedora"]);
        assert_eq!(os_release_ids("ID='alpine'\r\n"), ["alpine"]);
        assert!(os_release_ids("BUILD_ID=rolling\n").is_empty());
    }

    #[test]
    fn builds_have_a_package_everywhere() {
        for need in NEEDS.iter().filter(|need| need.purpose == Purpose::Build) {
            assert!(need.packages.iter().all(Option::is_some), "{}", need.what);
        }
        for manager in MANAGERS {
            assert!(NEEDS.iter().any(|need| need.packages(manager).is_some()));
        }
    }

    #[test]
    fn a_distribution_has_one_manager() {
        let all: Vec<_> = MANAGERS.iter().flat_map(|manager| manager.distributions).collect();
        assert!(all.iter().enumerate().all(|(index, id)| !all[..index].contains(id)));
    }

    #[test]
    fn a_library_that_is_nowhere_does_not_link() {
        assert!(!links(&["-lno_such_library_anywhere"]));
    }
}
