//! The word that somebody meant.

/// The candidate that `word` is most likely a slip of, if there is one.
///
/// Conservative: a wrong guess is worse than none. Slips are letters too much, too few, others, or two
/// exchanged; one is forgiven from three letters on, two from eight, three from sixteen. Case does not matter.
///
/// ```
/// use rpmacct_config::nearest;
///
/// assert_eq!(nearest("jsn", ["formatted", "csv", "json"]), Some("json"));
/// assert_eq!(nearest("xml", ["formatted", "csv", "json"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let len = word.chars().count();
    let forgiven = match len {
        0..=2 => 0,
        3..=7 => 1,
        8..=15 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(len) <= forgiven)
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(slips, _)| *slips <= forgiven)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_forgiven() {
        let keys = ["aggregate", "print_output", "print_output_file", "plugins"];
        for (word, meant) in [
            ("agregate", "aggregate"),
            ("aggreagte", "aggregate"),
            ("print_outptu", "print_output"),
            ("print-output-file", "print_output_file"),
            ("plugin", "plugins"),
            ("Plugins", "plugins"),
        ] {
            assert_eq!(nearest(word, keys), Some(meant), "{word}");
        }
    }

    #[test]
    fn other_words_are_not() {
        let keys = ["aggregate", "print_output", "a", "tcp", "debug"];
        for word in ["", "b", "foobar", "include", "udp", "aggregation", "print"] {
            assert_eq!(nearest(word, keys), None, "{word}");
        }
    }

    #[test]
    fn the_nearest_wins() {
        assert_eq!(
            nearest("print_output_fil", ["print_output_files", "print_output_file"]),
            Some("print_output_file")
        );
    }
}
