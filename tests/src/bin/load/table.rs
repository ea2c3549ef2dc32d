//! The table that a run prints.

/// The aim for a figure.
#[derive(Clone, Copy)]
pub enum Aim {
    /// No more than this.
    AtMost(f64),
    /// There is none.
    None,
}

/// A row of ratios.
pub struct Row {
    name: String,
    aim: Option<f64>,
    floors: Vec<Measured>,
    ours: Vec<Measured>,
}

/// One measurement.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Requests a second.
    pub rate: f64,
    /// Microseconds of a processor that the server spent on one.
    pub micros: f64,
}

impl Row {
    /// An empty row; `aim` is the least ratio.
    pub fn new(name: &str, aim: Option<f64>) -> Row {
        Row { name: name.to_owned(), aim, floors: Vec::new(), ours: Vec::new() }
    }

    /// Adds a round: the floor and the gateway.
    pub fn add(&mut self, floor: Measured, ours: Measured) {
        self.floors.push(floor);
        self.ours.push(ours);
    }
}

/// What a request costs that anybody may send.
pub struct Hostile {
    /// What it is.
    pub name: String,
    /// Microseconds of a processor.
    pub micros: f64,
    /// Bytes of it.
    pub sent: usize,
    /// Bytes of its answer.
    pub answered: usize,
    /// By how many bytes the gateway grew while such requests came.
    pub kept: u64,
    /// What bounds it.
    pub limit: &'static str,
}

/// All rows.
pub struct Table {
    lines: Vec<[String; 7]>,
    hostile: Vec<[String; 6]>,
    facts: Vec<[String; 3]>,
}

impl Table {
    /// A table under a heading.
    pub fn new(heading: &str) -> Table {
        println!("{heading}");
        Table { lines: Vec::new(), hostile: Vec::new(), facts: Vec::new() }
    }

    /// Adds a row and prints it at once.
    pub fn row(&mut self, row: Row) {
        let ratios = |of: fn(&Measured, &Measured) -> f64| -> Vec<f64> {
            row.floors.iter().zip(&row.ours).map(|(floor, ours)| of(floor, ours)).collect()
        };
        let mut spent = ratios(|floor, ours| floor.micros / ours.micros);
        let mut ratios = ratios(|floor, ours| ours.rate / floor.rate);
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
        let both = |of: &[Measured]| {
            let middle = |value: fn(&Measured) -> f64| median(&mut of.iter().map(value).collect::<Vec<f64>>());
            format!("{:.0} ({:.1} µs)", middle(|one| one.rate), middle(|one| one.micros))
        };
        let line = [row.name, both(&row.floors), both(&row.ours), percent(middle), range, percent(median(&mut spent)), aim];
        eprintln!("{}", line.join(" | "));
        self.lines.push(line);
    }

    /// Adds a request that anybody may send.
    pub fn hostile(&mut self, row: Hostile) {
        let Hostile { name, micros, sent, answered, kept, limit } = row;
        let kept = format!("{:.1} MiB", kept as f64 / f64::from(1 << 20));
        let line = [name, format!("{micros:.0} µs"), sent.to_string(), answered.to_string(), kept, limit.to_owned()];
        eprintln!("{}", line.join(" | "));
        self.hostile.push(line);
    }

    /// Adds a figure that is not a ratio.
    pub fn fact(&mut self, name: &str, text: String, aim: Aim, value: f64) {
        let aim = match aim {
            Aim::AtMost(most) => format!("≤ {most} {}", if value <= most { "met" } else { "MISSED" }),
            Aim::None => String::new(),
        };
        eprintln!("{name} | {text} | {aim}");
        self.facts.push([name.to_owned(), text, aim]);
    }

    /// Prints everything as Markdown.
    pub fn print(&self) {
        println!(
            "\n| | bare hyper /s | Portcullis /s | ratio | range | of processor time | aim |\n|---|---:|---:|---:|---|---:|---|"
        );
        for line in &self.lines {
            println!("| {} |", line.join(" | "));
        }
        if !self.hostile.is_empty() {
            println!(
                "\n| anybody may send | processor | bytes sent | bytes answered | memory grew by | limit |\n|---|---:|---:|---:|---:|---|"
            );
        }
        for line in &self.hostile {
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
