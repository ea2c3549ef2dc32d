//! Deletes any number of rows in pieces, along an index, so that no statement takes long, whoever writes meanwhile waits little, and
//! what is done stays done however the run ends.

use std::time::{Duration, Instant};

use super::pace::Pace;
use super::{Connection, Kind, QueryOptions, Statement, StatementError, StoreError};
use crate::data::value::Value;

/// How many rows the first piece looks at, and the most and the fewest that a later one does. Fewer would hardly take less where a commit or
/// a thread's turn is what takes long, and the rests between them would be for nothing.
pub(super) const FIRST: i64 = 200;
const MOST: i64 = 5000;
const FEWEST: i64 = 200;
/// How long the deletion of a piece should take. Others wait for as long.
const GOAL: Duration = Duration::from_millis(20);
/// How long a run lasts before its rows are counted without waiting for its end, and how many are counted at most.
const TERM: Duration = Duration::from_secs(240);
const COUNTED: u32 = 1_000_000;
/// How often a piece may fail, in a row, before the run does. Each further attempt is at half as many rows.
const ATTEMPTS: u32 = 8;

/// Rows to delete: those of a table that meet a condition.
#[derive(Debug)]
pub struct Pieces {
    /// Statements without and with a place to begin after.
    from_start: Steps,
    further: Steps,
    /// How many rows there are. Parameters: the values of the bounds, and of the condition where there are no bounds.
    count: Statement,
    columns: usize,
    /// How many values the bounds take.
    bounds: usize,
    pace: Pace,
}

/// The statements of one piece.
#[derive(Debug)]
struct Steps {
    /// Finds the place where the piece ends. Parameters: the place it begins after, the values of the bounds, the number of rows to pass
    /// over.
    end: Statement,
    /// Up to the end that was found. By the number of leading columns that have one value in the whole piece: an index leads past them only
    /// where a statement says so. Parameters: these values, the rest of the places where it begins and ends, the values of the bounds and the
    /// condition.
    to_end: Vec<Work>,
    /// Up to the end of the table. Parameters: the place it begins after, the values of the bounds and the condition.
    to_last: Work,
}

/// Whether there is anything to delete, and its deletion.
#[derive(Debug)]
struct Work {
    look: Statement,
    delete: Statement,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// How many rows are gone.
    pub rows: u64,
    /// Whether the time was over before the end of the table.
    pub more: bool,
}

impl Pieces {
    /// The rows of `table` within the bounds that meet the condition: texts with one parameter between each two; an empty list is none.
    /// `along` are columns without NULL, best the first ones of an index, that tell rows apart: many rows that they do not tell apart
    /// are one piece. Rows beyond the bounds are not even looked at, if the index serves them, too.
    pub fn new(table: &str, along: &[&str], bounds: &[String], condition: &[String]) -> Result<Pieces, StatementError> {
        if let Some(name) = std::iter::once(&table).chain(along).find(|name| !is_name(name)) {
            return Err(StatementError::NotAName((*name).to_owned()));
        }
        if along.is_empty() {
            return Err(StatementError::NotAName(String::new()));
        }
        let steps = |begins: bool| Steps::new(table, along, begins, bounds, condition);
        let mut count = Text::default();
        count.add(&format!("select count(*) from (select 1 as one from {table} where "));
        count.append(if bounds.is_empty() { condition } else { bounds }).add(&format!("\nlimit {COUNTED}) as few"));
        Ok(Pieces {
            from_start: steps(false)?,
            further: steps(true)?,
            count: count.statement()?,
            columns: along.len(),
            bounds: bounds.len().saturating_sub(1),
            pace: Pace::default(),
        })
    }

    /// Deletes the rows, in pieces that are durable one by one, with pauses by [`Pace`]. Stops early after `time`. `params`: the values of
    /// the bounds, then those of the condition.
    pub async fn delete(&self, connection: &Connection, params: &[Value], time: Option<Duration>) -> Result<Deleted, StoreError> {
        let begun = Instant::now();
        let deleted = self.run(connection, params, begun, time.and_then(|time| begun.checked_add(time))).await?;
        if deleted.more {
            self.look_back(connection, params).await;
        } else {
            self.pace.done();
        }
        Ok(deleted)
    }

