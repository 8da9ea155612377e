//! The catalogue: every plugin that rpmacctd was built with.
//!
//! A new plugin is a crate in this folder and a line here.
#![forbid(unsafe_code)]

use rpmacct_plugin::Plugin;

/// The plugins, in the order in which they are listed to people.
pub static CATALOGUE: &[&dyn Plugin] =
    &[&rpmacct_memory::Memory, &rpmacct_print::Print, &rpmacct_carbon::Carbon];

#[cfg(test)]
mod tests {
    use super::CATALOGUE;

    #[test]
    fn every_plugin_has_a_word_of_its_own_and_is_documented() {
        for (i, plugin) in CATALOGUE.iter().enumerate() {
            let kind = plugin.kind();
            assert_eq!(kind, kind.to_lowercase());
            assert!(CATALOGUE[..i].iter().all(|other| other.kind() != kind), "two plugins are called {kind}");
            assert!(!plugin.doc().is_empty(), "{kind} is not documented");
        }
    }

    #[test]
    fn no_two_plugins_have_a_key_or_an_option_in_common() {
        rpmacct_config::Registry::new(CATALOGUE.iter().flat_map(|plugin| plugin.keys().iter().copied()));
    }

    #[test]
    fn every_key_is_documented() {
        for plugin in CATALOGUE {
            for key in plugin.keys() {
                assert!(!key.doc.is_empty(), "{} of {} is not documented", key.name, plugin.kind());
            }
        }
    }
}
