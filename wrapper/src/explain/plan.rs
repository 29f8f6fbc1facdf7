//! What ld.so will load, and in which order (`_dl_map_object_deps` of elf/dl-deps.c, `dl_main` of elf/rtld.c).
//!
//! Breadth first: what LD_PRELOAD and /etc/ld.so.preload name, then what the program needs, then what each of those needs. Each
//! name is decided on by the auditor's own code, and where that leaves it to ld.so, by the auditor's emulation of ld.so's search.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use rtld_loader::environment::split_directory;
use rtld_loader::origin::World as _;
use rtld_loader::outcome::{Outcome, Pass, Place};

use super::edge::{Edge, Hit, Miss, Reason, Rule};
use super::objects::{Object, path_of};
use super::world::{PRELOAD, World};

/// A version that is needed and not there: ld.so refuses to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LackingVersion {
    /// Who needs it.
    pub by: usize,
    /// Of whom.
    pub of: usize,
    /// The version.
    pub version: Vec<u8>,
}

/// Loads what is preloaded and what the program needs.
pub fn start(world: &mut World) {
    let listed = std::env::var_os("LD_PRELOAD").filter(|_| !world.is_privileged).unwrap_or_default();
    let mut names = words(listed.as_bytes(), b" :");
    if world.reads_preload {
        for line in fs::read(PRELOAD).unwrap_or_default().split(|&byte| byte == b'\n') {
            names.extend(words(line.split(|&byte| byte == b'#').next().unwrap_or_default(), b" \t:"));
        }
    }
    let mut queue = vec![0];
    for name in names {
        let edge = resolve(world, &name, 0, None);
        // ld.so goes on without it, and says so itself.
        if let Ok(hit) = edge.end {
            queue.extend(hit.is_new.then_some(hit.object));
            world.objects.get_mut(0).edges.push(edge);
        }
    }
    follow(world, queue);
}

