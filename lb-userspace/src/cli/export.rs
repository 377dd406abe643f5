//! `holdfast export`: files that are shipped, for other programs.

use super::{
    args::Export,
    error::{Error, Exit},
    terminal::Terminal,
};
use crate::api::openapi;

const RULES: &str = include_str!("../../packaging/prometheus-rules.yaml");
const DASHBOARD: &str = include_str!("../../packaging/grafana-dashboard.json");

pub(super) fn export(what: Export, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    match what {
        Export::PrometheusRules => terminal.print(RULES)?,
        Export::Grafana => terminal.print(DASHBOARD)?,
        Export::Openapi => {
            let document = serde_json::to_string_pretty(openapi::document()).map_err(Error::Json)?;
            terminal.print(&document)?;
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{DASHBOARD, RULES};

    /// Words of an expression that are names of metrics.
    fn named(expression: &str) -> BTreeSet<String> {
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let metrics = words.filter(|word| word.starts_with("holdfast_") || word.starts_with("process_"));
        metrics.map(str::to_owned).collect()
    }

    /// Names of the samples that a scrape has.
    fn scraped() -> BTreeSet<String> {
        let mut text = String::new();
        crate::metrics::sample().write(&mut text).expect("a String takes all");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned()))
            .collect()
    }

    #[test]
    fn every_metric_of_the_alerts_is_scraped() {
        let rules: Value = serde_saphyr::from_str(RULES).expect("it is YAML");
        let rules = rules["groups"][0]["rules"].as_array().expect("a list").clone();
        assert!(rules.len() > 10, "{}", rules.len());
        for rule in rules {
            let metrics = named(rule["expr"].as_str().expect("an expression"));
            assert!(!metrics.is_empty(), "{rule}");
            for metric in metrics {
                assert!(scraped().contains(&metric), "{metric} in {rule}");
            }
            for text in ["alert", "for"] {
                assert!(rule[text].is_string(), "{rule}");
            }
            assert!(rule["annotations"]["description"].is_string(), "{rule}");
        }
    }

    #[test]
    fn every_metric_of_the_dashboard_is_scraped() {
        let dashboard: Value = serde_json::from_str(DASHBOARD).expect("it is JSON");
        let panels = dashboard["panels"].as_array().expect("a list").clone();
        assert!(panels.len() > 10, "{}", panels.len());
        for panel in panels {
            for metric in named(panel["targets"][0]["expr"].as_str().expect("an expression")) {
                assert!(scraped().contains(&metric), "{metric} in {}", panel["title"]);
            }
        }
    }
}
