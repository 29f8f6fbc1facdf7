//! The plot of docs/performance.md: how long programs take to start, and what more directories do to that.

use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use suite::starts::{Figures, Starts};
use suite::ways::Way;
use suite::workloads::Kind;

/// Colours that those who are colour-blind can tell apart (Okabe and Ito's), in the order of [`Way::ALL`].
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(140, 140, 140),
];

const WIDTH: u32 = 960;
const HEIGHT: u32 = 1080;
const CAPTION: (&str, u32) = ("sans-serif", 17);
const LABEL: (&str, u32) = ("sans-serif", 13);
/// Bars that are higher say how high.
const HIGHEST: f64 = 2.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws one channel's figures as an SVG.
pub fn draw(all: &[Starts], channel: &str) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&WHITE)?;
        let (legend, rest) = root.split_vertically(54);
        draw_legend(&legend)?;
        let panels = rest.split_evenly((3, 1));
        let programs: Vec<&Starts> = all.iter().filter(|starts| Kind::PROGRAMS.contains(&starts.kind)).collect();
        let title = format!("Time to start, × ld.so ({channel})");
        bars(&panels[0], &title, &programs, |figures| figures.wall.as_secs_f64())?;
        let title = "The same with each call that names a file held up by 1 ms, as by a file server";
        bars(&panels[1], title, &programs, |figures| figures.delayed.as_secs_f64())?;
        lines(&panels[2], "System calls to start a program of 10 libraries, by the number of directories", all)?;
        root.present()?;
    }
    Ok(svg)
}

fn draw_legend(area: &Area) -> Result<()> {
    for ((way, colour), number) in Way::ALL.into_iter().zip(COLOURS).zip(0..) {
        let (left, top) = (64 + 225 * (number % 4), 12 + 20 * (number / 4));
        area.draw(&Rectangle::new([(left, top), (left + 12, top + 12)], colour.filled()))?;
        area.draw(&Text::new(way.title(), (left + 17, top + 1), LABEL))?;
    }
    Ok(())
}

/// A bar for each way and program, as high as a figure is, as a part of stock ld.so's.
fn bars(area: &Area, title: &str, all: &[&Starts], figure: fn(&Figures) -> f64) -> Result<()> {
    let groups = all.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(title, CAPTION)
        .margin(12)
        .x_label_area_size(26)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..groups, 0.0..HIGHEST * 1.08)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(TRANSPARENT)
        .y_labels(6)
        .label_style(LABEL)
        .draw()?;
    let width = 0.84 / Way::ALL.len() as f64;
    for (group, starts) in all.iter().enumerate() {
        let stock = starts.of(Way::Stock).map(figure).context("nothing was measured of ld.so")?;
        let group = group as f64;
        for (number, (figures, colour)) in starts.figures.iter().zip(COLOURS).enumerate() {
            let times = figure(figures) / stock;
            let left = group + 0.08 + width * number as f64;
            let bar = Rectangle::new([(left, 0.0), (left + width * 0.9, times.min(HIGHEST))], colour.filled());
            chart.draw_series([bar])?;
            if times > HIGHEST {
                chart.draw_series([Text::new(format!("{times:.1}"), (left, HIGHEST * 1.07), LABEL)])?;
            }
        }
        let (x, y) = chart.backend_coord(&(group + 0.08, 0.0));
        let (dx, dy) = area.get_base_pixel();
        area.draw(&Text::new(starts.name.as_str(), (x - dx, y - dy + 8), LABEL))?;
    }
    chart.draw_series([PathElement::new([(0.0, 1.0), (groups, 1.0)], BLACK.mix(0.4))])?;
    Ok(())
}

/// A line for each way, over the number of directories.
fn lines(area: &Area, title: &str, all: &[Starts]) -> Result<()> {
    let mut series: Vec<(Way, Vec<(f64, f64)>)> = Way::ALL.map(|way| (way, Vec::new())).into();
    for starts in all.iter().filter(|starts| Kind::GROWTH.contains(&starts.kind)) {
        let Kind::MadeUp { directories, .. } = starts.kind else { continue };
        for (way, points) in &mut series {
            points.extend(starts.of(*way).map(|figures| (directories as f64, figures.calls as f64)));
        }
    }
    let points = || series.iter().flat_map(|(_, points)| points);
    let (first, last) = bounds(points().map(|(x, _)| *x)).context("there is no series")?;
    let (fewest, most) = bounds(points().map(|(_, y)| *y)).context("there is no series")?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, CAPTION)
        .margin(12)
        .x_label_area_size(26)
        .y_label_area_size(52)
        .build_cartesian_2d((first..last).log_scale(), (fewest * 0.8..most * 1.2).log_scale())?;
    let number = |number: &f64| format!("{number:.0}");
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .label_style(LABEL)
        .draw()?;
    for ((_, points), colour) in series.iter().zip(COLOURS) {
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
    }
    Ok(())
}

/// The least and the greatest.
fn bounds(numbers: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    numbers.fold(None, |bounds, number| {
        let (least, greatest) = bounds.unwrap_or((number, number));
        Some((least.min(number), greatest.max(number)))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn starts(kind: Kind, name: &str) -> Starts {
        let figures = |(number, way): (usize, Way)| Figures {
            way,
            failed_opens: 0,
            calls: 100 + number,
            instructions: 1000,
            auditor: 0,
            wall: Duration::from_millis(1 + number as u64),
            delayed: Duration::from_millis(1),
        };
        let figures = Way::ALL.into_iter().enumerate().map(figures).collect();
        Starts { kind, name: name.to_owned(), libraries: 1, figures }
    }

    #[test]
    fn every_way_and_program_is_in_the_plot() {
        let growth = Kind::GROWTH.map(|kind| starts(kind, "growth"));
        let all: Vec<Starts> = [starts(Kind::Hello, "greeting")].into_iter().chain(growth).collect();
        let svg = draw(&all, "trixie 2.41").unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert_eq!(svg.matches("greeting").count(), 2);
        assert!(!svg.contains("growth"));
        assert!(Way::ALL.iter().all(|way| svg.contains(way.title())));
        // Higher than the panel: what it would be is written there.
        assert!(svg.contains("\n8.0\n"));
        assert_eq!(svg.matches("<circle").count(), Kind::GROWTH.len() * Way::ALL.len());
    }

    #[test]
    fn bounds_hold_everything() {
        assert_eq!(bounds([3.0, 1.0, 2.0].into_iter()), Some((1.0, 3.0)));
        assert_eq!(bounds(std::iter::empty()), None);
    }
}
