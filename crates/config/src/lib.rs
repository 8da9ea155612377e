//! pmacctd.conf and its YAML form, as typed settings.
