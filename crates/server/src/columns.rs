//! Lines of text whose columns stand below each other.

/// One long list must not push every other value out of sight.
const WIDTH_MAX: usize = 56;

/// The lines, columns two blanks apart.
pub(crate) fn align<const N: usize>(lines: impl IntoIterator<Item = [String; N]>) -> String {
    let lines: Vec<[String; N]> = lines.into_iter().collect();
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count()).min(WIDTH_MAX);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