    /// Tells the pace how many rows are left.
    async fn look_back(&self, connection: &Connection, params: &[Value]) {
        let params = params.get(..self.count.params()).unwrap_or_default();
        match connection.run(&self.count, params, QueryOptions::default()).await {
            Ok(rows) => {
                let rows = rows.rows.first().and_then(|row| row.first()).and_then(Value::to_int);
                rows.into_iter().for_each(|rows| self.pace.left(rows.unsigned_abs()));
            }
            // What was deleted stays deleted.
            Err(error) => tracing::debug!(%error, "the rows that are left were not counted"),
        }
    }

    async fn run(
        &self,
        connection: &Connection,
        params: &[Value],
        begun: Instant,
        until: Option<Instant>,
    ) -> Result<Deleted, StoreError> {
        let mut deleted = Deleted::default();
        let (mut after, mut size, mut failures) = (None, FIRST, 0);
        let mut counted = begun;
        loop {
            let piece = Instant::now();
            let work = match self.piece(connection, params, after.as_deref(), size).await {
                Ok(Piece { rows, end, looked, took }) => {
                    failures = 0;
                    deleted.rows += rows;
                    if end.is_none() {
                        return Ok(deleted);
                    }
                    after = end;
                    size = fitting(size, took);
                    looked + took
                }
                // Another piece may be shorter, or luckier.
                Err(error) if matches!(error.kind, Kind::Timeout | Kind::Busy) && failures < ATTEMPTS => {
                    failures += 1;
                    size = (size / 2).max(1);
                    piece.elapsed()
                }
                Err(error) => return Err(error),
            };
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                deleted.more = true;
                return Ok(deleted);
            }
            if counted.elapsed() >= TERM {
                self.look_back(connection, params).await;
                counted = Instant::now();
            }
            let pause = self.pace.pause(work);
            tokio::time::sleep(left.map_or(pause, |left| pause.min(left))).await;
        }
    }

    async fn piece(
        &self,
        connection: &Connection,
        params: &[Value],
        after: Option<&[Value]>,
        size: i64,
    ) -> Result<Piece, StoreError> {
        let begun = Instant::now();
        let bounds = params.get(..self.bounds).unwrap_or_default();
        let first = match after {
            Some(_) => None,
            None => self.place(connection, &self.from_start, &[], bounds, 0).await?,
        };
        let steps = if after.is_some() { &self.further } else { &self.from_start };
        let end = self.place(connection, steps, after.unwrap_or_default(), bounds, size - 1).await?;
        let same = after.or(first.as_deref()).zip(end.as_deref()).map_or(0, |(begin, end)| same_numbers(begin, end));
        let (work, values) = match (&end, steps.to_end.get(same)) {
            (Some(end), Some(work)) => {
                let (same, end) = end.split_at(same);
                let after = after.and_then(|after| after.get(same.len()..)).unwrap_or_default();
                (work, [same, &spread(after), &spread(end), params].concat())
            }
            _ => (&steps.to_last, [&spread(after.unwrap_or_default()), params].concat()),
        };
        // Most pieces of a table in use have nothing to delete; reading them locks nobody out.
        let some = connection.run(&work.look, &values, QueryOptions::default()).await?;
        let looked = begun.elapsed();
        if some.rows.is_empty() {
            return Ok(Piece { rows: 0, end, looked, took: Duration::ZERO });
        }
        let deleted = connection.run_apart(&work.delete, &values).await?;
        Ok(Piece { rows: deleted.affected, end, looked, took: deleted.took })
    }

    /// The place of a row within the bounds, so many rows after another place or the start; `None` beyond the last.
    async fn place(
        &self,
        connection: &Connection,
        steps: &Steps,
        after: &[Value],
        bounds: &[Value],
        pass: i64,
    ) -> Result<Option<Vec<Value>>, StoreError> {
        let values = [&spread(after), bounds, &[Value::Int(pass)]].concat();
        let found = connection.run(&steps.end, &values, QueryOptions::default()).await?.rows.into_iter().next();
        if found.as_ref().is_some_and(|place| place.len() != self.columns || place.iter().any(Value::is_undefined)) {
            let detail = "rows cannot be deleted along a column that is NULL";
            return Err(StoreError::new(Kind::Invalid, connection.name(), detail));
        }
        Ok(found)
    }
}

/// What one piece was.
struct Piece {
    /// How many rows were deleted.
    rows: u64,
    /// Where it ended; `None`: at the end of the table.
    end: Option<Vec<Value>>,
    /// How long it took to find rows. That holds up nobody, and smaller pieces would find more often.
    looked: Duration,
    /// How long the deletion took, which is how long others waited.
    took: Duration,
}

