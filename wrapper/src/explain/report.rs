//! What is said of a plan, for people: a verdict, a tree, and for each name that is missing where it was looked for and what
//! to do.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use rtld_loader::family;
use rtld_loader::outcome::Place;
use rtld_loader::skip::Skip;
use rtld_loader::views::{Look, Objects as _};
use termtree::Tree;

use super::edge::{Considered, Edge, Hit, Miss, Reason, Rule};
use super::files::Seen;
use super::objects::{LOADER, path_of};
use super::plan::LackingVersion;
use super::world::World;

/// See [`styled`].
pub const BOLD: Style = Style::new().bold();
/// See [`styled`].
pub const DIM: Style = Style::new().dimmed();
/// See [`styled`].
pub const GOOD: Style = AnsiColor::Green.on_default();
/// See [`styled`].
pub const RULE: Style = AnsiColor::Cyan.on_default();
/// See [`styled`].
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// What was planned, and how much is said of it.
pub struct Report<'r> {
    /// The process.
    pub world: &'r World,
    /// What was asked for.
    pub subject: String,
    /// The script that the program runs, if one was named.
    pub script: Option<&'r Path>,
    /// The names that were asked for beside those that the program needs.
    pub opened: &'r [Edge],
    /// Versions that are not there.
    pub lacking: &'r [LackingVersion],
    /// Whole paths, and each mention of a name.
    pub is_verbose: bool,
}

/// A name that is missing, with who wants it.
pub struct Missing<'r> {
    /// The name.
    pub name: &'r [u8],
    /// The object that asks for it.
    pub by: usize,
    /// Why it is missing.
    pub miss: &'r Miss,
}

