//! When a listener filter is left out: `filter_disabled`.

/// A rule about the local port of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Predicate {
    /// Every connection.
    Always,
    /// Those to a port from the first up to but without the second.
    Ports(i64, i64),
    Not(Box<Self>),
    /// Those that one of the rules holds for.
    Or(Vec<Self>),
    /// Those that all of the rules hold for.
    And(Vec<Self>),
}

impl Predicate {
    /// Whether the rule holds for connections to this port.
    pub(crate) fn holds(&self, port: u16) -> bool {
        match self {
            Self::Always => true,
            Self::Ports(first, end) => (*first..*end).contains(&i64::from(port)),
            Self::Not(rule) => !rule.holds(port),
            Self::Or(rules) => rules.iter().any(|rule| rule.holds(port)),
            Self::And(rules) => rules.iter().all(|rule| rule.holds(port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Predicate::{Always, And, Not, Or, Ports};

    #[test]
    fn rules_are_combined() {
        let rule = Or(vec![
            Ports(15006, 15007),
            And(vec![Not(Box::new(Ports(0, 80))), Ports(0, 90)]),
        ]);
        let held: Vec<u16> = [79, 80, 89, 90, 15006, 15007].into();
        let held: Vec<_> = held.into_iter().filter(|port| rule.holds(*port)).collect();
        assert_eq!(held, [80, 89, 15006]);
        assert!(Always.holds(1) && !Not(Box::new(Always)).holds(1));
    }
}
