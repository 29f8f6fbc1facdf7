//! Channels as a whole: from which of the declared Nix channels a process gets libraries first.
//!
//! Libraries of one channel were built together. So a process gets them from the channel of its own glibc; else from the
//! newest whose glibc is not newer; and from others only what those lack. What a library of a channel needs comes from that
//! one first. What is declared in no channel keeps its place:
//! before them what is declared before the first of them, behind them all else.

use crate::catalogue::Catalogue;
use crate::declared::Entry;
use crate::environment::split_directory;
use crate::index::Channel;
use crate::outcome::Unsure;
use crate::own_glibc::{LIBC, OwnGlibc};
use crate::path::PathBuf;
use crate::search::Search;
use crate::views::{Files, Objects};

/// Where a candidate stands among others. What is less goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Declared before all channels.
    Before,
    /// The channel that the requester is of: they were built together.
    Requester,
    /// The channel of the very glibc that this process has.
    Own,
    /// A channel whose glibc is so many versions older.
    Older(u32),
    /// A channel whose glibc is so many versions newer: some of its libraries may need nothing new.
    Newer(u32),
    /// Declared behind a channel, by whoever set the variable before.
    Behind,
}

/// What decides the order in a process. It is the same for all lookups.
pub struct Order {
    /// The offset of the first declared entry that is of a channel; beyond all of them if none is.
    first: usize,
    /// The glibc of this process, as a channel spells it; empty if none does.
    own: &'static [u8],
    minor: Option<u32>,
    requester: Option<Channel<'static>>,
}

impl Order {
    /// Finds out which glibc the process has, if there are channels, and which of those that have the library is its own. The
    /// path of the glibc is put together in `directory`.
    pub fn new<O: Objects, F: Files>(
        catalogue: &Catalogue<'_>,
        search: &mut Search<'_, O, F>,
        directory: &mut PathBuf,
        soname: &[u8],
        requester: O::Id,
    ) -> Result<Self, Unsure> {
        let mut order = Self { first: usize::MAX, own: b"", minor: None, requester: None };
        let Some(first) = catalogue.first_of_channel() else { return Ok(order) };
        // An ld.so before 2.33 does not say its version. libc.so.6 does.
        let of_libc = || search.objects.minor(search.objects.loaded(LIBC)?);
        let minor = (search.image)().ok().and_then(|image| image.minor).or_else(of_libc);
        (order.first, order.minor) = (first, minor);
        let requester = split_directory(search.objects.path(requester));
        order.requester = requester.and_then(|(directory, _)| search.files.channel(directory));
        match OwnGlibc::find(search, directory) {
            Ok(own) => {
                let channels = catalogue.candidates(soname).filter_map(|known| search.files.channel(known.entry.path));
                let mut glibcs = channels.map(|channel| channel.glibc).filter(|glibc| !glibc.is_empty());
                order.own = glibcs.find(|glibc| own.is(glibc)).unwrap_or_default();
            }
            Err(Unsure::Glibc) => {}
            Err(unsure) => return Err(unsure),
        }
        Ok(order)
    }

    /// The rank of a candidate.
    pub fn rank(&self, files: &impl Files, entry: Entry<'_>) -> Rank {
        if entry.at < self.first {
            return Rank::Before;
        }
        let Some(channel) = files.channel(entry.path) else { return Rank::Behind };
        if self.requester == Some(channel) {
            return Rank::Requester;
        }
        let Channel { glibc, minor } = channel;
        if !glibc.is_empty() && glibc == self.own {
            return Rank::Own;
        }
        let own = self.minor.unwrap_or(minor);
        own.checked_sub(minor).map_or(Rank::Newer(minor.saturating_sub(own)), Rank::Older)
    }
}

#[cfg(test)]
mod tests;
