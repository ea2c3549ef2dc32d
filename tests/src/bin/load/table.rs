//! The table that a run prints.

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Aim {
    /// No more than this.
    AtMost(f64),
}

/// A row of ratios.
pub struct Row {
    name: String,
    aim: Option<f64>,
    floors: Vec<f64>,
    ours: Vec<f64>,
}

impl Row {
    /// An empty row; `aim` is the least ratio.
    pub fn new(name: &str, aim: Option<f64>) -> Row {
        Row { name: name.to_owned(), aim, floors: Vec::new(), ours: Vec::new() }
    }

    /// Adds a round: requests a second of the floor and of the gateway.
    pub fn add(&mut self, floor: f64, ours: f64) {
        self.floors.push(floor);
        self.ours.push(ours);
    }
}

/// All rows.
pub struct Table {
    lines: Vec<[String; 6]>,
    facts: Vec<[String; 3]>,
}

impl Table {
    /// A table under a heading.
    pub fn new(heading: &str) -> Table {
        println!("{heading}");
        Table { lines: Vec::new(), facts: Vec::new() }
    }

    /// Adds a row, and shows it at once.
    pub fn row(&mut self, mut row: Row) {
        let mut ratios: Vec<f64> = row.floors.iter().zip(&row.ours).map(|(floor, ours)| ours / floor).collect();
        let middle = median(&mut ratios);
        let percent =
            |ratio: f64| if ratio < 0.1 { format!("{:.1} %", ratio * 100.0) } else { format!("{:.0} %", ratio * 100.0) };
        let range = match (ratios.first(), ratios.last()) {
            (Some(least), Some(most)) => format!("{} – {}", percent(*least), percent(*most)),
            _ => String::new(),
        };
        let aim = row
            .aim
            .map_or_else(String::new, |aim| format!("≥ {} {}", percent(aim), if middle >= aim { "met" } else { "MISSED" }));
        let line = [
            row.name,
            format!("{:.0}", median(&mut row.floors)),
            format!("{:.0}", median(&mut row.ours)),
            percent(middle),
            range,
            aim,
        ];
        eprintln!("{}", line.join(" | "));
        self.lines.push(line);
    }

    /// Adds a figure that is no ratio.
    pub fn fact(&mut self, name: &str, text: String, aim: Aim, value: f64) {
        let Aim::AtMost(most) = aim;
        let aim = format!("≤ {most} {}", if value <= most { "met" } else { "MISSED" });
        eprintln!("{name} | {text} | {aim}");
        self.facts.push([name.to_owned(), text, aim]);
    }

    /// Prints everything as Markdown.
    pub fn print(&self) {
        println!("\n| | bare hyper /s | Portcullis /s | ratio | range | aim |\n|---|---:|---:|---:|---|---|");
        for line in &self.lines {
            println!("| {} |", line.join(" | "));
        }
        println!("\n| | measured | aim |\n|---|---|---|");
        for fact in &self.facts {
            println!("| {} |", fact.join(" | "));
        }
    }
}

/// The middle value.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
