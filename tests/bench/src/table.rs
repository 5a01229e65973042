//! Text tables: columns as wide as their widest cell, the first left-aligned, the others right.

/// Rows of cells under a head line.
pub struct Table {
    rows: Vec<Vec<String>>,
}

/// A table whose rows are printed as they come, for one that takes its time: the widths follow from the titles.
pub struct LiveTable {
    widths: Vec<usize>,
}

impl LiveTable {
    /// Prints the head line.
    pub fn new(titles: &[&str]) -> LiveTable {
        /// What the longest row's name and the usual figures need.
        const FIRST: usize = 22;
        const OTHERS: usize = 9;
        let width =
            |(column, title): (usize, &&str)| title.len().max(if column == 0 { FIRST } else { OTHERS });
        let table = LiveTable { widths: titles.iter().enumerate().map(width).collect() };
        table.row(titles.iter().map(ToString::to_string));
        println!("{}", "-".repeat(table.widths.iter().sum::<usize>() + 2 * (titles.len() - 1)));
        table
    }

    /// Prints a row; missing cells at its end stay empty.
    pub fn row(&self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        println!("{}", line(&cells, &self.widths));
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (column, &width) in widths.iter().enumerate() {
        let cell = row.get(column).map_or("", String::as_str);
        line += &if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
    }
    line.trim_end().to_owned()
}

impl Table {
    /// A table with these column titles.
    pub fn new(titles: &[&str]) -> Table {
        Table { rows: vec![titles.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row; missing cells at its end stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints everything, with a rule under the titles and an empty line behind.
    pub fn print(&self) {
        print!("{}", self.render());
    }

    fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            out += &line(row, &widths);
            out.push('\n');
            if number == 0 {
                let rule: usize = widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1);
                out += &"-".repeat(rule);
                out.push('\n');
            }
        }
        out.push('\n');
        out
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["name", "n"]);
        table.row(["a".to_owned(), "1".to_owned()]);
        table.row(["longer".to_owned(), "123".to_owned()]);
        assert_eq!(table.render(), "name      n\n-----------\na         1\nlonger  123\n\n");
    }

    #[test]
    fn groups_of_three() {
        for (number, expected) in [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (1234567.4, "1,234,567")] {
            assert_eq!(thousands(number), expected);
        }
    }
}