fn words(list: &[u8], separators: &[u8]) -> Vec<Vec<u8>> {
    let words = list.split(|byte| separators.contains(byte));
    words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Opens a library as the program does by dlopen(3), with all that it needs.
pub fn open(world: &mut World, name: &[u8]) -> Edge {
    let edge = resolve(world, name, 0, None);
    if let Ok(Hit { object, is_new: true, .. }) = edge.end {
        follow(world, vec![object]);
    }
    edge
}

/// The versions that are needed of objects which do not define them.
pub fn lacking_versions(world: &World) -> Vec<LackingVersion> {
    let all = world.objects.all();
    let mut lacking = Vec::new();
    for (by, object) in all.iter().enumerate() {
        for need in object.needs.iter().filter(|need| !need.is_weak) {
            let Some(of) = world.objects.named(&need.soname) else { continue };
            let is_versioned = all[of].file.versions.definitions.is_some();
            if is_versioned && !all[of].definitions.contains(&need.version) {
                lacking.push(LackingVersion { by, of, version: need.version.clone() });
            }
        }
    }
    lacking
}

/// Loads what these objects need, and what that needs.
fn follow(world: &mut World, mut queue: Vec<usize>) {
    let mut next = 0;
    while let Some(&id) = queue.get(next) {
        next += 1;
        for name in world.objects.get(id).file.needed.clone() {
            let edge = resolve(world, &name, id, Some(id));
            queue.extend(edge.end.as_ref().ok().filter(|hit| hit.is_new).map(|hit| hit.object));
            world.objects.get_mut(id).edges.push(edge);
        }
    }
}

/// What becomes of a name that `requester` asks for. `loader` is who has it in DT_NEEDED.
fn resolve(world: &mut World, name: &[u8], requester: usize, loader: Option<usize>) -> Edge {
    let end = match world.objects.named(name) {
        Some(object) => Ok(Hit { object, rule: Rule::Loaded, is_new: false }),
        None => find(world, name, requester).and_then(|(path, rule)| {
            let hit = load(world, name, &path, rule, loader);
            let is_stale = matches!(rule, Rule::Index | Rule::Declared(_)) && !path_of(&path).exists();
            hit.ok_or_else(|| match is_stale {
                true => Box::new(Miss { message: path, ..*miss(world, name, requester, Reason::Stale) }),
                false => miss(world, name, requester, Reason::Unloadable),
            })
        }),
    };
    Edge { name: name.to_vec(), end }
}

/// The path that ld.so opens for a name.
fn find(world: &mut World, name: &[u8], requester: usize) -> Result<(Vec<u8>, Rule), Box<Miss>> {
    let outcome = world.at_origin(name, requester);
    let answered = world.answered().to_vec();
    match outcome {
        Outcome::Indexed => Ok((answered, Rule::Index)),
        Outcome::OwnGlibc => Ok((answered, Rule::OwnGlibc)),
        Outcome::Redirect => declared(world, answered),
        Outcome::Driver => Ok((answered, Rule::Driver)),
        Outcome::Loaded => Ok((answered, Rule::Loaded)),
        Outcome::Refuse(skip) => {
            let considered = world.take_considered();
            let miss = miss(world, name, requester, Reason::NoneFits(Some(skip)));
            Err(Box::new(Miss { message: answered, considered, ..*miss }))
        }
        Outcome::Hint => {
            let miss = miss(world, name, requester, Reason::NotDeclared);
            Err(Box::new(Miss { message: answered, ..*miss }))
        }
        Outcome::Pass(Pass::Path) => {
            let path = world.expand(name, requester).filter(|path| path_of(path).exists());
            let path = path.ok_or_else(|| miss(world, name, requester, Reason::NoFile))?;
            Ok((path, Rule::Path))
        }
        Outcome::Bare(_) => by_search(world, split_directory(name).map_or(name, |(_, name)| name), requester, outcome),
        Outcome::Pass(_) => by_search(world, name, requester, outcome),
    }
}

/// ld.so's own search, with the safety net where it ends: in its default directories.
fn by_search(world: &mut World, name: &[u8], requester: usize, outcome: Outcome) -> Result<(Vec<u8>, Rule), Box<Miss>> {
    let mut considered = world.take_considered();
    let mut reason = match world.find(&Place::ALL, name, requester) {
        Ok(Some(place)) => return Ok((world.found().to_vec(), Rule::Search(place))),
        Err(unsure) => Reason::Unsure(unsure),
        Ok(None) => match outcome {
            Outcome::Pass(Pass::NoneFits) => Reason::NoneFits(None),
            Outcome::Pass(Pass::Found(_) | Pass::Unsure(_)) if world.is_declared(name) => Reason::Doubted,
            _ => Reason::NotDeclared,
        },
    };
    let goes_there = !world.objects.get(requester).file.no_default_libraries;
    let directories = world.image.directories().filter(|directory| goes_there && path_of(directory).is_dir());
    for directory in directories.collect::<Vec<_>>() {
        let outcome = world.at_default(&[directory, name].concat(), requester);
        let answered = world.answered().to_vec();
        match outcome {
            Outcome::Redirect => return declared(world, answered),
            Outcome::Driver => return Ok((answered, Rule::Driver)),
            // The candidates are the same for each directory.
            _ if reason == Reason::Doubted => {
                considered = world.take_considered();
                reason = Reason::NoneFits(considered.iter().find_map(|considered| considered.verdict.err()));
            }
            _ => {}
        }
    }
    Err(Box::new(Miss { considered, ..*miss(world, name, requester, reason) }))
}

fn declared(world: &World, path: Vec<u8>) -> Result<(Vec<u8>, Rule), Box<Miss>> {
    let number = world.number_of(&path).unwrap_or(0);
    Ok((path, Rule::Declared(number)))
}

/// Loads the file at a path. `None` if ld.so does not load it.
fn load(world: &mut World, name: &[u8], path: &[u8], rule: Rule, loader: Option<usize>) -> Option<Hit> {
    if let Some(object) = world.objects.of_file(path_of(path)) {
        world.objects.get_mut(object).aliases.push(name.to_vec());
        return Some(Hit { object, rule, is_new: false });
    }
    let mut object = Object::read(path_of(path), path, loader)?;
    if !object.file.shared || object.file.is_program {
        return None;
    }
    // Whatever the auditor answers, ld.so knows it by the name that was asked for, too.
    object.aliases.push(name.to_vec());
    Some(Hit { object: world.objects.add(object), rule, is_new: true })
}

/// A name that is not found, with the places where ld.so looked for it.
fn miss(world: &mut World, name: &[u8], requester: usize, reason: Reason) -> Box<Miss> {
    let mut places = Vec::new();
    if !name.contains(&b'/') {
        for place in Place::ALL {
            let found = world.find(&[place], name, requester);
            let seen = world.take_seen();
            if place == Place::Cache || !seen.is_empty() {
                places.push((place, seen));
            }
            if found != Ok(None) {
                break;
            }
        }
    }
    Box::new(Miss { reason, message: name.to_vec(), places, considered: Vec::new() })
}