impl<'r> Report<'r> {
    /// The names that are missing, each once.
    pub fn missing(&self) -> Vec<Missing<'r>> {
        let mut names = HashSet::new();
        let mut missing = Vec::new();
        for (by, edge) in self.edges() {
            if let Err(miss) = &edge.end
                && names.insert(&edge.name)
            {
                missing.push(Missing { name: &edge.name, by, miss });
            }
        }
        missing
    }

    /// Whether all is there.
    pub fn is_whole(&self) -> bool {
        self.missing().is_empty() && self.lacking.is_empty()
    }

    /// The edges that matter, with where they begin.
    fn edges(&self) -> impl Iterator<Item = (usize, &'r Edge)> {
        let world = self.world;
        let roots = self.opened.iter().map(|edge| (0, edge));
        let reached = self.reached();
        roots.chain(
            reached.into_iter().flat_map(move |id| world.objects.get(id).edges.iter().map(move |edge| (id, edge))),
        )
    }

    /// The objects that the subject comes to, in the order of a tree: for what is opened, without the program's own.
    pub fn reached(&self) -> Vec<usize> {
        let mut reached: Vec<usize> = match self.opened {
            [] => vec![0],
            opened => opened.iter().filter_map(|edge| Some(edge.end.as_ref().ok()?.object)).collect(),
        };
        let mut next = 0;
        while let Some(&id) = reached.get(next) {
            next += 1;
            for hit in self.world.objects.get(id).edges.iter().filter_map(|edge| edge.end.as_ref().ok()) {
                if !reached.contains(&hit.object) {
                    reached.push(hit.object);
                }
            }
        }
        reached
    }

    /// The verdict: one sentence.
    fn verdict(&self) -> String {
        let count = self.reached().len() - usize::from(self.opened.is_empty());
        let missing = self.missing();
        let subject = styled(BOLD, &self.subject);
        if let [first, ..] = &missing[..] {
            let names = missing.iter().take(3).map(|missing| text(missing.name)).collect::<Vec<_>>().join(", ");
            let more = if missing.len() > 3 { ", …" } else { "" };
            let what = match missing.len() {
                1 if self.opened.iter().any(|edge| edge.name == first.name) => "it is not found".to_owned(),
                1 => format!("1 library is missing: {names}"),
                number => format!("{number} libraries are missing: {names}{more}"),
            };
            return format!("{subject}: {}", styled(BAD, &what));
        }
        if !self.lacking.is_empty() {
            return format!("{subject}: {}", styled(BAD, "its libraries are found, and cannot be loaded together"));
        }
        let what = match count {
            0 => "it needs no library".to_owned(),
            1 => "1 library, which is found".to_owned(),
            count => format!("{count} libraries, and all are found"),
        };
        format!("{subject}: {}", styled(GOOD, &what))
    }

    /// The N of the process's glibc 2.N.
    pub fn minor(&self) -> Option<u32> {
        let objects = &self.world.objects;
        self.world.image.minor.or_else(|| objects.minor(objects.libc()?))
    }

    /// The process in which this holds.
    fn circumstances(&self) -> String {
        let world = self.world;
        let program = world.objects.get(0);
        let glibc =
            self.minor().map_or_else(|| "a glibc of unknown version".to_owned(), |minor| format!("glibc 2.{minor}"));
        let auditor = if world.is_audited {
            ""
        } else if world.is_privileged {
            "\nit has more rights than its caller: ld.so takes neither auditor nor libraries from the environment"
        } else {
            "\nrtld_loader.so takes no part: LD_AUDIT does not name it, it is gone, or REPLIT_RTLD_DISABLE is set"
        };
        let program = self.path(&program.path);
        match self.script {
            Some(script) => format!("{} is a script for {program}, {glibc}{auditor}", self.path(script)),
            None => format!("in {program}, {glibc}{auditor}"),
        }
    }

    fn tree(&self, shown: &mut Shown) -> Vec<Tree<String>> {
        // Where it was loaded is its place in the tree.
        shown.later.extend(
            self.edges().filter_map(|(_, edge)| edge.end.as_ref().ok().filter(|hit| hit.is_new)).map(|hit| hit.object),
        );
        match self.opened {
            [] => {
                let object = self.world.objects.get(0);
                let leaves = object.edges.iter().filter_map(|edge| self.branch(edge, shown)).collect::<Vec<_>>();
                vec![Tree::new(styled(BOLD, &self.path(&object.path))).with_leaves(leaves)]
            }
            opened => {
                shown.later.retain(|object| {
                    !opened.iter().any(|edge| edge.end.as_ref().is_ok_and(|hit| hit.object == *object))
                });
                opened.iter().filter_map(|edge| self.branch(edge, shown)).collect()
            }
        }
    }

    /// A name, and below it what it needs, where it stands for the first time.
    fn branch(&self, edge: &Edge, shown: &mut Shown) -> Option<Tree<String>> {
        let hit = match &edge.end {
            Ok(hit) => hit,
            Err(_) if !shown.missing.insert(edge.name.clone()) && !self.is_verbose => {
                shown.hidden += 1;
                return None;
            }
            Err(_) => return Some(Tree::new(format!("{} {}", text(&edge.name), styled(BAD, "[missing]")))),
        };
        let is_place = hit.is_new || !shown.later.contains(&hit.object);
        let is_first = is_place && shown.objects.insert(hit.object);
        if !is_first && !self.is_verbose {
            shown.hidden += 1;
            return None;
        }
        let object = self.world.objects.get(hit.object);
        let mut leaves = Vec::new();
        if is_first {
            leaves = object.edges.iter().filter_map(|edge| self.branch(edge, shown)).collect();
        }
        Some(Tree::new(self.label(edge, hit)).with_leaves(leaves))
    }

    fn label(&self, edge: &Edge, hit: &Hit) -> String {
        let object = self.world.objects.get(hit.object);
        // It was there before all else.
        let tag = if hit.object == LOADER { "ld.so".to_owned() } else { tag(hit.rule) };
        let rule = styled(RULE, &format!("[{tag}]"));
        let name = styled(BOLD, &text(&edge.name));
        // The name is said already, as a rule.
        let file = object.path.file_name().unwrap_or_default();
        let is_said = std::os::unix::ffi::OsStrExt::as_bytes(file) == edge.name;
        let shown = if is_said { object.path.parent().unwrap_or(Path::new("/")) } else { &object.path };
        format!("{name} {rule} {}", styled(DIM, &self.path(shown)))
    }

    /// Where a name was looked for, and what to do.
    fn detail(&self, missing: &Missing<'_>, into: &mut String) -> fmt::Result {
        let Missing { name, by, miss } = missing;
        let by = if *by == 0 { "the program".to_owned() } else { self.path(&self.world.objects.get(*by).path) };
        writeln!(into, "\n{} {}, which {by} asks for", styled(BAD, "missing:"), styled(BOLD, &text(name)))?;
        for (place, seen) in &miss.places {
            self.place(*place, seen, into)?;
        }
        let declared = self.world.declared();
        let number = |considered: &Considered| self.world.number_of(&considered.path);
        if !miss.considered.iter().any(|considered| number(considered).is_some()) && self.world.is_audited {
            let text = match declared {
                _ if miss.reason == Reason::Doubted => "it is left to ld.so".to_owned(),
                0 => "nothing is declared".to_owned(),
                1 => "the declared entry does not have it".to_owned(),
                more => format!("none of the {more} declared entries has it"),
            };
            writeln!(into, "  {} {text}", styled(RULE, "[declared]"))?;
        }
        for considered in &miss.considered {
            // What is not declared may be the graphics driver's.
            let rule = tag(number(considered).map_or(Rule::Driver, Rule::Declared));
            let verdict = considered.verdict.as_ref().err().map(skip).unwrap_or_default();
            let path = self.path(path_of(&considered.path));
            writeln!(into, "  {} {path}:\n    {verdict}", styled(RULE, &format!("[{rule}]")))?;
        }
        writeln!(into, "  {} {}", styled(GOOD, "what to do:"), remedy(name, miss, self.world))
    }

    fn place(&self, place: Place, seen: &[Seen], into: &mut String) -> fmt::Result {
        let rule = styled(RULE, &format!("[{}]", tag(Rule::Search(place))));
        if place == Place::Cache && seen.is_empty() {
            let path = self.path(path_of(self.world.image.cache.to_bytes()));
            return writeln!(into, "  {rule} {path}: it is not in there");
        }
        for Seen { path, look } in seen {
            let (shown, what) = match look {
                None => (path_of(path), "there is no such directory"),
                Some(Look::Missing) => (path_of(path).parent().unwrap_or(Path::new("/")), "it is not there"),
                Some(Look::Denied) => (path_of(path), "it may not be read"),
                Some(Look::NotBelow) => (path_of(path), "a part of this path is no directory"),
                Some(Look::Broken) => (path_of(path), "it cannot be opened; the list ends here"),
                Some(Look::Exhausted) => (path_of(path), "no file descriptor is left"),
                Some(Look::Irregular) => (path_of(path), "it is not a regular file"),
                Some(Look::File(_)) => (path_of(path), "it is for another kind of machine, or no library"),
            };
            writeln!(into, "  {rule} {}: {what}", self.path(shown))?;
        }
        Ok(())
    }

    fn lacking(&self, lacking: &LackingVersion, into: &mut String) -> fmt::Result {
        let path = |id: usize| self.path(&self.world.objects.get(id).path);
        let version = styled(BOLD, &text(&lacking.version));
        writeln!(into, "\n{} {version}, which {}", styled(BAD, "version missing:"), path(lacking.by))?;
        writeln!(into, "  needs of {}", path(lacking.of))?;
        let remedy = "take both from one channel, or a newer build of the second";
        writeln!(into, "  {} {remedy}", styled(GOOD, "what to do:"))
    }

    fn path(&self, path: &Path) -> String {
        shortened(path, self.is_verbose)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}\n{}\n\n", self.verdict(), styled(DIM, &self.circumstances()));
        let mut shown = Shown::default();
        for tree in self.tree(&mut shown) {
            write!(text, "{tree}")?;
        }
        match shown.hidden {
            0 => {}
            1 => writeln!(text, "{}", styled(DIM, "(1 more mention of one of these; -v shows it)"))?,
            hidden => writeln!(text, "{}", styled(DIM, &format!("({hidden} more mentions of these; -v shows them)")))?,
        }
        for missing in self.missing() {
            self.detail(&missing, &mut text)?;
        }
        for lacking in self.lacking {
            self.lacking(lacking, &mut text)?;
        }
        formatter.write_str(&text)
    }
}

