//! The table `INDEX.md`: what an independent reader found in each frame.
//!
//! The last column of a row holds `key=value` pairs with `; ` between them. Only rows of whole
//! frames that real peers sent have it.

use std::collections::BTreeMap;

/// What a frame holds, in the words of `INDEX.md`. `None` where the row says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    fields: BTreeMap<String, String>,
}

impl Expected {
    /// The text of one field, such as `kind`, `service` or `outcome`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The id as it stands in the frame: Dubbo's as a signed number.
    pub fn id(&self) -> Option<i64> {
        self.field("id")?.parse().ok()
    }

    /// The outcome class: what the code tables make of the status.
    pub fn class(&self) -> Option<&str> {
        self.field("outcome")?.split(" by its code").next()
    }

    /// Header map entries or attachments.
    pub fn headers(&self) -> Option<BTreeMap<String, String>> {
        let json = self
            .field("headers")
            .or_else(|| self.field("attachments"))?;
        serde_json::from_str(json).ok()
    }
}

/// The rows of the table that say what a frame holds, by the name of the vector.
pub fn parse(markdown: &str) -> Vec<(String, Expected)> {
    markdown.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<(String, Expected)> {
    let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|');
    let name = cells.next()?.trim().strip_suffix(".hex")?;
    let last = cells.next_back()?.trim();
    last.starts_with("protocol=").then(|| {
        let fields = fields(last);
        (name.to_owned(), Expected { fields })
    })
}

/// Splits `a=1; b=2`. A text may hold `; ` itself: what does not begin with `name=` belongs to the
/// field before it.
fn fields(cell: &str) -> BTreeMap<String, String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for part in cell.split("; ") {
        match (part.split_once('='), fields.last_mut()) {
            (Some((name, value)), _) if is_name(name) => {
                fields.push((name.to_owned(), value.to_owned()));
            }
            (_, Some((_, text))) => {
                text.push_str("; ");
                text.push_str(part);
            }
            (_, None) => {}
        }
    }
    fields.into_iter().collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_an_expectation_are_read() {
        let rows = parse(
            "| file | octets | made by | meaning | expected |\n\
             |---|---|---|---|---|\n\
             | a.hex | 3 | x | y | protocol=dubbo2; id=-7; text=one; two; outcome=codec by its code; really: z; attachments={\"k\": \"v\"} |\n\
             | b.hex | 3 | x | y |\n",
        );
        let [(name, expected)] = &rows[..] else {
            panic!("{rows:?}")
        };
        assert_eq!((name.as_str(), expected.id()), ("a", Some(-7)));
        assert_eq!(expected.field("text"), Some("one; two"));
        assert_eq!(expected.class(), Some("codec"));
        assert_eq!(expected.headers().unwrap()["k"], "v");
    }
}
