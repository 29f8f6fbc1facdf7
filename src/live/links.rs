//! Who loaded whom: what ld.so keeps in `l_loader`, which its public link_map lacks.
//!
//! It matters for one thing, the inheritance of DT_RPATH. So a loader is kept only where a DT_RPATH can come from it:
//! an ordinary process, whose objects have RUNPATHs or nothing, keeps nothing at all.

use core::sync::atomic::{Ordering, fence};

use super::link_map::LoadedObject;
use super::memory;
use super::published::Published;
use crate::outcome::Unsure;

/// The most loaders that are kept: 64 KiB of memory, and only if one is.
const CAPACITY: usize = 4096;

/// An object and its loader. Without an object the place is free.
type Link = [Option<LoadedObject>; 2];

/// The loaders that matter.
pub struct Links {
    links: Published<&'static mut [Link]>,
    count: usize,
    /// One did not fit: from then on it is not known of any object without a link whether it has a loader.
    overflow: bool,
}

impl Links {
    /// None yet.
    pub const fn new() -> Self {
        Self { links: Published::new(), count: 0, overflow: false }
    }

    /// Notes that `object` is there because `loader` needs it.
    pub fn insert(&mut self, object: LoadedObject, loader: LoadedObject) {
        if self.links.get().is_none()
            && let Some(memory) = memory::map(CAPACITY)
        {
            self.links.set(memory);
        }
        let freed = self.known().iter().position(|[object, _]| object.is_none());
        let place = freed.unwrap_or(self.count);
        match self.links.get_mut().and_then(|links| links.get_mut(place)) {
            Some(link) => {
                *link = [Some(object), Some(loader)];
                // The count comes last, also for a child that is forked here.
                fence(Ordering::SeqCst);
                self.count = self.count.max(place.saturating_add(1));
            }
            None => self.overflow = true,
        }
    }

    /// The loader of an object, if it has one that matters.
    pub fn loader(&self, object: LoadedObject) -> Result<Option<LoadedObject>, Unsure> {
        match self.known().iter().find(|[known, _]| *known == Some(object)) {
            Some([_, loader]) => Ok(*loader),
            None if self.overflow => Err(Unsure::LoaderForgotten),
            None => Ok(None),
        }
    }

    /// Forgets an object that is being closed. What it loaded may stay, without a loader, as in ld.so.
    pub fn remove(&mut self, object: LoadedObject) {
        let count = self.count;
        for [known, loader] in self.links.get_mut().into_iter().flat_map(|links| links.iter_mut()).take(count) {
            if *known == Some(object) {
                (*known, *loader) = (None, None);
            } else if *loader == Some(object) {
                *loader = None;
            }
        }
    }

    fn known(&self) -> &[Link] {
        self.links.get().and_then(|links| links.get(..self.count)).unwrap_or_default()
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
        let mut links = Links::new();
        for _ in 0..3 * CAPACITY {
            links.insert(one, two);
            links.insert(three, one);
            assert_eq!((links.loader(three), links.loader(two)), (Ok(Some(one)), Ok(None)));
            links.remove(one);
            assert_eq!((links.loader(one), links.loader(three)), (Ok(None), Ok(None)));
            links.remove(three);
        }
        assert!(links.count <= 2);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let mut links = Links::new();
        for n in 1..=CAPACITY + 1 {
            links.insert(object(n), object(n));
        }
        assert_eq!(links.loader(object(CAPACITY)), Ok(Some(object(CAPACITY))));
        assert_eq!(links.loader(object(CAPACITY + 1)), Err(Unsure::LoaderForgotten));
    }
}