/// What stands in the tree already.
#[derive(Default)]
struct Shown {
    objects: HashSet<usize>,
    missing: HashSet<Vec<u8>>,
    /// What has its place further down.
    later: HashSet<usize>,
    hidden: usize,
}

/// A path; the hash of a store path is cut, unless all of it is asked for.
pub fn shortened(path: &Path, is_verbose: bool) -> String {
    let whole = path.display().to_string();
    let store = whole.strip_prefix("/nix/store/").filter(|_| !is_verbose);
    match store.and_then(|rest| rest.split_once('-')) {
        Some((hash, rest)) if hash.len() == 32 && hash.is_ascii() => format!("/nix/store/{}…-{rest}", &hash[..6]),
        _ => whole,
    }
}

/// A rule, in a word or two.
pub fn tag(rule: Rule) -> String {
    match rule {
        Rule::Loaded => "loaded".to_owned(),
        Rule::Path => "path".to_owned(),
        Rule::Search(Place::Rpath) => "rpath".to_owned(),
        Rule::Search(Place::LibraryPath) => "LD_LIBRARY_PATH".to_owned(),
        Rule::Search(Place::Runpath) => "runpath".to_owned(),
        Rule::Search(Place::Cache) => "cache".to_owned(),
        Rule::Search(Place::Default) => "default".to_owned(),
        Rule::Index => "index".to_owned(),
        Rule::Declared(number) => format!("declared #{number}"),
        Rule::Driver => "driver".to_owned(),
        Rule::OwnGlibc => "glibc family".to_owned(),
    }
}

