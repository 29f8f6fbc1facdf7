//! The same for tools.

use std::path::Path;

use serde_json::{Value, json};

use super::edge::{Edge, Reason};
use super::report::{Report, remedy, skip, tag, text};

/// The report as an object of JSON.
pub fn report(report: &Report<'_>) -> Value {
    let world = report.world;
    let edges = |edges: &[Edge]| edges.iter().map(|edge| library(report, edge)).collect::<Vec<_>>();
    let program = world.objects.get(0);
    let objects: Vec<_> = report
        .reached()
        .into_iter()
        .filter(|id| !report.opened.is_empty() || *id != 0)
        .map(|id| {
            let object = world.objects.get(id);
            json!({ "path": path(&object.path), "needs": edges(&object.edges) })
        })
        .collect();
    let lacking = report.lacking.iter().map(|lacking| {
        let path = |id: usize| path(&world.objects.get(id).path);
        json!({ "version": text(&lacking.version), "of": path(lacking.of), "by": path(lacking.by) })
    });
    json!({
        "subject": report.subject,
        "whole": report.is_whole(),
        "program": path(&program.path),
        "glibc": report.minor().map(|minor| format!("2.{minor}")),
        "audited": world.is_audited,
        "needs": edges(if report.opened.is_empty() { &program.edges } else { report.opened }),
        "objects": objects,
        "lacking_versions": lacking.collect::<Vec<_>>(),
    })
}

fn library(report: &Report<'_>, edge: &Edge) -> Value {
    match &edge.end {
        Ok(hit) => json!({
            "name": text(&edge.name),
            "path": path(&report.world.objects.get(hit.object).path),
            "rule": tag(hit.rule),
        }),
        Err(miss) => {
            let considered = miss.considered.iter().map(|considered| {
                let reason = considered.verdict.as_ref().err().map(skip);
                json!({ "path": text(&considered.path), "reason": reason })
            });
            let reason = match miss.reason {
                Reason::NoFile => "no file",
                Reason::Unloadable => "unloadable",
                Reason::Stale => "stale index",
                Reason::NotDeclared => "not declared",
                Reason::NoneFits(_) => "none fits",
                Reason::Doubted => "left to ld.so",
                Reason::Unsure(_) => "unsure",
            };
            json!({
                "name": text(&edge.name),
                "missing": reason,
                "message": text(&miss.message),
                "remedy": remedy(&edge.name, miss, report.world),
                "considered": considered.collect::<Vec<_>>(),
            })
        }
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
