//! Whether a program has more rights than who starts it (`AT_SECURE` of getauxval(3)): from the environment of such a
//! program ld.so takes neither an auditor nor libraries.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, getxattr, statvfs};
use rustix::process::{getgid, getuid};
use rustix::thread::no_new_privs;

/// What a file says of capabilities (`security.capability`, linux/capability.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capabilities {
    /// A program may take them up.
    Permitted,
    /// It has them from the start.
    InEffect,
}

impl Capabilities {
    fn of(program: &Path) -> Option<Self> {
        const EFFECTIVE: u8 = 1;
        let mut bytes = [0_u8; 64];
        getxattr(program, c"security.capability", &mut bytes).ok()?;
        Some(if bytes[0] & EFFECTIVE != 0 { Self::InEffect } else { Self::Permitted })
    }
}

/// Who starts a program.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The real user.
    pub user: u32,
    /// The real group.
    pub group: u32,
    /// Programs get no other rights (`PR_SET_NO_NEW_PRIVS`), as in many containers.
    pub keeps_rights: bool,
}

impl Caller {
    /// Who started this process.
    pub fn current() -> Self {
        let keeps_rights = no_new_privs().unwrap_or(false);
        Self { user: getuid().as_raw(), group: getgid().as_raw(), keeps_rights }
    }

    /// Whether the file of a program has more (execve(2), capabilities(7)).
    pub fn gains(self, program: &Path) -> bool {
        const SET_USER: u32 = 0o4000;
        const SET_GROUP: u32 = 0o2010;
        let Ok(file) = fs::metadata(program) else { return false };
        let is_ignored = || statvfs(program).is_ok_and(|place| place.f_flag.contains(StatVfsMountFlags::NOSUID));
        let gains_user = file.mode() & SET_USER != 0 && file.uid() != self.user;
        let gains_group = file.mode() & SET_GROUP == SET_GROUP && file.gid() != self.group;
        // Root has them anyway.
        let capabilities = (self.user != 0).then(|| Capabilities::of(program)).flatten();
        // Those that are in effect from the start count though the process does not get them (cap_bprm_creds_from_file of
        // security/commoncap.c).
        let counts = capabilities == Some(Capabilities::InEffect)
            || (!self.keeps_rights && (gains_user || gains_group || capabilities.is_some()));
        counts && !is_ignored()
    }
}
