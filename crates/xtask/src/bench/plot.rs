//! A curve as SVG: one series over a logarithmic axis, readable on white and on black.

use std::fmt::Write as _;

use super::stats::short;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 310.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 690.0;

/// A curve through points whose `x` is shown by its logarithm.
pub(crate) fn curve(title: &str, x_name: &str, y_name: &str, points: &[(f64, f64)]) -> String {
    let low = points.iter().map(|(x, _)| x.log10()).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|(x, _)| x.log10()).fold(low + 1e-9, f64::max);
    let ceiling = nice(points.iter().map(|(_, y)| *y).fold(0.0, f64::max));
    let place = |(x, y): (f64, f64)| {
        let across = LEFT + (x.log10() - low) / (high - low) * (RIGHT - LEFT);
        (across, BOTTOM - y / ceiling * (BOTTOM - TOP))
    };

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    let mut text = |x: f64, y: f64, anchor: &str, words: &str| {
        let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
    };
    text(LEFT, 22.0, "start", title);
    text(f64::midpoint(LEFT, RIGHT), HEIGHT - 12.0, "middle", x_name);
    text(LEFT - 8.0, TOP - 4.0, "end", y_name);
    let lines = [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| part * ceiling);
    for y in lines {
        text(LEFT - 8.0, place((10_f64.powf(low), y)).1 + 4.0, "end", &short(y));
    }
    for (x, y) in points {
        let (across, up) = place((*x, *y));
        text(across, BOTTOM + 18.0, "middle", &count(*x));
        text(across, up - 10.0, "middle", &short(*y));
    }
    for y in lines {
        let up = place((10_f64.powf(low), y)).1;
        let _ = writeln!(out, "<path d=\"M{LEFT} {up:.1}H{RIGHT}\" stroke=\"#ddd\"/>");
    }
    let path: Vec<_> =
        points.iter().map(|point| place(*point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>",
        path.join(" ")
    );
    for (x, y) in points.iter().map(|point| place(*point)) {
        let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"#06c\"/>");
    }
    out + "</svg>\n"
}

/// The next round number: 1, 2 or 5 and zeros.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|round| *round >= value).unwrap_or(value)
}

/// `10000` as `10 k`.
fn count(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{} M", n / 1e6),
        n if n >= 1e3 => format!("{} k", n / 1e3),
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_its_points_within_the_frame() {
        let svg = curve("Growth", "flows", "ns", &[(1e3, 20.0), (1e5, 60.0), (1e7, 180.0)]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("points=\"60.0,283.0 375.0,229.0 690.0,67.0\""), "{svg}");
        assert!(svg.contains(">10 M</text>") && svg.contains(">100 k</text>"));
    }

    #[test]
    fn ceilings_are_round() {
        assert!((nice(180.0) - 200.0).abs() < 1e-9 && (nice(21.0) - 50.0).abs() < 1e-9);
    }
}
