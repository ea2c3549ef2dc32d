//! Spans and metrics in the JSON form of OTLP: names in lower camel case, identifiers in hexadecimal, 64-bit numbers as texts.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::services::telemetry::{Attribute, Side, Span};

/// What all of it is about.
fn resource() -> Json {
    json!({ "attributes": [
        { "key": "service.name", "value": { "stringValue": "portcullis" } },
        { "key": "service.version", "value": { "stringValue": env!("CARGO_PKG_VERSION") } },
        { "key": "process.pid", "value": { "intValue": std::process::id().to_string() } },
    ] })
}

fn scope() -> Json {
    json!({ "name": "portcullis" })
}

/// `ExportTraceServiceRequest`.
pub(super) fn traces(spans: &[Span]) -> Json {
    let spans: Vec<Json> = spans.iter().map(span).collect();
    json!({ "resourceSpans": [{ "resource": resource(), "scopeSpans": [{ "scope": scope(), "spans": spans }] }] })
}

fn span(span: &Span) -> Json {
    let attributes: Vec<Json> = span
        .attributes
        .iter()
        .map(|(name, value)| match value {
            Attribute::Text(text) => attribute(name, text),
            Attribute::Number(number) => json!({ "key": name.as_str(), "value": { "intValue": number.to_string() } }),
        })
        .collect();
    json!({
        "traceId": format!("{:032x}", span.at.id),
        "spanId": format!("{:016x}", span.at.span),
        "parentSpanId": span.parent.map(|parent| format!("{parent:016x}")).unwrap_or_default(),
        "name": span.name.as_str(),
        "kind": match span.side { Side::Server => 2, Side::Client => 3 },
        "startTimeUnixNano": span.began.to_string(),
        "endTimeUnixNano": span.ended.to_string(),
        "attributes": attributes,
        "status": if span.failed { json!({ "code": 2 }) } else { json!({}) },
    })
}

fn attribute(name: &str, text: &str) -> Json {
    json!({ "key": name, "value": { "stringValue": text } })
}

/// A family of metrics, as the page for Prometheus has it.
#[derive(Default)]
struct Family<'p> {
    kind: &'p str,
    help: &'p str,
    samples: Vec<Sample<'p>>,
}

/// Names and values.
type Labels = Vec<(String, String)>;
/// A line's name, labels and number.
type Sample<'p> = (&'p str, Labels, f64);

/// What the lines of one histogram say: counts up to each bound, their sum, how many there are.
#[derive(Default)]
struct Histogram {
    buckets: Vec<(f64, u64)>,
    sum: f64,
    count: u64,
}

/// `ExportMetricsServiceRequest` of the page for Prometheus, as of `now` (nanoseconds since the epoch).
pub(super) fn metrics(page: &str, now: u64) -> Json {
    let mut families: Vec<(&str, Family<'_>)> = Vec::new();
    let mut started = 0.0;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (Some(what @ ("HELP" | "TYPE")), Some(name), Some(text)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if families.last().is_none_or(|(last, _)| *last != name) {
                families.push((name, Family::default()));
            }
            if let Some((_, family)) = families.last_mut() {
                *(if what == "HELP" { &mut family.help } else { &mut family.kind }) = text;
            }
        } else if let (Some(sample), Some((_, family))) = (sample(line), families.last_mut()) {
            if sample.0 == "process_start_time_seconds" {
                started = sample.2;
            }
            family.samples.push(sample);
        }
    }
    let started = (started * 1e9) as u64;
    let metrics: Vec<Json> = families.iter().map(|(name, family)| metric(name, family, started, now)).collect();
    json!({ "resourceMetrics": [{ "resource": resource(), "scopeMetrics": [{ "scope": scope(), "metrics": metrics }] }] })
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> Option<Sample<'_>> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            rest = loop {
                match chars.next()? {
                    (at, '"') => break after.get(at + 1..)?,
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, other) => value.push(other),
                }
            };
            labels.push((label.to_owned(), value));
        }
    }
    Some((name, labels, rest.split_whitespace().next()?.parse().ok()?))
}

