//! What a broker answered, step by step, and its form as a file.

use std::collections::BTreeMap;
use std::fmt;

/// The fields of one answer.
pub type Fields = BTreeMap<String, String>;

/// The steps of one scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// In the order they were taken; labels are unique.
    pub steps: Vec<(String, Fields)>,
}

impl Transcript {
    /// Adds the fields of an answer.
    pub fn step(&mut self, label: &str, lines: Vec<(String, String)>) {
        let label = self.unused(label);
        self.steps.push((label, lines.into_iter().collect()));
    }

    /// Adds an outcome that has no fields.
    pub fn outcome(&mut self, label: &str, outcome: &str) {
        self.step(label, vec![("outcome".to_owned(), outcome.to_owned())]);
    }

    fn unused(&self, label: &str) -> String {
        let same = self.steps.iter().filter(|(used, _)| {
            used == label || used.strip_prefix(label).is_some_and(|rest| rest.starts_with(" #"))
        });
        match same.count() {
            0 => label.to_owned(),
            times => format!("{label} #{}", times + 1),
        }
    }

    /// Reads what Display wrote.
    pub fn parse(text: &str) -> Self {
        let mut transcript = Self::default();
        for line in text.lines() {
            if let Some(label) = line.strip_prefix("-- ") {
                transcript.steps.push((label.to_owned(), Fields::new()));
            } else if let Some((path, value)) = line.split_once(" = ")
                && let Some((_, fields)) = transcript.steps.last_mut()
            {
                fields.insert(path.to_owned(), value.to_owned());
            }
        }
        transcript
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, fields) in &self.steps {
            writeln!(f, "-- {label}")?;
            for (path, value) in fields {
                writeln!(f, "{path} = {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_survives_its_file() {
        let mut transcript = Transcript::default();
        transcript.step("a", vec![("x[1].y".into(), "= 2".into())]);
        transcript.outcome("a", "closed");
        transcript.outcome("a", "closed");
        assert_eq!(Transcript::parse(&transcript.to_string()), transcript);
        let labels: Vec<_> = transcript.steps.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["a", "a #2", "a #3"]);
    }
}
