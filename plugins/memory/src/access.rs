//! Who may change the table.

use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Gid, Group, Uid, User, geteuid};

/// The user behind a connection, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: Uid,
    /// Its primary group.
    gid: Gid,
}

impl Peer {
    pub(crate) fn of(stream: &UnixStream) -> Result<Self, Errno> {
        let credentials = getsockopt(stream, PeerCredentials)?;
        Ok(Self { uid: Uid::from_raw(credentials.uid()), gid: Gid::from_raw(credentials.gid()) })
    }
}

/// Who may erase and reset: root, the daemon's own user, and the members of a group.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) group: Option<Group>,
}

impl Access {
    pub(crate) fn may_change(&self, peer: Peer) -> bool {
        peer.uid.is_root() || peer.uid == geteuid() || self.is_member(peer)
    }

    /// The rule in words.
    pub(crate) fn rule(&self) -> String {
        match &self.group {
            Some(group) => format!(
                "erasing and resetting is for root, the daemon's user and the members of the group {}",
                group.name
            ),
            None => {
                "erasing and resetting is for root and the daemon's user (imt_group allows it to a group)"
                    .into()
            }
        }
    }

    fn is_member(&self, peer: Peer) -> bool {
        let Some(group) = &self.group else { return false };
        if peer.gid == group.gid {
            return true;
        }
        // The group as it is now: members come and go.
        let members = Group::from_gid(group.gid).ok().flatten().map(|group| group.mem).unwrap_or_default();
        User::from_uid(peer.uid).ok().flatten().is_some_and(|user| members.contains(&user.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Peer = Peer { uid: Uid::from_raw(65_533), gid: Gid::from_raw(65_533) };

    #[test]
    fn root_and_ourselves() {
        let access = Access { group: None };
        let (ours, _other) = UnixStream::pair().unwrap();
        let me = Peer::of(&ours).unwrap();
        assert_eq!(me.uid, geteuid());
        assert!(access.may_change(me));
        assert!(access.may_change(Peer { uid: Uid::from_raw(0), ..NOBODY }));
        assert!(!access.may_change(NOBODY));
    }

    #[test]
    fn members_of_the_group() {
        let group = Group {
            name: "ops".to_owned(),
            passwd: c"".to_owned(),
            gid: Gid::from_raw(64_321),
            mem: Vec::new(),
        };
        let access = Access { group: Some(group) };
        assert!(access.may_change(Peer { gid: Gid::from_raw(64_321), ..NOBODY }));
        assert!(!access.may_change(NOBODY));
        assert!(access.rule().ends_with("the group ops"));
    }
}
