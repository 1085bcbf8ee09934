//! Bars of ratios, as SVG that is readable on light and on dark pages.

use std::fmt::Write as _;

use super::{Kind, Row, rounded};

/// Ratios of one figure.
pub(crate) struct Chart {
    /// The file that it goes into.
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) less_is_better: bool,
    pub(crate) bars: Vec<Bar>,
}

/// One entry's ratio, and its spread.
pub(crate) struct Bar {
    name: String,
    kind: Kind,
    figure: f64,
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Bar {
    /// Of a row's ratio, unless there is none.
    pub(crate) fn of(row: &Row, column: usize) -> Option<Self> {
        let ratio = row.ratios[column];
        ratio.median.is_finite().then(|| Self {
            name: row.name.clone(),
            kind: row.kind,
            figure: ratio.figure,
            median: ratio.median,
            lowest: ratio.lowest,
            highest: ratio.highest,
        })
    }
}

const WIDTH: f64 = 820.0;
/// Where the page begins, left of zero: the longest names need it.
const EDGE: f64 = -60.0;
/// Where bars begin: names are left of it.
const LEFT: f64 = 240.0;
/// How long the longest bar is; figures are right of it.
const LENGTH: f64 = 360.0;
/// How much longer than the longest bar a spread may be.
const SPREAD_MAX: f64 = 1.25;
const TOP: f64 = 58.0;
const ROW: f64 = 26.0;

/// Neutral colours without a background: the page's shows through, whichever it is.
const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 15px; }
.note { fill: #57606a; font-size: 12px; }
.base { stroke: #57606a; stroke-dasharray: 3 3; }
.spread { stroke: #24292f; stroke-width: 1.5; }
.raw { fill: #8c959f; }
.link { fill: #218bff; }
.peer { fill: #d4a72c; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.note { fill: #9198a1; }
.base { stroke: #9198a1; }
.spread { stroke: #e6edf3; }
.raw { fill: #6e7681; }
.link { fill: #388bfd; }
.peer { fill: #bb8009; }
}
";

impl Chart {
    /// The file's content.
    #[expect(clippy::cast_precision_loss, reason = "there are few bars")]
    pub(crate) fn svg(&self) -> String {
        let height = TOP + ROW * self.bars.len() as f64 + 12.0;
        // A spread far beyond every bar ends at the edge: the bars stay readable.
        let median = self.bars.iter().map(|bar| bar.median).fold(1.0, f64::max);
        let highest = self.bars.iter().map(|bar| bar.highest).fold(median, f64::max);
        let longest = highest.min(SPREAD_MAX * median);
        let scale = LENGTH / longest;
        let title = escaped(&self.title);
        let begin = EDGE + 8.0;
        let better = if self.less_is_better { "shorter is better" } else { "longer is better" };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{EDGE} 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
             <text class=\"title\" x=\"{begin}\" y=\"20\">{title}</text>\n\
             <text class=\"note\" x=\"{begin}\" y=\"40\">ratio to the base, the dashed line; {better}; median and \
             spread of the rounds</text>\n"
        );
        for (index, bar) in self.bars.iter().enumerate() {
            svg += &bar.svg(TOP + ROW * index as f64, scale);
        }
        let base = LEFT + scale;
        let _ = writeln!(
            svg,
            "<line class=\"base\" x1=\"{base:.1}\" y1=\"{:.1}\" x2=\"{base:.1}\" y2=\"{:.1}\"/>\n</svg>",
            TOP - 6.0,
            height - 8.0
        );
        svg
    }
}

impl Bar {
    fn svg(&self, top: f64, scale: f64) -> String {
        let class = match self.kind {
            Kind::Raw => "raw",
            Kind::Link => "link",
            Kind::Peer => "peer",
        };
        let (middle, text) = (top + ROW / 2.0, top + ROW / 2.0 + 4.5);
        let mut svg = format!(
            "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>\n",
            LEFT - 8.0,
            escaped(&self.name),
            top + 4.0,
            self.median * scale,
            ROW - 8.0
        );
        let ends = (LEFT + self.lowest * scale, LEFT + (self.highest * scale).min(LENGTH));
        let _ = writeln!(
            svg,
            "<line class=\"spread\" x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{text:.1}\">{:.2} ({})</text>",
            ends.0,
            ends.1,
            ends.1.max(LEFT + self.median * scale) + 8.0,
            self.median,
            rounded(self.figure)
        );
        svg
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
