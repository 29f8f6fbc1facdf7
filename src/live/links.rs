//! Who loaded whom: what ld.so keeps in `l_loader`, which its public link_map lacks.
//!
//! It matters for one thing, the inheritance of DT_RPATH. So a loader is kept only where a DT_RPATH can come from it:
//! an ordinary process, whose objects have RUNPATHs or nothing, keeps nothing at all.
//!
//! Here objects are forgotten when they are closed. When the process ends, ld.so says so without its lock, while another thread may
//! be in dlopen: so all of it is of words that are read and written whole.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use super::link_map::{LoadedObject, ObjectCell};
use super::memory;
use super::shared::Shared;
use crate::outcome::Unsure;

/// The most loaders that are kept: 64 KiB of memory, and only if one is.
const CAPACITY: usize = 4096;

/// An object and its loader. Without an object the place is free.
type Link = [ObjectCell; 2];

/// The loaders that matter.
pub struct Links {
    links: Shared<Link, CAPACITY>,
    count: AtomicUsize,
    /// One did not fit: from then on it is not known of any object without a link whether it has a loader.
    overflow: AtomicBool,
    /// Grows with each object that is closed.
    closes: AtomicUsize,
}

impl Links {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            links: Shared::new(),
            count: AtomicUsize::new(0),
            overflow: AtomicBool::new(false),
            closes: AtomicUsize::new(0),
        }
    }

    /// Notes that `object` is there because `loader` needs it. Only under ld.so's lock.
    pub fn insert(&self, object: LoadedObject, loader: LoadedObject) {
        if self.links.get().is_none()
            && let Some(links) = memory::map(CAPACITY).and_then(|memory| memory.first_chunk())
        {
            self.links.set(links);
        }
        let count = self.count.load(Ordering::Relaxed);
        let freed = self.known().iter().position(|[object, _]| object.get().is_none());
        let place = freed.unwrap_or(count);
        match self.links.get().and_then(|links| links.get(place)) {
            Some([known, of]) => {
                of.set(Some(loader));
                known.set(Some(object));
                // The count comes last, also for a child that is forked here.
                fence(Ordering::SeqCst);
                self.count.store(count.max(place.saturating_add(1)), Ordering::Release);
            }
            None => self.overflow.store(true, Ordering::Relaxed),
        }
    }

    /// The loader of an object, if it has one that matters.
    pub fn loader(&self, object: LoadedObject) -> Result<Option<LoadedObject>, Unsure> {
        match self.known().iter().find(|[known, _]| known.get() == Some(object)) {
            Some([_, loader]) => Ok(loader.get()),
            None if self.overflow.load(Ordering::Relaxed) => Err(Unsure::LoaderForgotten),
            None => Ok(None),
        }
    }

    /// Forgets an object that is being closed. What it loaded may stay, without a loader, as in ld.so.
    pub fn remove(&self, object: LoadedObject) {
        for [known, loader] in self.known() {
            if known.get() == Some(object) {
                known.set(None);
                loader.set(None);
            } else if loader.get() == Some(object) {
                loader.set(None);
            }
        }
        // Of two that close at once one may be counted: the process ends then, and no object goes. (An addition in one step is
        // a call into compiler_builtins on aarch64.)
        let closes = self.closes.load(Ordering::Relaxed);
        self.closes.store(closes.wrapping_add(1), Ordering::Release);
    }

    /// A number that is another one once objects have been closed.
    pub fn closes(&self) -> usize {
        self.closes.load(Ordering::Acquire)
    }

    fn known(&self) -> &[Link] {
        let count = self.count.load(Ordering::Acquire);
        self.links.get().and_then(|links| links.get(..count)).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;

    /// An object that is compared and never looked into.
    fn object(address: usize) -> LoadedObject {
        // SAFETY: nothing here reads a link_map.
        unsafe { LoadedObject::new(address) }.unwrap()
    }

    #[test]
    fn closed_objects_are_forgotten_and_their_places_used_again() {
        let [one, two, three] = [1, 2, 3].map(object);
        let links = Links::new();
        for _ in 0..3 * CAPACITY {
            links.insert(one, two);
            links.insert(three, one);
            assert_eq!((links.loader(three), links.loader(two)), (Ok(Some(one)), Ok(None)));
            links.remove(one);
            assert_eq!((links.loader(one), links.loader(three)), (Ok(None), Ok(None)));
            links.remove(three);
        }
        assert!(links.known().len() <= 2);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let links = Links::new();
        for n in 1..=CAPACITY + 1 {
            links.insert(object(n), object(n));
        }
        assert_eq!(links.loader(object(CAPACITY)), Ok(Some(object(CAPACITY))));
        assert_eq!(links.loader(object(CAPACITY + 1)), Err(Unsure::LoaderForgotten));
    }
}
