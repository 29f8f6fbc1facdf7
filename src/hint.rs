//! What ld.so is made to complain of when a library is missed that nobody declares: which package of nixpkgs brings it.
//!
//! ld.so prints the name that it was answered when it cannot open it, at start-up and for dlopen(3). People look for the
//! soname, so the text begins with it, and ld.so searches for a file of that whole name where it would have searched for
//! the library. Whoever could put one there could as well put the library there: then nothing is said, for ld.so finds it.

use crate::path::PathBuf;
use crate::refusal::{NAME_MAX, push_plain};

/// Puts the text into `answer`. `None` if it is longer than a file's name may be.
pub fn write(answer: &mut PathBuf, soname: &[u8], attribute: &[u8]) -> Option<()> {
    answer.set(&[soname, b" (not among the declared dependencies; add pkgs."])?;
    // What a damaged index has may mean something in a path.
    push_plain(answer, attribute)?;
    answer.push(b" to replit.nix)")?;
    (answer.len() <= NAME_MAX).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn text(soname: &str, attribute: &str) -> Option<String> {
        let mut answer = PathBuf::new();
        write(&mut answer, soname.as_bytes(), attribute.as_bytes())?;
        Some(String::from_utf8(answer.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn the_soname_and_the_remedy() {
        assert_eq!(
            text("libX11.so.6", "xorg.libX11").unwrap(),
            "libX11.so.6 (not among the declared dependencies; add pkgs.xorg.libX11 to replit.nix)"
        );
        let odd = text("libx.so", "../../etc/$ORIGIN\x1b[31m").unwrap();
        assert!(!odd.contains(['/', '$', '\x1b']), "{odd}");
    }

    #[test]
    fn what_ld_so_would_call_too_long_is_not_said() {
        let rest = text("", "").unwrap().len();
        assert!(text(&"x".repeat(NAME_MAX - rest), "").is_some());
        assert_eq!(text(&"x".repeat(NAME_MAX - rest), "a"), None);
        assert_eq!(text("libx.so", &"x".repeat(5000)), None);
    }
}