fn metric(name: &str, family: &Family<'_>, started: u64, now: u64) -> Json {
    let point = |labels: &[(String, String)]| {
        let attributes: Vec<Json> = labels.iter().map(|(name, value)| attribute(name, value)).collect();
        let mut point = Map::new();
        point.insert("attributes".to_owned(), attributes.into());
        point.insert("startTimeUnixNano".to_owned(), started.to_string().into());
        point.insert("timeUnixNano".to_owned(), now.to_string().into());
        point
    };
    let numbers = || -> Vec<Json> {
        let number = |(_, labels, value): &Sample<'_>| {
            let mut point = point(labels);
            point.insert("asDouble".to_owned(), (*value).into());
            Json::Object(point)
        };
        family.samples.iter().map(number).collect()
    };
    let data = match family.kind {
        "counter" => ("sum", json!({ "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": numbers() })),
        "histogram" => ("histogram", json!({ "aggregationTemporality": 2, "dataPoints": histograms(family, point) })),
        _ => ("gauge", json!({ "dataPoints": numbers() })),
    };
    json!({ "name": name, "description": family.help, data.0: data.1 })
}

/// One point for each set of labels. The page counts up to each bound; OTLP between two.
fn histograms(family: &Family<'_>, point: impl Fn(&[(String, String)]) -> Map<String, Json>) -> Vec<Json> {
    let mut sets: BTreeMap<Labels, Histogram> = BTreeMap::new();
    for (name, labels, value) in &family.samples {
        let (bound, labels): (Vec<_>, Vec<_>) = labels.iter().cloned().partition(|(label, _)| label == "le");
        let Histogram { buckets, sum, count } = sets.entry(labels).or_default();
        if name.ends_with("_sum") {
            *sum = *value;
        } else if name.ends_with("_count") {
            *count = *value as u64;
        } else if let Some((_, bound)) = bound.first() {
            buckets.push((bound.parse().unwrap_or(f64::INFINITY), *value as u64));
        }
    }
    let points = sets.into_iter().map(|(labels, Histogram { buckets, sum, count })| {
        let mut point = point(&labels);
        let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect();
        let mut below = 0;
        let counts: Vec<String> = buckets
            .iter()
            .map(|(_, upto)| {
                let between = upto.saturating_sub(below);
                below = *upto;
                between.to_string()
            })
            .collect();
        point.insert("sum".to_owned(), sum.into());
        point.insert("count".to_owned(), count.to_string().into());
        point.insert("explicitBounds".to_owned(), bounds.into());
        point.insert("bucketCounts".to_owned(), counts.into());
        Json::Object(point)
    });
    points.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_metrics_means_the_same() {
        let page = "# HELP a_requests Requests.\n# TYPE a_requests counter\na_requests_total{service=\"x \\\"y\\\" {z}\",status=\"200\"} 3\n\
                    # HELP a_up Up.\n# TYPE a_up gauge\na_up 1.5\n# HELP a_seconds Time.\n# TYPE a_seconds histogram\n\
                    a_seconds_sum{s=\"q\"} 0.5\na_seconds_count{s=\"q\"} 7\na_seconds_bucket{le=\"0.1\",s=\"q\"} 4\n\
                    a_seconds_bucket{le=\"1.0\",s=\"q\"} 6\na_seconds_bucket{le=\"+Inf\",s=\"q\"} 7\n# EOF\n";
        let sent = metrics(page, 5);
        let metrics = &sent["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        assert_eq!(metrics.as_array().unwrap().len(), 3, "{sent}");
        let point = &metrics[0]["sum"]["dataPoints"][0];
        assert_eq!((&point["asDouble"], &point["attributes"][0]["value"]["stringValue"]), (&3.0.into(), &"x \"y\" {z}".into()));
        assert_eq!(metrics[0]["sum"]["isMonotonic"], true);
        assert_eq!(metrics[1]["gauge"]["dataPoints"][0]["asDouble"], 1.5);
        let point = &metrics[2]["histogram"]["dataPoints"][0];
        assert_eq!(point["bucketCounts"], json!(["4", "2", "1"]));
        assert_eq!(point["explicitBounds"], json!([0.1, 1.0]));
        assert_eq!((&point["count"], &point["sum"], &point["timeUnixNano"]), (&"7".into(), &0.5.into(), &"5".into()));
    }
}
