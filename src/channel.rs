//! Channels as a whole: from which of the declared Nix channels a process gets libraries first.
//!
//! Libraries of one channel were built together. So a process gets them from the channel of its own glibc; else from the
//! newest whose glibc is not newer; and from others only what those lack. What is declared in no channel keeps its place:
//! before them what is declared before the first of them, behind them all else.

use crate::catalogue::{Candidate, Catalogue};
use crate::gate;
use crate::index::Channel;
use crate::outcome::Unsure;
use crate::own_glibc::OwnGlibc;
use crate::path::PathBuf;
use crate::search::Search;
use crate::views::{Files, Objects};

/// Where a candidate stands among others. What is less goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Declared before all channels.
    Before,
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
pub struct Order<'b> {
    /// The offset of the first declared entry that is of a channel; beyond all of them if none is.
    first: usize,
    own: Option<OwnGlibc<'b>>,
    minor: Option<u32>,
}

impl<'b> Order<'b> {
    /// Finds out which glibc the process has, if there are channels. Its path is put together in `directory`.
    pub fn new<O: Objects, F: Files>(
        catalogue: &Catalogue<'_>,
        search: &mut Search<'_, O, F>,
        directory: &'b mut PathBuf,
    ) -> Result<Self, Unsure> {
        let Some(first) = catalogue.first_of_channel() else {
            return Ok(Self { first: usize::MAX, own: None, minor: None });
        };
        let minor = gate::minor(search);
        match OwnGlibc::find(search, directory) {
            Ok(own) => Ok(Self { first, own: Some(own), minor }),
            Err(Unsure::Glibc) => Ok(Self { first, own: None, minor }),
            Err(unsure) => Err(unsure),
        }
    }

    /// The next candidate behind one with this rank and place, with its own.
    pub fn next<'m>(
        &self,
        catalogue: &Catalogue<'m>,
        files: &impl Files,
        soname: &[u8],
        last: Option<(Rank, usize)>,
    ) -> Option<((Rank, usize), Candidate<'m>)> {
        let ranked = catalogue.candidates(soname).map(|candidate| {
            let at = candidate.entry.at;
            let rank = if at < self.first { Rank::Before } else { self.rank(files.channel(candidate.entry.path)) };
            ((rank, at), candidate)
        });
        ranked.filter(|(place, _)| last < Some(*place)).min_by_key(|(place, _)| *place)
    }

    fn rank(&self, channel: Option<Channel<'_>>) -> Rank {
        let Some(Channel { glibc, minor }) = channel else { return Rank::Behind };
        if !glibc.is_empty() && self.own.as_ref().is_some_and(|own| own.is(glibc)) {
            return Rank::Own;
        }
        let own = self.minor.unwrap_or(minor);
        own.checked_sub(minor).map_or(Rank::Newer(minor.saturating_sub(own)), Rank::Older)
    }
}