#[cfg(test)]
impl Pieces {
    /// All its statements, each with whether it only runs where fewer rows than one piece has are left.
    pub(super) fn statements(&self) -> Vec<(&Statement, bool)> {
        let mut all = vec![(&self.count, false)];
        for Steps { end, to_end, to_last } in [&self.from_start, &self.further] {
            all.push((end, false));
            all.extend(to_end.iter().flat_map(|work| [(&work.look, false), (&work.delete, false)]));
            all.extend([(&to_last.look, true), (&to_last.delete, true)]);
        }
        all
    }
}

/// A place as the parameters of [`Text::bound`].
fn spread(place: &[Value]) -> Vec<Value> {
    let last = place.len().saturating_sub(1);
    place.iter().enumerate().flat_map(|(i, value)| std::iter::repeat_n(value.clone(), if i < last { 2 } else { 1 })).collect()
}

/// How many leading columns, but not the last one, have the same number in two places. Texts that are the same in one place of an index need
/// not have the same bytes.
fn same_numbers(one: &[Value], other: &[Value]) -> usize {
    let pairs = one.iter().zip(other).take(one.len().saturating_sub(1));
    pairs.take_while(|pair| matches!(pair, (Value::Int(one), Value::Int(other)) if one == other)).count()
}

/// The next piece's size, by how long this one took.
fn fitting(size: i64, took: Duration) -> i64 {
    if took > GOAL * 2 {
        (size / 2).max(FEWEST).min(size)
    } else if took < GOAL / 2 {
        (size * 2).min(MOST)
    } else {
        size
    }
}

impl Steps {
    fn new(table: &str, along: &[&str], begins: bool, bounds: &[String], condition: &[String]) -> Result<Steps, StatementError> {
        let list = along.join(", ");
        let mut end = Text::default();
        end.add(&format!("select {list} from {table}"));
        if begins {
            end.add(" where ").bound(along, ">", ">");
        }
        if !bounds.is_empty() {
            end.add(if begins { " and (" } else { " where (" }).append(bounds).add("\n)");
        }
        end.add(&format!(" order by {list} limit 1 offset ")).value();
        let work = |leading: &[&str], beyond: &[&str], ends: bool| -> Result<Work, StatementError> {
            let rest = |text: &mut Text| {
                for column in leading {
                    text.add(&format!("{column} = ")).value().add(" and ");
                }
                if begins {
                    text.bound(beyond, ">", ">").add(" and ");
                }
                if ends {
                    text.bound(beyond, "<", "<=").add(" and ");
                }
                let both = !bounds.is_empty() && !condition.is_empty();
                text.add("(").append(bounds).add(if both { "\n) and (" } else { "" }).append(condition).add("\n)");
            };
            let mut look = Text::default();
            rest(look.add(&format!("select 1 from {table} where ")));
            look.add(" limit 1");
            let mut delete = Text::default();
            rest(delete.add(&format!("delete from {table} where ")));
            Ok(Work { look: look.statement()?, delete: delete.statement()? })
        };
        let to_end = (0..along.len()).map(|same| along.split_at(same)).map(|(leading, beyond)| work(leading, beyond, true));
        Ok(Steps { end: end.statement()?, to_end: to_end.collect::<Result<_, _>>()?, to_last: work(&[], along, false)? })
    }
}

/// A statement in the making: texts, with one parameter between each two.
#[derive(Default)]
struct Text(Vec<String>);

impl Text {
    fn add(&mut self, text: &str) -> &mut Text {
        match self.0.last_mut() {
            Some(last) => last.push_str(text),
            None => self.0.push(text.to_owned()),
        }
        self
    }

    fn value(&mut self) -> &mut Text {
        self.0.push(String::new());
        self
    }

    fn append(&mut self, texts: &[String]) -> &mut Text {
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                self.value();
            }
            self.add(text);
        }
        self
    }

    /// The condition that these columns are beyond a place, in the order of the first, where that is the same of the second, and so on.
    /// Without `=`, which compares bytes here: what an index has in one place counts as the same.
    fn bound(&mut self, columns: &[&str], beyond: &str, last: &str) -> &mut Text {
        match columns {
            [] => self,
            [column] => self.add(&format!("{column} {last} ")).value(),
            // The first comparison is for the index.
            [column, rest @ ..] => {
                self.add(&format!("({column} {beyond}= ")).value();
                self.add(&format!(" and ({column} {beyond} ")).value().add(" or ");
                self.bound(rest, beyond, last).add("))")
            }
        }
    }

    fn statement(&self) -> Result<Statement, StatementError> {
        Statement::new(&self.0)
    }
}

/// Whether this is the plain name of a table or column.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