/// What to do about a name that is missing.
pub fn remedy(name: &[u8], miss: &Miss, world: &World) -> String {
    let name = text(name);
    match miss.reason {
        _ if world.is_privileged => "the program has to bring its own libraries, by its RUNPATH".to_owned(),
        _ if !world.is_audited => "run it by replit-env, without REPLIT_RTLD_DISABLE".to_owned(),
        Reason::NoFile => "nothing looks for a path: mend it, or ask for the bare soname".to_owned(),
        Reason::Unloadable => "ld.so finds a file that is no library for this machine: remove or mend it".to_owned(),
        Reason::Stale => {
            format!("the index has {}, which is gone: make the environment again", text(&miss.message))
        }
        // What ld.so is made to say ends with it.
        Reason::NotDeclared | Reason::NoneFits(Some(_)) if miss.message.ends_with(b")") => {
            let message = text(&miss.message);
            message.rsplit_once("; ").map_or(String::new(), |(_, remedy)| remedy.trim_end_matches(')').to_owned())
        }
        Reason::NotDeclared if family::contains(name.as_bytes()) => {
            "mend the program's RUNPATH: it belongs to the program's own glibc, and is never declared".to_owned()
        }
        Reason::NotDeclared => format!(
            "declare the package that has it, in replit.nix or by --lib.\n    \
             Which one that is: nix-locate --minimal --at-root --whole-name /lib/{}",
            // A path into a directory of a distribution's is asked for by its file name.
            name.rsplit('/').next().unwrap_or_default()
        ),
        Reason::NoneFits(Some(skip)) => format!("declare another build of it: {}", self::skip(&skip)),
        Reason::NoneFits(None) => "declare a whole library of that name".to_owned(),
        Reason::Doubted => "link who asks for it without -z nodefaultlib: where a subdirectory for processors, $PLATFORM, or $ORIGIN\n    \
             of a relative path leave in doubt what ld.so finds, a declared library is found behind the default directories"
            .to_owned(),
        Reason::Unsure(unsure) => format!("it is left to ld.so, since {}", text(unsure.text())),
    }
}

/// Why a candidate is skipped.
pub fn skip(skip: &Skip) -> String {
    text(&skip.text().concat())
}

/// Foreign bytes, for a terminal.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

/// A text in a style.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
